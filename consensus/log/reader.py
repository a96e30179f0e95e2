"""Reading the ledger with its payloads: blocks in order, each handed on once every leaf of it is opened.

Payloads are published before their block, on a topic of their own, so they wait here for it; how many may wait is
bounded, and a shell reads on only while `wants_more` says so. Pure: messages in, opened blocks out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from consensus.log.follower import Follower, LedgerError, OpenedLeaf, VerifiedBlock, open_leaf

WAITING_PAYLOADS = 50_000


@dataclass(frozen=True)
class OpenedBlock:
    """A verified block with the payload of every leaf, and the message that it came in."""

    message: bytes
    block: VerifiedBlock
    leaves: list[OpenedLeaf]


class LedgerReader:
    """Brings the blocks and payloads of a channel together behind a follower.

    What does not verify is passed over; `strict` is for an auditor, to whom a block that does not raises LedgerError.
    """

    def __init__(self, follower: Follower, *, strict: bool = False) -> None:
        self.follower = follower
        self._strict = strict
        self.refused = 0
        """Messages that did not verify and were passed over."""
        self._payloads: dict[bytes, tuple[bytes, int]] = {}
        self._blocks: deque[tuple[bytes, int]] = deque()
        self._current: VerifiedBlock | None = None

    @property
    def oldest_payload(self) -> int | None:
        """Offset of the oldest payload that waits here: a restart goes on from it; None when none waits."""
        return next((offset for _, offset in self._payloads.values()), None)

    @property
    def oldest_block(self) -> int | None:
        """Offset of the oldest block that waits here; None when none waits."""
        return self._blocks[0][1] if self._blocks else None

    @property
    def is_full(self) -> bool:
        """Whether enough waits here that blocks should be awaited before more payloads are read."""
        return len(self._payloads) >= WAITING_PAYLOADS

    def offer_payload(self, leaf_hash: bytes, message: bytes, offset: int) -> None:
        """Take a payload message by its key. Beyond twice the bound the oldest is let go: it can only be foreign."""
        self._payloads.setdefault(leaf_hash, (message, offset))
        if len(self._payloads) > 2 * WAITING_PAYLOADS:
            del self._payloads[next(iter(self._payloads))]

    def offer_block(self, message: bytes, offset: int) -> None:
        """Take a block message."""
        self._blocks.append((message, offset))

    def ready(self) -> Iterator[OpenedBlock]:
        """The blocks that are complete now, in order. Raises LedgerError if strict."""
        while (block := self._advance()) is not None:
            if any(leaf.hash not in self._payloads for leaf in block.leaves):
                return
            leaves = self._open(block)
            if leaves is None:
                return
            self._current = None
            message, _ = self._blocks.popleft()
            yield OpenedBlock(message, block, leaves)

    def _advance(self) -> VerifiedBlock | None:
        """The next block, verified; it stays first in the queue until its payloads are here."""
        while self._current is None and self._blocks:
            try:
                self._current = self.follower.accept(self._blocks[0][0])
            except LedgerError:
                if self._strict:
                    raise
                self.refused += 1
            if self._current is None:
                self._blocks.popleft()
        return self._current

    def _open(self, block: VerifiedBlock) -> list[OpenedLeaf] | None:
        leaves: list[OpenedLeaf] = []
        for leaf in block.leaves:
            try:
                leaves.append(open_leaf(leaf, self._payloads[leaf.hash][0]))
            except LedgerError:
                # a foreign message under the leaf's key: wait for the true one
                self.refused += 1
                del self._payloads[leaf.hash]
                return None
        for leaf in block.leaves:
            self._payloads.pop(leaf.hash, None)
        return leaves
