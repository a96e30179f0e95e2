"""The gateway process: blocks of a source become signed packets, kept in the store, then sent to meter.readings.

    python -m streams.edge.gateway CONFIG.json

A packet is sent only once it is stored. While the broker is away the producer tries on for ever, and at
`max_in_flight` unacknowledged packets the source waits.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import structlog
from confluent_kafka import KafkaException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas import topics
from schemas.metrics import QUEUE, SEQUENCE, Figure
from schemas.observed import Observed
from streams.edge.sender import Sender, SendError
from streams.edge.signer import SeedError, Signer, read_seed
from streams.edge.sources import Block
from streams.edge.sources.simbench import ReplaySettings, SimbenchReplay, SourceError
from streams.edge.sources.table import TableReplay, TableSettings
from streams.edge.store import HORIZON, Store, StoredPacket, StoreError


class GatewayConfig(BaseModel):
    """The settings of one gateway process, as its JSON file states them.

    `seed_file` holds the Ed25519 seed as 64 hex digits; `channel` is the genesis digest in hex; `kafka` is the client's
    configuration by librdkafka's names, `bootstrap.servers` among them; `speed` is simulated over real time, 0 for no
    pacing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: str
    run: int = 1
    seed_file: Path
    channel: str = Field(pattern="^[0-9a-f]{64}$")
    kafka: dict[str, Any]
    topic: str = topics.METER_READINGS
    store: Path
    replay: ReplaySettings | TableSettings
    scales: dict[str, int] = Field(default_factory=dict)
    progress: Path | None = None
    speed: float = Field(default=0.0, ge=0.0)
    max_in_flight: int = Field(default=64, ge=1)
    horizon: int = Field(default=HORIZON, ge=0)
    once: bool = False


class GatewayError(Exception):
    """A configuration that can't be used."""


class Gateway:
    """One gateway: its key, its store, its source and its sender. `stop` ends it after the packet in hand."""

    def __init__(self, config: GatewayConfig, store: Store, stop: Event, observed: Observed) -> None:
        self._config, self._store, self._stop = config, store, stop
        seed, channel = read_seed(config.seed_file), bytes.fromhex(config.channel)
        self._signer = Signer(config.gateway, config.run, seed, channel, config.scales)
        self._sender = Sender(
            config.kafka,
            config.gateway,
            store,
            stop,
            limit=config.max_in_flight,
            topic=config.topic,
            turned=observed.turned,
        )
        self._pace = Pace(config.speed, stop, observed.turned)
        observed.shows("gateway", self.figures)
        self._readings = 0
        self._sent_at: int | None = None

    def run(self) -> None:
        """Send what was left, then the source to its end or to `stop`. Raises SendError, SourceError, StoreError."""
        for stored in self._store.unsent():
            self._sender.send(stored)
        for block in replay_of(self._config.replay).blocks(self._store.position()):
            self._pace.wait(block.sent_at)
            if self._stop.is_set():
                break
            self._sender.send(self._keep(block))
            self._report(done=False)
        self._sender.drain()
        self._report(done=not self._stop.is_set())

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        sequence = self._store.head().sequence
        yield SEQUENCE.of(sequence)
        yield QUEUE.of(sequence - self._sender.delivered, "unsent packets")

    def _keep(self, block: Block) -> StoredPacket:
        """Pack, sign and store a block: from here on its bytes never change."""
        signed = self._signer.packet(self._store.head(), block.readings, block.sent_at)
        self._readings += len(block.readings)
        self._sent_at = block.sent_at
        return self._store.append(*signed, block.position)

    def _report(self, *, done: bool) -> None:
        """Replace the progress file: one JSON line, readings and `sent_at` (ms UTC) of what this start has packed."""
        if self._config.progress is None:
            return
        state = {"gateway": self._config.gateway, "sequence": self._store.head().sequence}
        state |= {
            "delivered": self._sender.delivered,
            "readings": self._readings,
            "sent_at": self._sent_at,
            "done": done,
        }
        fresh = self._config.progress.with_suffix(".new")
        fresh.write_text(json.dumps(state) + "\n")
        fresh.replace(self._config.progress)


def replay_of(settings: ReplaySettings | TableSettings) -> SimbenchReplay | TableReplay:
    """The replay that has these settings. Raises SourceError."""
    return TableReplay(settings) if isinstance(settings, TableSettings) else SimbenchReplay(settings)


class Pace:
    """Holds simulated time to `speed` times real time, counted from the first packet; 0 holds nothing."""

    def __init__(self, speed: float, stop: Event, turned: Callable[[], object] = lambda: None) -> None:
        self._speed, self._stop, self._turned = speed, stop, turned
        self._origin: tuple[int, float] | None = None

    def wait(self, sent_at: int) -> None:
        """Wait until the simulated time `sent_at`, ms UTC, has come, or until the process is to stop."""
        if not self._speed:
            return
        first, began = self._origin = self._origin or (sent_at, time.monotonic())
        due = began + (sent_at - first) / 1000 / self._speed
        while (left := due - time.monotonic()) > 0 and not self._stop.wait(min(left, 1.0)):
            self._turned()


def main(config: GatewayConfig, observed: Observed | None = None) -> int:
    """Run a gateway until it is told to stop, or with `once` until its source ends; returns the exit code."""
    stop = Event()

    def end(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        with Store(config.store, config.horizon) as store:
            observed = observed or Observed()
            Gateway(config, store, stop, observed).run()
            while not config.once and not stop.wait(1.0):
                observed.turned()
    except (SeedError, SendError, SourceError, StoreError, KafkaException) as error:
        structlog.get_logger(__name__).critical("the gateway ends", gateway=config.gateway, reason=str(error))
        return 1
    return 0


def load(path: Path) -> GatewayConfig:
    """The configuration of a JSON file. Raises GatewayError that names every field that is wrong."""
    try:
        return GatewayConfig.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        # never the values that were found: client settings may hold a secret
        wrong = error.errors(include_input=False, include_url=False) if isinstance(error, ValidationError) else [error]
        raise GatewayError(f"{path} can't be used: {wrong}") from None


if __name__ == "__main__":
    try:
        configuration = load(Path(sys.argv[1]))
    except GatewayError as problem:
        sys.exit(str(problem))
    sys.exit(main(configuration))
