"""What a replica is told at its start: the genesis facts, its own keys, and the pace of its timers."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Instant(NamedTuple):
    """The time of an event, handed in by the shell."""

    ms: int
    """Milliseconds that never go back: for timers only."""
    wall_ms: int
    """Milliseconds since 1970 UTC by the member's own clock: for block times only."""


class MemberKeys(NamedTuple):
    """The two public Ed25519 keys of a member, 32 bytes each."""

    vote: bytes
    note: bytes


@dataclass(frozen=True)
class Config:
    """Genesis facts and local settings of one replica. Times in ms, sizes in bytes."""

    channel: bytes
    """Genesis digest, 32 bytes: every signature's context."""
    members: tuple[MemberKeys, ...]
    index: int
    vote_seed: bytes
    note_seed: bytes
    epoch: int = 0
    base: int = 0
    """The last height of the epoch before, certified by its members; 0 in epoch 0."""
    max_records: int = 10_000
    """Records in a block, by genesis."""
    max_bytes: int = 4 << 20
    """Bytes of a block's batches, by genesis."""
    window: int = 4
    """Heights in flight above the stable checkpoint, by genesis."""
    clock_bound_ms: int = 10_000
    """How far a first proposal's time may be from a member's own clock, by genesis."""
    batch_records: int = 1_000
    """A primary with heights in flight waits for this many records, or for `batch_delay_ms`."""
    batch_delay_ms: int = 50
    endorse_delay_ms: int = 5
    status_ms: int = 500
    view_timeout_floor_ms: int = 500
    """What a primary has at least, however soon heights came before: a burst finds all members busy at once."""
    view_timeout_ms: int = 2_000
    """What it has before anything was measured, and at most 2.5 times that: all that a primary gains by being slow."""
    view_timeout_cap_ms: int = 30_000
    """What doubling leads to at most."""
    undecided_ms: int = 60_000
    """An undecided batch leaves the pool after this long."""
    quota: int = 256
    """Batches of one submitter in the pool."""

    def __post_init__(self) -> None:
        assert self.view_timeout_floor_ms <= self.view_timeout_ms <= self.view_timeout_cap_ms
        assert len(self.channel) == 32 and 0 <= self.index < len(self.members) and self.window > 0 and self.base >= 0

    @cached_property
    def n(self) -> int:
        """Members of the epoch."""
        return len(self.members)

    @cached_property
    def f(self) -> int:
        """Faulty members that the committee stands: floor((n - 1) / 3)."""
        return (self.n - 1) // 3

    @property
    def quorum(self) -> int:
        """Members of which any two sets share an honest one: n - f, which is 2f + 1 at n = 3f + 1."""
        return self.n - self.f

    def primary(self, view: int) -> int:
        """Index of the primary of a view."""
        return view % self.n
