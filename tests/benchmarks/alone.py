"""A member that records without judging: `python -m tests.benchmarks.alone run member-0`, for the benchmark only.

Everything is the product's but the evidence half: a record passes as it is, with a salt made from its own bytes. So the
figure is what the protocol, the state half, the ledger and the disk take of a record, whatever its rules are.
"""

from hashlib import blake2b
from typing import Any

from carbon import record
from carbon.registry import Registry
from consensus.batch import Batch
from consensus.contract import Evidence, Ruling
from consensus.log.genesis import Genesis
from consensus.log.leaf import Refusal
from consensus.member import process
from infra.cli import main
from tests.consensus.aggregator import Aggregator


def salt_of(payload: bytes) -> bytes:
    """The salt that stands in for the one from the packets."""
    return blake2b(payload, digest_size=record.SALT_BYTES).digest()


class Passing:
    """Stands in for the contract."""

    def __init__(self, genesis: Genesis, registry: Registry) -> None:
        pass

    def judge(self, batch: Batch, evidence: Evidence) -> list[Ruling]:
        return [_passed(payload) for payload in batch.payloads]


def _passed(payload: bytes) -> Ruling:
    fields, salt = record.read(payload), salt_of(payload)
    link = (fields["previous"], fields["version"], record.posted_g(fields))
    return Ruling(Refusal.PASS, salt, record.commitment(salt, payload), fields["evidence_root"], *link)


class AloneAggregator(Aggregator):
    """Chains its records by the salts that `Passing` gives them."""

    def record(self, draft: Any, lie: Any = None) -> tuple[str, int, bytes]:
        made = super().record(draft, lie)
        self.heads[draft.point] = record.commitment(salt_of(made[2]), made[2])
        return made


if __name__ == "__main__":
    process.Contract = Passing  # type: ignore[assignment, misc]
    main()
