"""The registries of a channel, followed on the ledger by whoever stands apart from its members.

Genesis and first registry are given; every block is verified on the way, and what changes the registry is in the file
beside where it stands, so that a next start goes on from there. A damaged file is read anew from the ledger.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import structlog
from confluent_kafka import KafkaException

from carbon.registry import Registry
from consensus import registration
from consensus.log.follower import Position
from consensus.log.genesis import Genesis
from consensus.log.reader import OpenedBlock
from schemas.observed import Observed
from streams.processor import LedgerProcessor

RETRY_SECONDS = 10.0
"""How long after an error of the broker or the disk it is tried again."""
WRITE_EVERY = 60.0
"""Seconds from one writing of the file to the next, while the registry stays."""

_log = structlog.get_logger(__name__)


@dataclass
class Standing:
    """Where the reader stands, and the changes of the registry up to there, by the height that each begins at."""

    position: Position | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    registrations: dict[int, bytes] = field(default_factory=dict)

    def dump(self) -> str:
        """The standing as text."""
        recorded = {first: record.hex() for first, record in self.registrations.items()}
        position = self.position and self.position.dump()
        return json.dumps({"position": position, "offsets": self.offsets, "registrations": recorded})

    @classmethod
    def load(cls, text: str) -> "Standing":
        """The standing of a text that `dump` made. Raises KeyError, TypeError, ValueError."""
        data = json.loads(text)
        recorded = {int(first): bytes.fromhex(record) for first, record in data["registrations"].items()}
        return cls(data["position"] and Position.load(data["position"]), data["offsets"], recorded)


class Registrations(LedgerProcessor):
    """Reads one channel's ledger. `file` is its own; `registry` is that of the genesis.

    Raises KafkaException for settings that are none of Kafka's.
    """

    def __init__(self, kafka: dict[str, str], genesis: Genesis, registry: Registry, group: str, file: Path) -> None:
        self._file, self._written = file, 0.0
        self._standing: Standing = standing_of(file)
        self._recorded = len(self._standing.registrations)
        super().__init__(kafka, genesis, registry, group, self._standing, Observed())

    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        """Nothing follows from a block but the changes that every processor takes note of."""

    def _write(self) -> None:
        count, now = len(self._standing.registrations), time.monotonic()
        if count > self._recorded or now - self._written >= WRITE_EVERY:
            self._put_down()
            self._recorded, self._written = count, now

    def _put_down(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(self._standing.dump())
        fresh.replace(self._file)

    def in_force(self) -> tuple[int, Registry]:
        """Registry height and registry at the height behind the last that was read."""
        height = registration.in_force(self._registries, self._reader.follower.height + 1)
        return height, self._registries[height]

    def close(self) -> None:
        """Keep where it stands, and leave the broker."""
        self._put_down()
        super().close()

    def catch_up(self, seconds: float) -> bool:
        """Read to where the ledger ends now; whether it came there in time. Raises KafkaException."""
        deadline = time.monotonic() + seconds
        ends = self.ends(seconds)
        while not self.has_read(ends) and time.monotonic() < deadline:
            self.step(min(0.5, max(0.0, deadline - time.monotonic())))
        return self.has_read(ends)


def standing_of(file: Path) -> Standing:
    """What a file says, or the beginning where there is none that can be used."""
    try:
        return Standing.load(file.read_text())
    except FileNotFoundError:
        return Standing()
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        _log.warning("where the ledger was read to is lost: it is read from its beginning", reason=repr(error))
        return Standing()


def in_force_by(standing: Standing, registry: Registry) -> tuple[int, Registry]:
    """Registry height and registry behind where a reader stands; `registry` is that of the genesis."""
    registries = {0: registry}
    for record in standing.registrations.values():
        registration.adopt(registries, record)
    height = registration.in_force(registries, (standing.position.height if standing.position else 0) + 1)
    return height, registries[height]


class Following:
    """Follows for as long as a process runs, on a thread of its own; `now` is what it last found in force."""

    def __init__(self, open_: Callable[[], Registrations], now: tuple[int, Registry]) -> None:
        self._open, self.now = open_, now
        self.stop = Event()

    def run(self) -> None:
        """Follow until `stop`. What fails is tried again."""
        while not self.stop.is_set():
            try:
                self._follow()
            except (KafkaException, RuntimeError, OSError) as error:
                _log.error("the ledger is not followed", reason=str(error))
                self.stop.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        reader = self._open()
        try:
            while not self.stop.is_set():
                reader.step()
                self.now = reader.in_force()
        finally:
            reader.close()
