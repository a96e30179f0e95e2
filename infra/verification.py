"""Verifying a ledger with the genesis alone: certificates, votes, hashes, heights, roots, payloads and state digests.

From the ledger topics, from an exported file, or from a member's copy; whose it is makes no difference.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from carbon import record as records
from consensus.ledger import replay
from consensus.log.follower import Follower, LedgerError
from consensus.log.genesis import Genesis
from consensus.log.leaf import WINDOW_RECORD
from consensus.state import State
from infra.errors import EnvironmentFault
from schemas import codec


@dataclass
class Report:
    """What was verified, up to the last block that held."""

    height: int = 0
    size: int = 0
    accepted: int = 0
    rejected: int = 0
    counted: int = 0
    """Readings that the accepted records count, in their latest versions."""
    incomplete: int = 0
    """Accepted first versions with fewer readings than a full window holds."""
    checkpoint: str = ""
    digest: bytes = b""
    balances: dict[str, int] = field(default_factory=dict)
    """Emissions of each subject in g CO2e."""
    refused: str = ""
    """Why verification stopped; empty when everything held."""


class Verification:
    """Takes a ledger block by block; every payload must be there."""

    def __init__(self, genesis: Genesis, progress: Callable[[int], None] = lambda _: None) -> None:
        self.follower = Follower(genesis)
        self.report = Report()
        self._state = State(1000 * genesis.evidence_horizon_seconds)
        self._counts: dict[tuple[str, int], int] = {}
        self._progress = progress

    def package(self, package: bytes) -> None:
        """The next block with its payloads. Raises LedgerError."""
        try:
            fields = codec.decode_bare("block-package", package)
        except codec.CodecError as error:
            raise LedgerError(str(error)) from error
        block = self.follower.accept(fields["block"])
        if block is None:
            raise LedgerError("a height stands twice")
        replay(self._state, block, fields["salts"], fields["payloads"])
        counted = ((leaf.leaf, payload) for leaf, payload in zip(block.leaves, fields["payloads"], strict=True))
        self._count([payload for leaf, payload in counted if leaf.accepted and leaf.kind == WINDOW_RECORD])
        now = self.follower.position
        report = self.report
        report.height, report.size, report.checkpoint = now.height, now.tree.size, block.checkpoint
        report.accepted, report.rejected, report.digest = now.accepted, now.rejected, now.digest
        report.balances = dict(sorted(self._state.balances.items()))
        report.counted = sum(self._counts.values())
        self._progress(now.height)

    def _count(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            fields = records.read(payload)  # its leaf commits to it, `replay` has seen to that
            self._counts[fields["point"], fields["window_start"]] = fields["count"]
            self.report.incomplete += fields["version"] == 1 and fields["count"] < fields["expected"]


def verify(genesis: Genesis, packages: Iterable[bytes], progress: Callable[[int], None] = lambda _: None) -> Report:
    """Verify packages in the order of their heights; `refused` says where and why it stopped."""
    verification = Verification(genesis, progress)
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
