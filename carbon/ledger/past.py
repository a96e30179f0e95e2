"""What a party stated that counts, as a Merkle tree: enough to take any of it back, in a few hashes a party.

A reversal brings the body that it takes back, the entry that was posted for it, and the path that proves that both
stand in the party's past. What was taken back stands there no more, so nothing is taken back twice.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from carbon import merkle
from carbon.ledger.chart import Entry, Posting
from carbon.packet import ZERO_DIGEST


class Past(NamedTuple):
    """The roots of the full subtrees of a party's past, largest first, as `merkle.GrowingTree` keeps them."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaf: bytes) -> "Past":
        """With a leaf more."""
        tree = merkle.GrowingTree(self.size, self.peaks)
        tree.append(leaf)
        return Past(tree.size, tuple(tree.peaks))

    def without(self, place: int, leaf: bytes, path: Sequence[bytes]) -> "Past | None":
        """With zeros where `leaf` stands; None if the path doesn't prove that it stands there."""
        found = peak_of(self.size, place)
        if found is None:
            return None
        number, height = found
        if len(path) != height or any(len(node) != len(leaf) for node in path):
            return None
        if _top(leaf, place, path) != self.peaks[number]:
            return None
        after = _top(ZERO_DIGEST, place, path)
        return Past(self.size, (*self.peaks[:number], after, *self.peaks[number + 1 :]))


def leaf_of(body: bytes, entry: Entry) -> bytes:
    """The leaf of a submission: its body and what was posted for it."""
    lines = [f"{posting.account} {posting.debit} {posting.credit}\n" for posting in entry]
    return merkle.leaf_hash(sha256(body).digest() + "".join(lines).encode())


def peak_of(size: int, place: int) -> tuple[int, int] | None:
    """Which full subtree holds a place, and how high it is."""
    begin = 0
    for number, height in enumerate(height for height in reversed(range(size.bit_length())) if size >> height & 1):
        if begin <= place < begin + (1 << height):
            return number, height
        begin += 1 << height
    return None


def _top(leaf: bytes, place: int, path: Sequence[bytes]) -> bytes:
    """The root of the full subtree; its height is the path's length, so the place's low bits say left or right."""
    node = leaf
    for level, beside in enumerate(path):
        node = merkle.node_hash(beside, node) if place >> level & 1 else merkle.node_hash(node, beside)
    return node


def entry_of(rows: Iterable[dict[str, Any]]) -> Entry:
    """The entry that a reversal states."""
    return tuple(Posting(row["account"], row["debit"], row["credit"]) for row in rows)
