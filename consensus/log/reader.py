"""Reading the ledger with its payloads: blocks in order, each handed on once every leaf of it is opened.

Payloads are published before their block, on a topic of their own, so they wait here for it. Nothing wins by coming
first: a payload waits under the height and leaf hash that it claims and the commitment that its own bytes make, so a
foreign one can't take the true one's place; a certified block that comes before its predecessor waits for it. What may
wait is bounded, and a shell reads on only what is wanted. Pure: messages in, opened blocks out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from carbon import record as records
from consensus.log.follower import Follower, LedgerError, OpenedLeaf, Position, VerifiedBlock, certified
from schemas import codec

WAITING_PAYLOADS = 50_000
"""Payloads that may wait before blocks are awaited; beyond twice as many the oldest is let go."""
WAITING_BLOCKS = 64
"""Blocks that may wait to be looked at; also how far ahead of its predecessor a block may come."""
ASK_AFTER_MS = 3_000
"""How long a block may wait for payloads before its reader asks for them, and between two requests."""
COPIES = 4
"""Certified messages of one height that may wait: only one of them can be whole, whichever came first."""


@dataclass(frozen=True)
class OpenedBlock:
    """A verified block, the message that it came in, its payloads, and where its reader stands after it."""

    message: bytes
    block: VerifiedBlock
    leaves: list[OpenedLeaf]
    position: Position


class _Message(NamedTuple):
    value: bytes
    offset: int


class _Current(NamedTuple):
    """The block that waits for its payloads, already verified."""

    message: bytes
    block: VerifiedBlock
    offset: int
    position: Position


class _Key(NamedTuple):
    """What one payload message must say. The height too: a record refused twice makes the same leaf twice."""

    height: int
    leaf_hash: bytes
    commitment: bytes


class _Payload(NamedTuple):
    salt: bytes
    payload: bytes
    offset: int


class Asker:
    """When a reader asks for the payloads that its next block lacks, and with what message.

    Members read back only that a block is there, not its payloads; so a primary that withholds them, or dies between
    the two, is made good for here: each further request is another member's turn.
    """

    def __init__(self) -> None:
        self._height: int | None = None
        self._attempt = 0
        self._at_ms = 0

    def due(self, height: int | None, now_ms: int) -> bytes | None:
        """The message for `ledger.requests` if `height` has waited too long; None if nothing waits, or not yet."""
        if height != self._height:
            self._height, self._attempt, self._at_ms = height, 0, now_ms
        if height is None or now_ms - self._at_ms < ASK_AFTER_MS:
            return None
        self._attempt, self._at_ms = self._attempt + 1, now_ms
        return codec.encode("payload-request", {"height": height, "attempt": self._attempt})


class LedgerReader:
    """Brings the blocks and payloads of a channel together behind a follower.

    What does not verify is passed over; `strict` is for an auditor, to whom a block that does not raises LedgerError.
    """

    def __init__(self, follower: Follower, *, strict: bool = False) -> None:
        self.follower = follower
        self._strict = strict
        self.refused = 0
        """Messages that did not verify and were passed over."""
        self._payloads: dict[_Key, _Payload] = {}
        """In the order of their offsets."""
        self._blocks: deque[_Message] = deque()
        self._early: dict[int, list[_Message]] = {}
        self._current: _Current | None = None

    @property
    def oldest_payload(self) -> int | None:
        """Offset of the oldest payload that waits here: a restart goes on from it; None when none waits."""
        return next((held.offset for held in self._payloads.values()), None)

    @property
    def oldest_block(self) -> int | None:
        """Offset of the oldest block that waits here; None when none waits."""
        waiting = [block.offset for copies in self._early.values() for block in copies]
        waiting += [block.offset for block in self._blocks]
        return min(waiting + ([self._current.offset] if self._current else []), default=None)

    @property
    def lacking(self) -> int | None:
        """Height of the block that waits for payloads; None when none does."""
        return None if self._current is None else self._current.block.height

    @property
    def waiting(self) -> int:
        """Blocks and payloads that wait here for each other."""
        early = sum(map(len, self._early.copy().values()))
        return len(self._payloads) + len(self._blocks) + early + (self._current is not None)

    @property
    def wants_payloads(self) -> bool:
        """Whether payloads should be read on: while there is room, and whenever a block waits for one."""
        return self._current is not None or len(self._payloads) < WAITING_PAYLOADS

    @property
    def wants_blocks(self) -> bool:
        """Whether blocks should be read on."""
        return len(self._blocks) < WAITING_BLOCKS

    def offer_payload(self, leaf_hash: bytes, message: bytes, offset: int) -> None:
        """Take a payload message by its key. A repeat of what was handed on already is passed over."""
        try:
            fields = codec.read("payload", message)  # what counts of it is fixed by the commitment
        except codec.CodecError:
            self.refused += 1
            return
        salt, payload = fields["salt"], fields["payload"]
        if salt is None or payload is None:
            self.refused += 1
        elif fields["height"] > self._handed_on:
            key = _Key(fields["height"], leaf_hash, records.commitment(salt, payload))
            self._payloads.setdefault(key, _Payload(salt, payload, offset))
            self._bound_payloads()

    def _bound_payloads(self) -> None:
        if len(self._payloads) > 2 * WAITING_PAYLOADS:
            del self._payloads[next(iter(self._payloads))]

    @property
    def _handed_on(self) -> int:
        return self.follower.height - (self._current is not None)

    def offer_block(self, message: bytes, offset: int) -> None:
        """Take a block message."""
        self._blocks.append(_Message(message, offset))

    def ready(self) -> Iterator[OpenedBlock]:
        """The blocks that are complete now, in order. Raises LedgerError if strict."""
        while (current := self._advance()) is not None:
            block = current.block
            keys = [_Key(block.height, leaf.hash, leaf.leaf.commitment) for leaf in block.leaves]
            if any(key not in self._payloads for key in keys):
                return
            held = [self._payloads[key] for key in keys]
            for key in keys:
                self._payloads.pop(key, None)
            self._current = None
            leaves = [OpenedLeaf(leaf, p.salt, p.payload) for leaf, p in zip(block.leaves, held, strict=True)]
            yield OpenedBlock(current.message, block, leaves, current.position)

    def _advance(self) -> _Current | None:
        """The next block, verified; it stays until its payloads are here."""
        while self._current is None and (message := self._next()) is not None:
            try:
                block = self.follower.accept(message.value)
            except LedgerError:
                if self._strict:
                    raise
                self._hold(message)
                continue
            if block is not None:
                self._current = _Current(message.value, block, message.offset, self.follower.position)
                self._early = {height: held for height, held in self._early.items() if height > block.height}
        return self._current

    def _next(self) -> _Message | None:
        """A message to look at: one that waited for its predecessor before those that came since."""
        due = self._early.get(self.follower.height + 1)
        if due:
            return due.pop(0)
        return self._blocks.popleft() if self._blocks else None

    def _hold(self, message: _Message) -> None:
        """Keep a certified block whose predecessor is missing; what else did not verify is passed over."""
        height = certified_height(message.value, self.follower)
        ahead = height - self.follower.height
        copies = self._early.get(height, [])
        if not 1 < ahead <= WAITING_BLOCKS or len(copies) == COPIES:
            self.refused += 1
        elif all(message.value != copy.value for copy in copies):
            self._early[height] = [*copies, message]


def certified_height(message: bytes, follower: Follower) -> int:
    """The height of a block whose certificate holds, its place and its leaves unchecked; 0 for any other message."""
    try:
        height: int = certified(follower.genesis, follower.committees, message).header["height"]
    except LedgerError:
        return 0
    return height
