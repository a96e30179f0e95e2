"""A member that records without judging: `python -m tests.benchmarks.alone run member-0`, for the benchmark only.

Everything is the product's but the evidence half: a record passes as it is, with a salt made from its own bytes. So the
figure is what the protocol, the state half, the ledger and the disk take of a record, whatever its rules are.
"""

from collections.abc import Sequence
from typing import Any

from carbon import record
from carbon.packet import ZERO_DIGEST
from carbon.record import PayloadWriter
from carbon.refusal import Refusal
from carbon.registry import Registry
from consensus.batch import Batch
from consensus.contract import Evidence, Ruling
from consensus.log.committee import Committee
from consensus.log.genesis import Genesis
from consensus.member import process
from infra.cli import main
from tests.consensus.aggregator import Aggregator


class Passing:
    """Stands in for the contract: all records are first versions, and only what the ledger needs is taken from them."""

    def __init__(self, genesis: Genesis, registry: Registry, committees: Sequence[Committee]) -> None:
        self._writer = PayloadWriter(registry)

    def judge(self, batch: Batch, evidence: Evidence) -> list[Ruling]:
        return [self._passed(*claim) for claim in zip(batch.points, batch.payloads, strict=True)]

    def _passed(self, point: str, payload: bytes) -> Ruling:
        root, posted_g = _root(payload), _last_long(payload)
        previous = self._writer.previous_of(point, payload) or ZERO_DIGEST
        salt = root[: record.SALT_BYTES]
        return Ruling(Refusal.PASS, salt, record.commitment(salt, payload), root, previous, 1, posted_g)


def _root(payload: bytes) -> bytes:
    """The evidence root, which stands before the boundary, which is zeros."""
    place = payload.rindex(ZERO_DIGEST)
    return payload[place - 32 : place]


def _last_long(payload: bytes) -> int:
    """The grams, a zig-zag integer at the end: all of its bytes but the last have their highest bit."""
    value, place = payload[-1], -2
    while (byte := payload[place]) & 0x80:
        value, place = value << 7 | byte & 0x7F, place - 1
    return (value >> 1) ^ -(value & 1)


class AloneAggregator(Aggregator):
    """Chains its records by the salts that `Passing` gives them."""

    def record(self, draft: Any, lie: Any = None) -> tuple[str, int, bytes]:
        made = super().record(draft, lie)
        self.heads[draft.point] = record.commitment(_root(made[2])[: record.SALT_BYTES], made[2])
        return made


if __name__ == "__main__":
    process.Contract = Passing  # type: ignore[assignment, misc]
    main()
