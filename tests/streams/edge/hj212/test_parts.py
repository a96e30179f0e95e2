"""Messages in parts: joined in any order, bounded, given up in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.sources.hj212.message import Message, MessageError, compose, parse
from streams.edge.sources.hj212.parts import MAX_OPEN, MAX_PARTS, TIMEOUT_SECONDS, Parts

QN = 20160801085857534
DATA = "DataTime=20160801080000;a05001-Avg=12.25,a05001-Flag=N;a00000-Avg=1.5"


def part(number: int, of: int, data: str, qn: int = QN, cn: int = 2061) -> Message:
    fields = {"QN": qn, "ST": "31", "CN": cn, "PW": "123456", "MN": "A1", "Flag": 7, "PNUM": of, "PNO": number}
    return parse(compose(fields, data))


@given(st.integers(2, 6).flatmap(lambda count: st.permutations(range(1, count + 1))), st.integers(1, 30))
def test_parts_are_joined_as_they_were_cut(order: list[int], width: int) -> None:
    count = len(order)
    pieces = [*(DATA[width * i : width * (i + 1)] for i in range(count - 1)), DATA[width * (count - 1) :]]
    parts = Parts()
    results = [parts.add(part(number, count, pieces[number - 1]), 0.0) for number in order]
    assert results[:-1] == [None] * (count - 1)
    assert results[-1] is not None
    assert results[-1].data == DATA
    assert results[-1].raw == b"".join(part(n, count, pieces[n - 1]).raw for n in range(1, count + 1))


def test_a_part_that_comes_again_gives_the_same_whole_again() -> None:
    parts = Parts()
    parts.add(part(1, 2, "a"), 0.0)
    assert parts.add(part(1, 2, "a"), 10.0) is None
    whole = parts.add(part(2, 2, "b"), 20.0)
    assert whole is not None
    assert parts.add(part(2, 2, "b"), 30.0) == whole
    parts.add(part(2, 2, "b"), TIMEOUT_SECONDS * 2)
    assert parts.dropped == 0


def test_messages_do_not_mix() -> None:
    parts = Parts()
    parts.add(part(1, 2, "a"), 0.0)
    assert parts.add(part(2, 2, "b", qn=QN + 1), 0.0) is None
    assert parts.add(part(2, 2, "b", cn=2051), 0.0) is None
    assert parts.add(part(2, 3, "b"), 0.0) is None
    assert parts.dropped == 1


def test_incomplete_messages_are_given_up_in_time() -> None:
    parts = Parts()
    parts.add(part(1, 2, "a"), 0.0)
    assert parts.add(part(2, 2, "b"), TIMEOUT_SECONDS + 1) is None
    assert parts.dropped == 1


def test_few_messages_are_open_at_a_time() -> None:
    parts = Parts()
    for number in range(MAX_OPEN + 3):
        parts.add(part(1, 2, "a", qn=QN + number), 0.0)
    assert parts.dropped == 3
    assert parts.add(part(2, 2, "b", qn=QN + 3), 0.0) is not None
    assert parts.add(part(2, 2, "b", qn=QN), 0.0) is None


def test_parts_without_bound_or_name_are_refused() -> None:
    unnamed = {"ST": "31", "CN": 2061, "PW": "123456", "MN": "A1", "Flag": 3, "PNUM": 2, "PNO": 1}
    for message in (part(1, MAX_PARTS + 1, "a"), parse(compose(unnamed, "a"))):
        with pytest.raises(MessageError) as caught:
            Parts().add(message, 0.0)
        assert caught.value.reason == "wrong_part"
