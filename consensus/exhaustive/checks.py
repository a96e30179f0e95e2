"""What must hold in every state, seen from outside with a view of all correct members at once."""

from itertools import combinations

from consensus.core.messages import Kind
from consensus.exhaustive.byzantine import Byzantine
from consensus.exhaustive.local import Local
from consensus.exhaustive.messages import Said
from consensus.exhaustive.setting import MEMBERS

FAULTY = (MEMBERS - 1) // 3


class Checks:
    """The properties. What was found sound once is not looked at again."""

    def __init__(self, byzantine: Byzantine) -> None:
        self._byzantine = byzantine
        self._sound: set[tuple[tuple[int, int], ...]] = set()

    def violation(self, standing: tuple[Local, ...]) -> str:
        """What is broken in a state; empty if nothing is."""
        key = tuple((local.said, local.applied) for local in standing)
        for local in standing:
            if local.fault:
                return f"correct member {local.member} {local.fault}"
        if key in self._sound:
            return ""
        broken = _disagreement(standing) or self._lost_certificate(standing)
        if not broken:
            self._sound.add(key)
        return broken

    def _lost_certificate(self, standing: tuple[Local, ...]) -> str:
        """One digest is prepared in a view; what may be committed by it is all that can be prepared there later.

        Castro and Liskov 1999, section 4.5. Prepared: a correct member says so by its commit, or the certificate can be
        made. Committed, perhaps: f + 1 correct members have sent commits, so that the liars can make it a quorum.
        """
        sent = {local.member: local.sent for local in standing}
        votes = {vote for said in sent.values() for vote in said if vote.kind in (Kind.PREPARE, Kind.COMMIT)}
        prepared = [vote for vote in votes if vote.kind is Kind.COMMIT or self._byzantine.is_prepared(sent, *vote[1:])]
        for vote in prepared:
            commit = vote._replace(kind=Kind.COMMIT)
            is_fixed = sum(commit in said for said in sent.values()) > FAULTY
            for other in prepared:
                is_rival = other.height == vote.height and other.content != vote.content
                if is_rival and (other.view == vote.view or (is_fixed and other.view > vote.view)):
                    return f"{told(other)}: prepared beside {told(vote)}"
        return ""


def _disagreement(standing: tuple[Local, ...]) -> str:
    for a, b in combinations(standing, 2):
        for one, other in zip(a.blocks, b.blocks, strict=False):
            if one != other:
                return f"members {a.member} and {b.member} apply different blocks at height {one.height}"
    return ""


def told(said: Said) -> str:
    """What was said, in words."""
    content = said.content.hex()[:8] if isinstance(said.content, bytes) else repr(said.content)
    return f"{said.kind} view {said.view} height {said.height} {content}"
