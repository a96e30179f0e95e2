"""Packing: exact scaling, and packets that chain."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon.packet import MAX_READINGS, NOT_A_NUMBER, decode_body
from streams.edge.packing import I64_MAX, Head, columns, next_body, scaled
from streams.edge.sources import RawReading

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
