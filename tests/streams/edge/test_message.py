"""A meter's message in JSON."""

from decimal import Decimal

import pytest

from streams.edge.message import Measured, RefusedError, measured


def test_the_number_keeps_its_own_text() -> None:
    [one] = measured(b'{"point": "p", "at": 1735689600000, "value": 0.10000000000000000000000001}')
    assert one == Measured("p", 1_735_689_600_000, Decimal("0.10000000000000000000000001"), "N")


@pytest.mark.parametrize("at", ["1735689600000", '"2025-01-01T00:00:00Z"', '"2025-01-01T08:00:00.000+08:00"'])
def test_a_time_is_ms_utc_or_iso_with_an_offset(at: str) -> None:
    assert measured(f'{{"point": "p", "at": {at}, "value": 1}}'.encode())[0].at == 1_735_689_600_000


def test_several_values_and_several_messages_come_in_order() -> None:
    found = measured(b'[{"at": 1, "values": {"a": 1, "b": "2.50"}, "flag": "T"}, {"at": 2, "point": "a", "value": 3}]')
    assert found == [
        Measured("a", 1, Decimal(1), "T"),
        Measured("b", 1, Decimal("2.50"), "T"),
        Measured("a", 2, Decimal(3), "N"),
    ]


@pytest.mark.parametrize("value", ["null", "true", '"twelve"', "[1]", '"' + "9" * 401 + '"'])
def test_what_is_no_number_is_none(value: str) -> None:
    assert measured(f'{{"point": "p", "at": 1, "value": {value}}}'.encode())[0].value is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"1",
        b"[" * 100_000,
        b"[[]]",
        b'{"at": 1}',
        b'{"point": 1, "at": 1, "value": 1}',
        b'{"point": "p", "at": 1, "value": 1, "more": 1}',
        b'{"point": "p", "at": 1, "values": {"p": 1}}',
        b'{"at": 1, "values": 1}',
        b'{"at": 1, "values": {"p": 1, "p": 2}}',
        b'{"point": "p", "at": 1.5, "value": 1}',
        b'{"point": "p", "at": true, "value": 1}',
        b'{"point": "p", "at": -1, "value": 1}',
        b'{"point": "p", "at": 4503599627370496, "value": 1}',
        b'{"point": "p", "at": "2025-01-01T00:00:00", "value": 1}',
        b'{"point": "p", "at": "0001-01-01T00:00:00+23:59", "value": 1}',
        b'{"point": "p", "at": 1, "value": 1, "flag": "NN"}',
        b'{"point": "p", "at": 1, "value": 1, "flag": null}',
    ],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(RefusedError, match="not_a_reading"):
        measured(payload)


def test_an_integer_without_end_is_refused() -> None:
    with pytest.raises(RefusedError, match="not_a_number"):
        measured(b'{"point": "p", "at": 1, "value": ' + b"9" * 5_000 + b"}")


def test_more_values_than_an_arrival_holds_are_refused() -> None:
    one = b'{"point": "p", "at": 1, "value": 1}'
    assert len(measured(b"[" + b",".join([one] * 1_000) + b"]")) == 1_000
    with pytest.raises(RefusedError, match="too_large"):
        measured(b"[" + b",".join([one] * 1_001) + b"]")
