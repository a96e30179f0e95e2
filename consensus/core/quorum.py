"""Quorums: distinct members, each counted once, for one (view, digest) of one height."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from consensus.core.bodies import vote_body
from consensus.core.config import Config
from consensus.core.messages import Kind, is_signed

Signatures = tuple[tuple[int, bytes], ...]
"""(member, signature) pairs sorted by member."""


class Ballot(NamedTuple):
    """The latest vote of a member on a height."""

    view: int
    digest: bytes
    signature: bytes


class Ballots:
    """The votes of one kind on one height: for each member its latest by view. At most n, whatever arrives."""

    def __init__(self) -> None:
        self._latest: dict[int, Ballot] = {}

    def add(self, member: int, ballot: Ballot) -> bool:
        """Keep a member's vote if it has none of this view or a later one; whether it was kept."""
        known = self._latest.get(member)
        if known is not None and known.view >= ballot.view:
            return False
        self._latest[member] = ballot
        return True

    def latest(self, member: int) -> Ballot | None:
        """A member's latest vote."""
        return self._latest.get(member)

    def has(self, member: int, view: int) -> bool:
        """Whether a member has voted in this view or a later one."""
        known = self._latest.get(member)
        return known is not None and known.view >= view

    def of(self, member: int) -> Ballot | None:
        """A member's latest vote."""
        return self._latest.get(member)

    def agreeing(self, view: int, digest: bytes) -> Signatures:
        """Who voted for `digest` in `view`, each member once."""
        return tuple(
            (member, ballot.signature)
            for member, ballot in sorted(self._latest.items())
            if ballot.view == view and ballot.digest == digest
        )


def are_distinct(members: Iterable[int]) -> bool:
    """Whether members come sorted and once each: a repeated signer never counts."""
    listed = list(members)
    return all(a < b for a, b in pairwise(listed))


def are_votes(config: Config, kind: Kind, view: int, height: int, digest: bytes, signed: Signatures) -> bool:
    """Whether each signature is its member's vote of this kind for (view, height, digest)."""
    body = vote_body(config.epoch, view, height, digest)
    return all(is_signed(config, kind, member, body, signature) for member, signature in signed)
