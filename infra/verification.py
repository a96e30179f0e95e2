"""Verifying a ledger with the genesis alone: certificates, votes, hashes, heights, roots, payloads and state digests.

From the ledger topics, from an exported file, or from a member's copy; whose it is makes no difference.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from carbon import record as records
from consensus.log import package as packages_
from consensus.log.follower import Follower, LedgerError, VerifiedBlock
from consensus.log.genesis import Genesis
from consensus.log.leaf import WINDOW_RECORD
from consensus.replay import replay
from consensus.state import State
from infra.errors import EnvironmentFault

Seen = Callable[[VerifiedBlock, list[bytes]], None]
"""Is shown every block that was verified, with its payloads."""


@dataclass
class Report:
    """What was verified, up to the last block that held."""

    height: int = 0
    size: int = 0
    accepted: int = 0
    rejected: int = 0
    checkpoint: str = ""
    digest: bytes = b""
    balances: dict[str, int] = field(default_factory=dict)
    """Emissions of each subject in g CO2e."""
    refused: str = ""
    """Why verification stopped; empty when everything held."""


class Verification:
    """Takes a ledger block by block; every payload must be there."""

    def __init__(self, genesis: Genesis, seen: Seen = lambda _block, _payloads: None) -> None:
        self.follower = Follower(genesis)
        self.report = Report()
        self._state = State(1000 * genesis.evidence_horizon_seconds, genesis.utc_offset_minutes)
        self._seen = seen

    def package(self, data: bytes) -> None:
        """The next block with its payloads. Raises LedgerError."""
        message, salts, payloads = packages_.read(data)
        block = self.follower.accept(message)
        if block is None:
            raise LedgerError("a height stands twice")
        replay(self._state, block, salts, payloads)
        now, report = self.follower.position, self.report
        report.height, report.size, report.checkpoint = now.height, now.tree.size, block.checkpoint
        report.accepted, report.rejected, report.digest = now.accepted, now.rejected, now.digest
        report.balances = dict(sorted(self._state.balances.items()))
        self._seen(block, payloads)


class Counting:
    """Readings that accepted records count, in their latest versions: it decodes them all, which verifying does not."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}

    @property
    def total(self) -> int:
        """Of all windows so far."""
        return sum(self._counts.values())

    def __call__(self, block: VerifiedBlock, payloads: list[bytes]) -> None:
        """Count in the payloads of a verified block."""
        kinds = np.where(block.columns["reason"] == 0, block.columns["kind"], 0)
        for kind, payload in zip(kinds.tolist(), payloads, strict=True):
            if kind == WINDOW_RECORD:
                fields = records.read(payload)
                self._counts[fields["point"], fields["window_start"]] = fields["count"]


def verify(genesis: Genesis, packages: Iterable[bytes], seen: Seen = lambda _block, _payloads: None) -> Report:
    """Verify packages in the order of their heights; `refused` says where and why it stopped."""
    verification = Verification(genesis, seen)
    try:
        for package in packages:
            verification.package(package)
    except LedgerError as error:
        verification.report.refused = str(error)
    return verification.report


def from_topic(client: dict[str, str], genesis: Genesis) -> Iterator[bytes]:
    """The blocks of the ledger topic up to its end, with their payloads, as packages.

    Raises LedgerError for a message that does not verify, EnvironmentFault when the broker is away.
    """
    from confluent_kafka import Consumer, KafkaException

    from consensus.member.reading import LedgerTopics

    own = {"group.id": "carbon.verify", "enable.auto.commit": "false", "log_level": "0"}
    consumer = Consumer(client | own)
    try:
        source = LedgerTopics(consumer, Follower(genesis), strict=True)
        while source.unread:
            packages = source.poll(5.0)
            if packages is None:
                raise EnvironmentFault("the broker stopped answering: try again")
            yield from packages
        if source.lacking is not None:
            raise LedgerError(f"block {source.lacking}: payloads are missing")
    except KafkaException as error:
        raise EnvironmentFault(f"the broker does not answer: {error}; 'carbonledger up' starts it") from error
    finally:
        consumer.close()


def from_file(path: Path) -> Iterator[bytes]:
    """The packages of an exported file: each behind its length as 8 bytes big-endian. Raises LedgerError."""
    with path.open("rb") as file:
        while head := file.read(8):
            size = int.from_bytes(head, "big")
            package = file.read(size) if len(head) == 8 and size < 1 << 30 else b""
            if len(package) != size:
                raise LedgerError("the file is cut off, or no export of a ledger")
            yield package


def to_file(path: Path, packages: Iterable[bytes]) -> int:
    """Export packages to a file, whole or not at all; how many."""
    fresh, count = path.with_name(path.name + ".part"), 0
    with fresh.open("wb") as file:
        for package in packages:
            file.write(len(package).to_bytes(8, "big") + package)
            count += 1
    fresh.replace(path)
    return count
