"""Packing: exact scaling, and packets that chain."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon.packet import MAX_READINGS, NOT_A_NUMBER, decode_body
from streams.edge.packing import (
    I64_MAX,
    Head,
    Kept,
    Load,
    PacketLimits,
    columns,
    fill,
    is_due,
    next_body,
    scaled,
    sending_time,
)
from streams.edge.sources import Arrival, RawReading

SALT = bytes(range(16))


@pytest.mark.parametrize(
    ("text", "scale", "wanted"),
    [
        ("0.5", 0, 0),
        ("1.5", 0, 2),
        ("2.5", 0, 2),
        ("-0.5", 0, 0),
        ("-1.5", 0, -2),
        ("2.50000000000000000000000000000000000000000001", 0, 3),
        ("0.0125", 3, 12),
        ("0.0135", 3, 14),
        ("0.12500000000000000000000000000000001", 2, 13),
        ("1E3", 2, 100_000),
        ("0E+50", 0, 0),
        ("-0", 4, 0),
        ("9223372036854775807", 0, I64_MAX),
        ("-9223372036854775807", 0, -I64_MAX),
        ("1E-999999", 3, 0),
    ],
)
def test_scaled(text: str, scale: int, wanted: int) -> None:
    assert scaled(Decimal(text), scale) == wanted


@pytest.mark.parametrize(
    "text", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "9223372036854775808", "1E999999", "-1E19"]
)
def test_what_is_no_number_of_64_bits_is_none(text: str) -> None:
    assert scaled(Decimal(text), 0) is None


def test_no_value_is_none() -> None:
    assert scaled(None, 3) is None


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9), st.integers(0, 8)
)
def test_scaled_is_the_exact_fraction_rounded_once(value: Decimal, scale: int) -> None:
    assert scaled(value, scale) == round(Fraction(value) * 10**scale)


def test_columns_keep_order_and_flag_what_is_no_number() -> None:
    readings = [
        RawReading("b", 1, Decimal("1.25")),
        RawReading("a", 2, None),
        RawReading("b", 3, Decimal("NaN"), "T"),
        RawReading("a", 4, Decimal("2.5"), "T"),
    ]
    points, packed = columns(readings, {"b": 1})
    assert points == ["b", "a"]
    assert packed == {
        "point": [0, 1, 0, 1],
        "at": [1, 2, 3, 4],
        "value": [12, 0, 0, 2],
        "flag": [ord("N"), NOT_A_NUMBER, NOT_A_NUMBER, ord("T")],
    }


def _body(head: Head, readings: list[RawReading], sent_at: int = 10) -> bytes:
    return next_body(head, readings, {}, gateway="g", run=2, sent_at=sent_at, salt=SALT)


def test_packets_chain() -> None:
    first = _body(Head(), [RawReading("a", 1, Decimal(7))])
    second = _body(Head().after(first), [])
    packets = [decode_body(body) for body in (first, second)]
    assert [packet.sequence for packet in packets] == [1, 2]
    assert packets[0].previous == bytes(32) and packets[1].previous == packets[0].digest
    assert (packets[0].gateway, packets[0].run, packets[0].salt) == ("g", 2, SALT)
    assert len(packets[1]) == 0


def test_a_full_packet_comes_back_as_it_was() -> None:
    readings = [RawReading(f"p{i % 40}", 900_000 * i, Decimal(i) / 3) for i in range(MAX_READINGS)]
    packet = decode_body(_body(Head(), readings))
    assert [packet.points[i] for i in packet.point] == [reading.point for reading in readings]
    assert packet.at.tolist() == [reading.at for reading in readings]
    assert packet.value.tolist() == [round(Fraction(reading.value or 0)) for reading in readings]


def waiting(*sizes: tuple[int, int]) -> list[Kept]:
    """Arrivals of so many bytes and readings each."""
    reading = RawReading("p", 0, Decimal(1))
    return [Kept(n, 0, Arrival("d", bytes(size), (reading,) * count)) for n, (size, count) in enumerate(sizes)]


LIMITS = PacketLimits(readings=10, bytes=5_000, age=5.0, silence=60.0)


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ([], 0),
        ([(0, 4), (0, 6), (0, 1)], 2),
        ([(0, 4), (0, 7)], 1),
        ([(0, 11), (0, 1)], 1),
        ([(9_000, 1), (0, 1)], 1),
        ([(2_000, 1), (2_000, 1), (2_000, 1)], 2),
        ([(0, 0)] * 30, 30),
        ([(0, 0)] * 60, 38),
    ],
)
def test_a_packet_is_filled_to_its_limits_and_with_one_at_least(sizes: list[tuple[int, int]], taken: int) -> None:
    every = waiting(*sizes)
    assert fill(every, LIMITS) == every[:taken]


@pytest.mark.parametrize(
    ("load", "waited", "silent", "due"),
    [
        (Load(1, 9, 4_999), 4.9, 99.0, False),
        (Load(1, 10, 0), 0.0, 0.0, True),
        (Load(1, 0, 5_000), 0.0, 0.0, True),
        (Load(1, 0, 0), 5.0, 5.0, True),
        (Load(), 99.0, 59.9, False),
        (Load(), 0.0, 60.0, True),
        (Load(-1, -1, -1), 0.0, 59.9, False),
    ],
)
def test_a_packet_is_due_by_count_size_age_or_silence(load: Load, waited: float, silent: float, due: bool) -> None:
    assert is_due(load, waited, silent, LIMITS) is due


def test_a_load_is_the_sum_of_its_arrivals() -> None:
    every = [one.arrival for one in waiting((100, 2), (50, 1))]
    assert Load.of(every) == Load.of(every[:1]) + Load.of(every[1:])
    assert Load.of(every) - Load.of(every[1:]) == Load.of(every[:1])
    assert Load.of(every).bytes > 150


@pytest.mark.parametrize(
    ("previous", "wall", "latest", "stated"),
    [
        (0, 100, 0, 100),
        (200, 100, 0, 200),
        (100, 200, 9_999, 200),
        (200, 100, 250, 200),
        (200, 100, 251, None),
        (200, 200, 251, 200),
    ],
)
def test_a_packets_time_never_goes_back_and_waits_for_a_clock_that_did(
    previous: int, wall: int, latest: int, stated: int | None
) -> None:
    assert sending_time(previous, wall, latest, future_ms=50) == stated


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000))))
def test_however_the_clock_steps_a_packets_time_never_goes_back(steps: list[tuple[int, int]]) -> None:
    previous = 0
    for wall, latest in steps:
        stated = sending_time(previous, wall, latest, future_ms=50)
        assert stated is None or stated >= max(previous, wall)
        assert stated is not None or wall < previous, "only a clock that went back makes it wait"
        previous = stated or previous
