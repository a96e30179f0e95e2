"""Emission rules against figures worked by hand, and rounding against the definition."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import emission, factors
from carbon.emission import Combustion, PurchasedElectricity
from carbon.factors import FactorError
from tests.small import COEFFICIENT

SET = factors.load()
COAL = Combustion("9.5", "power_plant_mee.coal_default_carbon_per_heat_2022on", "power_plant_mee.coal_oxidation_rate")


def test_coal_by_hand():
    # 1 MWh · 9.5 GJ/MWh · 0.03085 tC/GJ · 0.99 · 44/12 = 1.06386225 t
    assert COAL.coefficient(SET) == COEFFICIENT == Fraction("1.06386225") * 1
    assert emission.emission_g(1_000_000, COAL.coefficient(SET).as_integer_ratio()) == 1_063_862


def test_lignite_and_gas_convert_their_units():
    lignite = Combustion(
        "10", "fuel_defaults.ndrc_other.lignite.carbon_per_heat", "fuel_defaults.ndrc_other.lignite.oxidation"
    )
    # 10 · 28.0/1000 · 0.96 · 44/12
    assert lignite.coefficient(SET) == Fraction(10) * Fraction(28, 1000) * Fraction(96, 100) * Fraction(44, 12)


def test_electricity_is_the_grid_factor():
    assert PurchasedElectricity("grid_factors.CN.national.2023").coefficient(SET) == Fraction("0.5306")


def test_d_rows_are_refused_unless_named():
    row = "power_plant_mee.grid_factor_power_sector_2020data"
    with pytest.raises(FactorError, match="allow it by name"):
        SET.value(row, "kgCO2/kWh")
    assert SET.value(row, "kgCO2/kWh", allowed={row}) == Fraction("0.581")


@pytest.mark.parametrize("row", ["power_plant_mee.nothing", "power_plant_mee.direct_vs_calculated_gap"])
def test_what_is_no_factor_is_refused(row):
    with pytest.raises(FactorError):
        SET.value(row, "1")


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_round_half_even(numerator, denominator):
    wanted = round(Fraction(numerator, denominator))
    assert emission.round_half_even(numerator, denominator) == wanted


@pytest.mark.parametrize(("half", "even"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2)])
def test_ties_go_to_even(half, even):
    assert emission.round_half_even(half, 2) == even
    assert (Decimal(half) / 2).quantize(Decimal(1), ROUND_HALF_EVEN) == even
