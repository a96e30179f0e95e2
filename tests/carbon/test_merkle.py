"""RFC 6962 trees against the RFC's own recursive definition, and its published test vectors."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import merkle

# Certificate Transparency's reference leaves and roots (RFC 6962 reference implementation, merkletree tests)
LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    bytes(range(0x60, 0x70)),
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def hashes(leaves: list[bytes]) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in leaves]


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_published_roots(size, root):
    assert merkle.root(hashes(LEAVES[:size])).hex() == root


@given(st.lists(st.lists(st.binary(max_size=8), min_size=1, max_size=9), max_size=9), st.booleans())
def test_roots_of_many_trees_are_each_ones_root(trees, alike):
    trees = [hashes((tree * 9)[: len(trees[0])] if alike else tree) for tree in trees]
    flat = [hash_ for tree in trees for hash_ in tree]
    assert merkle.roots(flat, [len(tree) for tree in trees]) == [merkle.root(tree) for tree in trees]


@given(st.lists(st.integers(0, 20), max_size=6))
def test_a_tree_grows_the_same_in_any_portions(portions):
    whole, grown = merkle.GrowingTree(), merkle.GrowingTree()
    leaves = hashes([bytes((i,)) for i in range(sum(portions))])
    whole.extend(leaves)
    done = 0
    for portion in portions:
        grown.extend(leaves[done : done + portion])
        done += portion
    assert (grown.size, grown.peaks) == (whole.size, whole.peaks)


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_root_and_growing_tree_are_the_rfcs(leaves):
    tree = merkle.GrowingTree()
    for hash_ in hashes(leaves):
        tree.append(hash_)
    assert merkle.root(hashes(leaves)) == tree.root() == defined_root(leaves)
    assert len(tree.peaks) == len(leaves).bit_count()


@given(st.integers(1, 90), st.data())
def test_inclusion_holds_for_its_leaf_and_no_other(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = hashes([b"%d" % i for i in range(size)])
    path = merkle.inclusion_path(leaves, index)
    root = merkle.root(leaves)
    assert merkle.root_from_inclusion(leaves[index], index, size, path) == root
    assert merkle.root_from_inclusion(merkle.leaf_hash(b"other"), index, size, path) != root
    for wrong in (path[:-1], [*path, root]):
        if wrong != path:
            with pytest.raises(merkle.ProofError):
                merkle.root_from_inclusion(leaves[index], index, size, wrong)


@given(st.integers(1, 90), st.data())
def test_consistency_holds_for_prefixes_only(size, data):
    old = data.draw(st.integers(1, size))
    leaves = hashes([b"%d" % i for i in range(size)])
    path = merkle.consistency_path(leaves, old)
    merkle.check_consistency(old, merkle.root(leaves[:old]), size, merkle.root(leaves), path)
    forged = hashes([b"x", *(b"%d" % i for i in range(1, size))])
    with pytest.raises(merkle.ProofError):
        merkle.check_consistency(old, merkle.root(forged[:old]), size, merkle.root(leaves), path)


def test_indexes_outside_the_tree():
    with pytest.raises(IndexError):
        merkle.inclusion_path(hashes(LEAVES), 8)
    with pytest.raises(merkle.ProofError):
        merkle.root_from_inclusion(merkle.leaf_hash(b""), 1, 1, [])


@given(st.integers(0, 70), st.integers(1, 40), st.data())
def test_a_path_from_the_peaks_before_is_the_path_over_all_leaves(before, added, data):
    index = data.draw(st.integers(0, added - 1))
    leaves = hashes([b"%d" % i for i in range(before + added)])
    tree = merkle.GrowingTree()
    for hash_ in leaves[:before]:
        tree.append(hash_)
    assert merkle.appended_path(tree, leaves[before:], index) == merkle.inclusion_path(leaves, before + index)
    with pytest.raises(IndexError):
        merkle.appended_path(tree, leaves[before:], added)
