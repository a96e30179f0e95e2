"""What becomes of a frame: kept and answered, heard, or refused and counted."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.sources import Arrival, RawReading
from streams.edge.sources.hj212.devices import Device
from streams.edge.sources.hj212.frame import FrameReader, frame
from streams.edge.sources.hj212.message import MessageError, compose, parse
from streams.edge.sources.hj212.reception import Reception

MN = "010000A8900016F000169DC0"
CO2 = {"command": 2061, "code": "a05001", "field": "Avg", "point": "stack.co2", "unit": "vol%", "point_unit": "vol%"}
DEVICE = {"mn": MN, "password": "123456", "items": [CO2 | {"time": "start"}]}
HOUR = {"QN": "20160801085857534", "ST": "31", "CN": 2061, "PW": "123456", "MN": MN, "Flag": 5}
DATA = "DataTime=20160801080000;a05001-Avg=12.1,a05001-Flag=N;a19001-Avg=8"
READING = RawReading("stack.co2", 1_470_009_600_000, Decimal("12.1"))


class Desk:
    """A reception with one registered device."""

    def __init__(self, **settings: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.reception = Reception([Device.model_validate(DEVICE | settings)], self.counts)

    def receive(self, data: str, **change: object) -> tuple[Arrival | None, int | None]:
        """What is kept, and the command of the answer."""
        arrival, answer = self.reception.receive(compose(HOUR | change, data), 0.0)
        return arrival, answer and parse(answer).cn


def test_an_upload_is_kept_then_answered() -> None:
    desk = Desk()
    arrival, answer = desk.receive(DATA)
    assert arrival == Arrival(MN, compose(HOUR | {"PW": ""}, DATA), (READING,))
    assert answer == 9014
    assert desk.counts == {"readings": 1, "uploads_unread": 0, "codes_unread": 1}


def test_an_upload_that_wants_no_answer_is_kept_all_the_same() -> None:
    arrival, answer = Desk().receive(DATA, Flag=4)
    assert arrival is not None
    assert answer is None


def test_an_upload_that_is_not_measured_data_is_kept_as_it_came() -> None:
    desk = Desk()
    arrival, answer = desk.receive("DataTime=20160801085857;RestartTime=20160801085624", CN=2081)
    assert arrival is not None
    assert arrival.readings == ()
    assert answer == 9014
    assert desk.counts["uploads_unread"] == 1


@pytest.mark.parametrize(("command", "answer", "name"), [(9015, 9013, "notifications"), (9012, None, "answers")])
def test_what_is_only_heard(command: int, answer: int | None, name: str) -> None:
    desk = Desk()
    assert desk.receive("", CN=command) == (None, answer)
    assert desk.counts == {name: 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"PW": "654321"}, "wrong_password"),
        ({"PW": ""}, "wrong_password"),
        ({"MN": "010000A8900016F000169DC1"}, "unknown_device"),
        ({"CN": 1062}, "command_not_spoken"),
        ({"Flag": 12}, "wrong_flag"),
    ],
)
def test_what_is_refused_is_neither_kept_nor_answered(change: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        Desk().receive(DATA, **change)
    assert caught.value.reason == reason


def test_parts_that_stand_by_themselves() -> None:
    # table C.50: each part has its own QN, its DataTime and its answer
    desk = Desk()
    for number in (1, 2):
        arrival, answer = desk.receive(DATA, Flag=7, PNUM=2, PNO=number, QN=20160801085857533 + number)
        assert arrival is not None
        assert arrival.readings == (READING,)
        assert answer == 9014


def test_parts_that_are_cut_are_kept_whole_and_answered_then() -> None:
    desk = Desk(split="joined")
    halves = [compose(HOUR | {"Flag": 7, "PNUM": 2, "PNO": n + 1}, DATA[41 * n : 41 * n + 41]) for n in range(2)]
    assert "".join(parse(half).data for half in halves) == DATA
    assert desk.reception.receive(halves[0], 0.0) == (None, None)
    arrival, answer = desk.reception.receive(halves[1], 1.0)
    assert arrival == Arrival(MN, b"".join(parse(half).raw for half in halves), (READING,))
    assert answer is not None
    assert desk.counts["parts_waiting"] == 1


@given(st.integers(0, 300), st.binary(max_size=6), st.integers(0, 6))
def test_damage_is_never_more_than_refused(at: int, put: bytes, cut: int) -> None:
    segment = compose(HOUR, DATA)[6:-6]
    at %= len(segment)
    reader = FrameReader()
    damaged = (segment[:at] + put + segment[at + cut :]).replace(b"\r\n", b"")
    (raw,) = reader.feed(frame(damaged))
    try:
        arrival, _ = Desk().reception.receive(raw, 0.0)
    except MessageError:
        return
    assert arrival is None or arrival.raw.replace(b"PW=", b"PW=123456")[6:-6] == raw[6:-6]
