from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sinks.clickhouse.sequences import Sequences


@given(st.lists(st.integers(1, 40)))
def test_it_is_the_set_it_stands_for(sequences: list[int]) -> None:
    seen = Sequences()
    for sequence in sequences:
        seen.add(sequence)
    assert [n for n in range(42) if n in seen] == sorted(set(sequences))


@given(st.sets(st.integers(1, 40)))
def test_its_ranges_are_disjoint_and_never_touch(sequences: set[int]) -> None:
    seen = Sequences()
    for sequence in sequences:
        seen.add(sequence)
    ranges = seen.ranges()
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))
    assert Sequences(reversed(ranges)).ranges() == ranges


def test_a_run_without_holes_is_one_range() -> None:
    seen = Sequences([(1, 1000)])
    seen.add(1002)
    seen.add(1001)
    assert seen.ranges() == [(1, 1002)]
