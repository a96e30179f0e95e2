"""Quantities: exact conversions, and no sum or conversion between dimensions."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon.quantity import Quantity, QuantityError, number, ratio

GROUPS = (
    ("mg", "g", "kg", "t"),
    ("Wh", "kWh", "MWh", "GWh", "kJ", "MJ", "GJ", "TJ"),
    ("gCO2", "kgCO2", "tCO2", "tCO2e"),
    ("tC/TJ", "tC/GJ", "gC/MJ", "kgC/kWh"),
    ("GJ/1e4 Nm3", "kJ/Nm3"),
    ("s", "min", "h", "d"),
    ("%", "1", "ppm", "GJ/MWh"),
    ("fen/t", "CNY/kg"),
    ("m3/s", "m3/h", "L/min"),
    ("Pa", "kPa"),
)
UNITS = [unit for group in GROUPS for unit in group]


@pytest.mark.parametrize(
    ("text", "unit", "wanted"),
    [
        ("12.5 t", "kg", "12500"),
        ("3.2 GJ/t", "kJ/kg", "3200"),
        ("0.5306 kgCO2/kWh", "tCO2/MWh", "0.5306"),
        ("28.0 tC/TJ", "tC/GJ", "0.028"),
        ("389.31 GJ/1e4 Nm3", "MJ/Nm3", "38.931"),
        ("99 %", "1", "0.99"),
        ("101.325 kPa", "Pa", "101325"),
        ("2 m3/s", "m3/h", "7200"),
        ("3.6 GJ", "MWh", "1"),
        ("0.11 tCO2/GJ", "kgCO2e/MJ", "0.11"),
        ("80 CNY/t", "fen/t", "8000"),
        ("5.7e-07 t", "g", "0.57"),
        ("7", "1", "7"),
        ("-1 t", "g", "-1000000"),
    ],
)
def test_conversions_by_hand(text: str, unit: str, wanted: str) -> None:
    assert Quantity.parse(text).to(unit) == Fraction(wanted)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("1 t", "tC", "tC is carbon, not mass"),
        ("1 tC", "tCO2", "tCO2 is CO2e, not carbon"),
        ("1 m3", "Nm3", "Nm3 is normal volume, not volume"),
        ("1 kWh", "kgce", "kgce is standard coal, not energy"),
        ("1 GJ/t", "GJ", "GJ is energy, not energy/mass"),
        ("1 t", "furlong", "no unit 'furlong'"),
        ("1 GJ/", "GJ", "no unit 'GJ/'"),
        ("1 " + "t " * 33, "t", "at most 64 characters"),
        ("1 a/b/c", "t", "not in the table"),
        ("1/3 t", "t", "not a decimal number"),
        ("1e999 t", "t", "not a decimal number"),
        ("nan t", "t", "not a decimal number"),
        ("١ t", "t", "not a decimal number"),
        ("1_000 t", "t", "not a decimal number"),
        ("", "t", "not a decimal number"),
        ("0." + "1" * 19 + " t", "t", "not a decimal number"),
    ],
)
def test_what_is_no_quantity_or_another_is_refused(text: str, unit: str, says: str) -> None:
    with pytest.raises(QuantityError, match=says):
        Quantity.parse(text).to(unit)


def test_sums_and_quotients_keep_their_dimension() -> None:
    heat = Quantity.parse("2 t") * Quantity.parse("20 GJ/t")
    assert heat.to("MWh") == Fraction(40_000, 3600)
    assert (heat / Quantity.parse("5 GJ")).to("1") == 8
    assert (Quantity.parse("1 t") + Quantity.parse("1 kg")).to("g") == 1_001_000
    with pytest.raises(QuantityError, match="energy does not add to mass"):
        _ = Quantity.parse("1 t") + Quantity.parse("1 GJ")
    with pytest.raises(QuantityError, match="divides nothing"):
        _ = heat / Quantity.parse("0 GJ")


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.fractions())
@settings(max_examples=100)
def test_a_conversion_there_and_back_changes_nothing(unit: str, other: str, amount: Fraction) -> None:
    same = next(group for group in GROUPS if unit in group) == next(group for group in GROUPS if other in group)
    if same:
        assert Quantity.of(Quantity.of(amount, unit).to(other), other) == Quantity.of(amount, unit)
        assert ratio(unit, other) * ratio(other, unit) == 1
    else:
        with pytest.raises(QuantityError):
            ratio(unit, other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
@settings(max_examples=50)
def test_a_decimal_is_read_exactly(value) -> None:
    assert number(f"{value:f}") == Fraction(value)
