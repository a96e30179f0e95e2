"""The batches that wait to be ordered: numbered streams, rivals, quotas, and how long each has waited.

Everything is bounded: a submitter by its quota, a number by its rivals, a stream by how far ahead of its head it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from consensus.core.bodies import ProposedBatch

RIVALS = 4
"""Different digests that are held for one (stream, number)."""
AHEAD = 128
"""How far beyond a stream's head a number may be."""


class Stream(NamedTuple):
    """A submitter's stream: its batches are numbered 1, 2, 3, …"""

    submitter: str
    name: str


HeadOf = Callable[[Stream], int]


@dataclass
class Batch:
    """A batch whose body the shell holds. `size` in bytes."""

    digest: bytes
    stream: Stream
    number: int
    records: int
    size: int
    arrived_ms: int
    order: int = 0
    """Place among the batches that were decided here; 0 while undecided."""
    due_ms: int | None = None
    """When this member has waited too long for it; None while it can't be ordered yet."""


def fitting(batches: Sequence[ProposedBatch], head_of: HeadOf, heads: dict[Stream, int]) -> tuple[ProposedBatch, ...]:
    """The batches that go on from their stream's head without a gap, in order; `heads` is moved along.

    A block that a view change brought back behind another one can hold batches that no longer fit: every member leaves
    out the same ones, so each is applied once.
    """
    fits = []
    for batch in batches:
        stream = Stream(batch.submitter, batch.stream)
        head = heads.get(stream)
        if head is None:
            head = head_of(stream)
        if batch.number == head + 1:
            heads[stream] = batch.number
            fits.append(batch)
    return tuple(fits)


@dataclass
class Pool:
    """What this member could order, by stream and number."""

    quota: int
    batches: dict[bytes, Batch] = field(default_factory=dict)
    rivals: dict[tuple[Stream, int], list[bytes]] = field(default_factory=dict)
    winners: dict[tuple[Stream, int], Batch] = field(default_factory=dict)
    """The rival of each number that was decided first."""
    waiting: dict[bytes, Batch] = field(default_factory=dict)
    """Batches that could be ordered now, in the order in which they became so."""
    _held: Counter[str] = field(default_factory=Counter)
    _decided: int = 0

    def refusal(self, batch: Batch, head: int) -> str:
        """Why a batch is not admitted; empty if it is."""
        if not head < batch.number <= head + AHEAD:
            return "batch number"
        if self._held[batch.stream.submitter] >= self.quota:
            return "submitter quota"
        if len(self.rivals.get((batch.stream, batch.number), ())) >= RIVALS:
            return "rival batches"
        return ""

    def admit(self, batch: Batch) -> None:
        """Hold a batch."""
        assert batch.digest not in self.batches
        self.batches[batch.digest] = batch
        self.rivals.setdefault((batch.stream, batch.number), []).append(batch.digest)
        self._held[batch.stream.submitter] += 1

    def decided(self, batch: Batch, head: int, due_ms: int) -> None:
        """All records of a batch are decided; the first among rivals stands. Those that can be ordered now wait."""
        if batch.order:
            return
        self._decided += 1
        batch.order = self._decided
        self.winners.setdefault((batch.stream, batch.number), batch)
        self.extend(batch.stream, head, due_ms)

    def extend(self, stream: Stream, head: int, due_ms: int) -> None:
        """Let the decided batches that follow a stream's head without a gap wait for their order."""
        number = head + 1
        while (batch := self.winners.get((stream, number))) is not None:
            if batch.due_ms is None:
                batch.due_ms = due_ms
                self.waiting[batch.digest] = batch
            number += 1

    def orderable(self, head_of: HeadOf) -> Iterator[Batch]:
        """Decided batches beyond `head_of`, oldest decided first, each stream in its order."""
        found = []
        for stream in {stream for stream, _ in self.winners}:
            number, order = head_of(stream) + 1, 0
            while (batch := self.winners.get((stream, number))) is not None:
                order = max(order, batch.order)
                found.append((order, number, batch))
                number += 1
        found.sort(key=lambda item: (item[0], item[1]))
        return (batch for _, _, batch in found)

    def applied(self, digests: Sequence[bytes], due_ms: int) -> None:
        """Batches were ordered: whoever is younger than the oldest of them was not overtaken, and waits anew."""
        orders = [batch.order for digest in digests if (batch := self.waiting.pop(digest, None)) is not None]
        if not orders:
            return
        oldest = min(orders)
        for batch in self.waiting.values():
            if batch.order > oldest:
                batch.due_ms = due_ms

    def restart(self, due_ms: int) -> None:
        """A new primary has all its time."""
        for batch in self.waiting.values():
            batch.due_ms = due_ms

    def earliest_due(self) -> int | None:
        """When the first waiting batch is overdue, ms."""
        return min((batch.due_ms for batch in self.waiting.values() if batch.due_ms is not None), default=None)

    def forget(self, digest: bytes) -> None:
        """Let a batch go."""
        batch = self.batches.pop(digest, None)
        if batch is None:
            return
        place = (batch.stream, batch.number)
        self.rivals[place].remove(digest)
        if not self.rivals[place]:
            del self.rivals[place]
        if self.winners.get(place) is batch:
            del self.winners[place]
        self.waiting.pop(digest, None)
        self._held[batch.stream.submitter] -= 1

    def passed(self, head_of: HeadOf) -> list[bytes]:
        """Digests at or below their stream's head: applied, or overtaken by a rival."""
        return [
            digest for (stream, number), rivals in self.rivals.items() if number <= head_of(stream) for digest in rivals
        ]

    def catch_up(self, head_of: HeadOf, due_ms: int) -> None:
        """Heads moved by a block from elsewhere: what follows them now waits for its order."""
        for stream in {stream for stream, _ in self.winners}:
            self.extend(stream, head_of(stream), due_ms)

    def stale(self, before_ms: int) -> list[bytes]:
        """Undecided batches that arrived before a time."""
        return [batch.digest for batch in self.batches.values() if not batch.order and batch.arrived_ms < before_ms]
