"""Units: exact, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.units import UnitError, conversion


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "result"),
    [
        ("12.5", "vol%", "ppm", "125000"),
        ("235.768", "g/m3", "mg/m3", "235768"),
        ("235768", "mg/Nm3", "g/Nm3", "235.768"),
        ("-0.125", "kPa", "Pa", "-125"),
        ("1.5", "m3/s", "m3/h", "5400"),
        ("25", "degC", "K", "298.15"),
        ("298.15", "K", "degC", "25.00"),
        ("8.1", "%", "1", "0.081"),
        ("1", "kWh", "kJ", "3600"),
        ("0.001", "t", "g", "1000"),
    ],
)
def test_conversions(value: str, unit: str, wanted: str, result: str) -> None:
    convert = conversion(unit, wanted)
    assert convert is not None
    assert convert(Decimal(value)) == Decimal(result)


@pytest.mark.parametrize("unit", ["vol%", "dB", "furlong"])
def test_the_same_unit_needs_none(unit: str) -> None:
    assert conversion(unit, unit) is None


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("vol%", "mg/m3"),
        ("m3/h", "Nm3/h"),
        ("mg/m3", "mg/Nm3"),
        ("m3/h", "m3/s"),
        ("kJ", "Wh"),
        ("mg", "mgg"),
        ("", "g"),
    ],
)
def test_what_is_no_exact_conversion(unit: str, wanted: str) -> None:
    with pytest.raises(UnitError):
        conversion(unit, wanted)


@given(st.decimals(min_value=-(10**20), max_value=10**20, places=12, allow_nan=False))
def test_there_and_back(value: Decimal) -> None:
    for unit, wanted in (("vol%", "ppb"), ("degC", "K"), ("ug/m3", "kg/m3")):
        there, back = conversion(unit, wanted), conversion(wanted, unit)
        assert there is not None
        assert back is not None
        assert back(there(value)) == value
