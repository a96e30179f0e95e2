"""What people say of anomalies, followed on the certified ledger: who said what of which, and whose word counts."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from carbon import submission as submissions
from carbon.registry import Registry
from consensus.log.genesis import Genesis
from consensus.log.leaf import SUBMISSION
from consensus.log.reader import OpenedBlock
from schemas.observed import Observed
from streams.processor import LedgerProcessor
from streams.registrations import Standing

KIND = "assessment"


class Assessment(NamedTuple):
    """One submission on an anomaly: `leaf` is its place in the ledger, `code` its carbon code."""

    anomaly: str
    leaf: int
    party: str
    role: str
    verdict: str
    reason: str
    code: str


def assessments_of(block: OpenedBlock, registry: Registry) -> list[Assessment]:
    """Those that a block accepted, in its order. `registry` is in force at its height."""
    found = list[Assessment]()
    for item in block.leaves:
        leaf = item.leaf.leaf
        if leaf.kind != SUBMISSION or not leaf.accepted:
            continue
        stated = submissions.read(item.payload)
        if stated.kind == KIND:
            said, role = stated.content, registry.parties[stated.party].role
            code = submissions.code(stated, leaf.commitment, block.block.header["time"], registry.prefix)
            words = said["verdict"].lower(), said["reason"]
            found.append(Assessment(said["anomaly"], item.leaf.index, stated.party, role, *words, code))
    return found


def verdict_of(said: Iterable[Assessment]) -> str | None:
    """What counts of what was said of one anomaly: a regulator's last word, else a verifier's; None before either."""
    words = {one.role: one.verdict for one in sorted(said, key=lambda one: one.leaf) if one.verdict != "commented"}
    return words.get("regulator", words.get("verifier"))


class Assessments(LedgerProcessor):
    """Reads one channel's ledger; `registry` is that of the genesis. `take` keeps what is new, and where it stands."""

    def __init__(
        self,
        kafka: dict[str, str],
        genesis: Genesis,
        registry: Registry,
        group: str,
        standing: Standing,
        take: Callable[[list[Assessment]], None],
    ) -> None:
        self._take_all, self._fresh = take, list[Assessment]()
        super().__init__(kafka, genesis, registry, group, standing, Observed())

    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        self._fresh += assessments_of(block, registry)

    def _write(self) -> None:
        """What isn't written is read again: most blocks hold nothing of it."""
        if self._fresh:
            self._take_all(self._fresh)
            self._fresh = []
