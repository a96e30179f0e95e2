"""The leaf envelope: one by one and as columns it says the same, and anything else than a leaf is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import merkle
from carbon.refusal import Refusal
from consensus.log import leaf
from consensus.log.leaf import Leaf, LeafError

HASHES = st.binary(min_size=32, max_size=32)
LEAVES = st.builds(
    lambda kind, reason, height, schema, root, commitment: Leaf(
        kind, leaf.REJECTED if reason else leaf.ACCEPTED, reason, height, schema, root, commitment
    ),
    st.integers(0, 255),
    st.sampled_from([0, 0, *Refusal, 0xFFFF]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    HASHES,
    HASHES,
)


@given(st.lists(LEAVES))
def test_columns_hold_what_was_encoded(leaves):
    data = b"".join(map(leaf.encode, leaves))
    columns = leaf.columns(data)
    assert leaf.opened(columns) == leaves == [leaf.decode(envelope) for envelope in leaf.split(data)]
    assert columns["commitment"].tobytes() == b"".join(each.commitment for each in leaves)


@given(st.lists(LEAVES, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_refused_by_both_or_neither(leaves, data):
    damaged = bytearray(b"".join(map(leaf.encode, leaves)))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        wanted = [leaf.decode(envelope) for envelope in leaf.split(bytes(damaged))]
    except LeafError as error:
        with pytest.raises(LeafError, match=f"^{error}$"):
            leaf.columns(bytes(damaged))
    else:
        assert leaf.opened(leaf.columns(bytes(damaged))) == wanted


def test_a_verdict_that_its_reason_contradicts_is_refused():
    for verdict, reason in ((leaf.ACCEPTED, 5), (leaf.REJECTED, 0), (2, 5)):
        with pytest.raises(LeafError, match=f"verdict {verdict}, reason {reason}"):
            leaf.columns(leaf.encode(Leaf(1, verdict, reason, 0, 7, bytes(32), bytes(32))))


def test_leaves_that_are_cut_off_are_refused():
    with pytest.raises(LeafError, match="cut off"):
        leaf.columns(leaf.encode(Leaf(1, 0, 0, 0, 7, bytes(32), bytes(32)))[:-1])


@given(st.lists(LEAVES))
def test_many_are_hashed_as_one_is(leaves):
    data = b"".join(map(leaf.encode, leaves))
    rows = np.frombuffer(data, np.uint8).reshape(-1, leaf.SIZE)
    assert merkle.leaf_hashes(rows) == [merkle.leaf_hash(each) for each in leaf.split(data)]
