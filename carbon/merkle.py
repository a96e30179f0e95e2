"""RFC 6962 / RFC 9162 Merkle trees: roots, inclusion and consistency proofs, and a tree that only grows.

Leaf hash SHA-256(0x00 ‖ leaf), node hash SHA-256(0x01 ‖ left ‖ right); the root of no leaves is SHA-256 of nothing.
Hashes are 32 bytes. A tree of n leaves splits at the largest power of two below n (RFC 9162, section 2.1.1).
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

EMPTY_ROOT = sha256(b"").digest()


class ProofError(ValueError):
    """A proof that does not show what it claims."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of one leaf."""
    return sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: NDArray[np.uint8]) -> list[bytes]:
    """Hashes of leaves of one size, each a row."""
    count, size = leaves.shape
    prefixed = np.zeros((count, 1 + size), np.uint8)
    prefixed[:, 1:] = leaves
    return [sha256(leaf).digest() for leaf in prefixed.view(f"V{1 + size}").ravel().tolist()]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two others."""
    return sha256(b"\x01" + left + right).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The nodes above a level of an even number of nodes."""
    pair = iter(level)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(pair, pair, strict=True)]


def root(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, level by level; an odd last node moves up as it is."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 1:
        level = [*_above(level[:-1]), level[-1]] if len(level) % 2 else _above(level)
    return level[0]


def roots(hashes: Sequence[bytes], sizes: Sequence[int]) -> list[bytes]:
    """Roots of many trees that stand one behind the other, each of `sizes[i]` > 0 leaf hashes.

    Trees of one size grow together, a level at a time, for as long as no node is left over.
    """
    if not sizes:
        return []
    size = sizes[0]
    if any(other != size for other in sizes):
        ends = list(accumulate(sizes))
        return [root(hashes[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    level = hashes
    while size % 2 == 0:
        level = _above(level)
        size //= 2
    return list(level) if size == 1 else [root(level[i : i + size]) for i in range(0, len(level), size)]


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf `index` among `hashes`, nearest sibling first (RFC 9162, 2.1.3.1). Raises IndexError."""
    if not 0 <= index < len(hashes):
        raise IndexError(f"leaf {index} of {len(hashes)}")
    path: list[bytes] = []
    level = list(hashes)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level, index = above, index >> 1
    return path


def appended_path(before: "GrowingTree", hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf `before.size + index` in the tree after `hashes` were appended, from the peaks before alone.

    What `inclusion_path` gives over all leaves. Raises IndexError.
    """
    if not 0 <= index < len(hashes):
        raise IndexError(f"leaf {index} of {len(hashes)} appended")
    low, high, path = 0, before.size + len(hashes), list[bytes]()
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if before.size + index < split:
            path.append(_appended_root(before, hashes, split, high))
            high = split
        else:
            path.append(_appended_root(before, hashes, low, split))
            low = split
    return path[::-1]


def _appended_root(before: "GrowingTree", hashes: Sequence[bytes], low: int, high: int) -> bytes:
    """Root over the leaves from `low` to `high`, a node of the tree after `hashes` were appended."""
    if low >= before.size:
        return root(hashes[low - before.size : high - before.size])
    if high <= before.size:
        # all that a path needs below the old size is a full subtree that stands to its left: a peak
        return before.peaks[(before.size >> (high - low).bit_length()).bit_count()]
    split = low + (1 << (high - low - 1).bit_length() - 1)
    return node_hash(_appended_root(before, hashes, low, split), _appended_root(before, hashes, split, high))


def root_from_inclusion(hash_: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from a leaf hash (RFC 9162, 2.1.3.2).

    Raises ProofError on a path of a wrong length.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    node, last = index, size - 1
    for sibling in path:
        if last == 0:
            raise ProofError("the audit path is too long")
        if node & 1 or node == last:
            hash_ = node_hash(sibling, hash_)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the audit path is too short")
    return hash_


def consistency_path(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the first `old_size` of `hashes` are a prefix of all (RFC 9162, 2.1.4.1). Raises IndexError."""
    if not 0 < old_size <= len(hashes):
        raise IndexError(f"tree of {old_size} inside one of {len(hashes)}")
    return _subproof(hashes, old_size, whole=True)


def _subproof(hashes: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    size = len(hashes)
    if old_size == size:
        return [] if whole else [root(hashes)]
    split = 1 << (size - 1).bit_length() - 1
    if old_size <= split:
        return [*_subproof(hashes[:split], old_size, whole=whole), root(hashes[split:])]
    return [*_subproof(hashes[split:], old_size - split, whole=False), root(hashes[:split])]


def check_consistency(old_size: int, old_root: bytes, size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Accept only if the tree (`size`, `new_root`) has grown from (`old_size`, `old_root`) (RFC 9162, 2.1.4.2).

    Raises ProofError.
    """
    if not 0 <= old_size <= size:
        raise ProofError(f"a tree of {old_size} can't have grown to {size}")
    if old_size in (0, size):
        if path or (old_size and old_root != new_root) or (not old_size and old_root != EMPTY_ROOT):
            raise ProofError("equal or empty trees have an empty proof and fixed roots")
        return
    proof = list(path)
    if not old_size & (old_size - 1):
        proof.insert(0, old_root)
    if not proof:
        raise ProofError("the consistency proof is empty")
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    from_old = from_new = proof[0]
    for hash_ in proof[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if node & 1 or node == last:
            from_old, from_new = node_hash(hash_, from_old), node_hash(hash_, from_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            from_new = node_hash(from_new, hash_)
        node, last = node >> 1, last >> 1
    if last or from_old != old_root or from_new != new_root:
        raise ProofError("the tree did not grow from the one before it")


class GrowingTree:
    """The compact form of a tree that only grows: its size and the roots of its full subtrees, largest first.

    Holds at most log2(size) + 1 hashes whatever the size.
    """

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        assert len(peaks) == size.bit_count()
        self.size = size
        self.peaks = list(peaks)

    def append(self, hash_: bytes) -> None:
        """Add one leaf hash."""
        self.extend((hash_,))

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Add leaf hashes, a level of the tree at a time: the peak of the level first, a node left over is the new."""
        nodes, levels, fresh = list(hashes), self.size, list[bytes]()
        self.size += len(nodes)
        while nodes:
            if levels & 1:
                nodes.insert(0, self.peaks.pop())
            if len(nodes) & 1:
                fresh.append(nodes.pop())
            nodes = _above(nodes)
            levels >>= 1
        self.peaks += reversed(fresh)

    def root(self) -> bytes:
        """Root of all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        hash_ = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            hash_ = node_hash(left, hash_)
        return hash_

    def copy(self) -> "GrowingTree":
        """An independent tree of the same leaves."""
        return GrowingTree(self.size, self.peaks)
