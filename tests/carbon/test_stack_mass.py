"""The formula of CEMS mass against figures worked by hand, and against the same in fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, stack_mass
from carbon.emission.cems import CemsMass, CemsMethane
from carbon.stack_mass import MassError, MassFormula, Measured, formula

ACTUAL = CemsMass("dry", "q", "wet", "t", "ps", "ba", None, "x")
C = Measured("mg/Nm3", 0, 0, 400_000)
OTHERS = {
    "q": Measured("m3/h", 0, 0, 3_000_000),
    "t": Measured("°C", 1, -300, 4_000),
    "ps": Measured("Pa", 0, -5_000, 5_000),
    "ba": Measured("kPa", 3, 60_000, 110_000),
    "x": Measured("%", 1, 0, 300),
}


def mass(found: MassFormula, own: int, **partners: int) -> int:
    (only,) = found.masses(np.array([own]), {name: np.array([value]) for name, value in partners.items()})
    return only


def test_a_minute_by_hand():
    # Q_dry = 10^6 · 273/400 · 100,000/101,325 · 0.92 = 619,689.119 Nm3/h; G = 0.2 kg/Nm3 of it = 123,937.824 kg/h
    found = formula(ACTUAL, C, 60, OTHERS)
    assert mass(found, 200_000, q=1_000_000, t=1_270, ps=-1_325, ba=101_325, x=80) == 2_065_630_397
    assert mass(formula(ACTUAL, C, 3600, OTHERS), 200_000, q=1_000_000, t=1_270, ps=-1_325, ba=101_325, x=80) == (
        123_937_823_834
    )


def test_twelve_per_cent_by_hand():
    # C = 44.01 / 22.4 · 120,000 ppm = 235,767.857 mg/Nm3 of 1,000 Nm3/h: 235.767857 kg/h
    normal, partners = CemsMass("dry", "q", "dry"), {"q": Measured("Nm3/h", 0, 0, 10_000)}
    for unit, scale, value in (("vol%", 0, 12), ("%", 2, 1_200), ("ppm", 0, 120_000)):
        found = formula(normal, Measured(unit, scale, 0, 10**6), 3600, partners)
        assert mass(found, value, q=1_000) == 235_767_857, unit


def test_the_standards_constants_are_those_of_the_factor_table():
    rows = factors.load()
    molar = rows.row("cems_constants.molar_volume_0C").value
    assert Fraction(molar) == stack_mass.LITRES_PER_MOL
    density = rows.row("cems_constants.co2_1volpct_mgm3").value
    assert round(10**4 * stack_mass.G_PER_MOL["CO2"] / stack_mass.LITRES_PER_MOL) == Fraction(density)


@pytest.mark.parametrize("basis", ["dry", "wet"])
@pytest.mark.parametrize("flow", ["dry", "wet"])
@given(values=st.tuples(*(st.integers(one.least, one.most) for one in (C, *OTHERS.values()))))
@settings(max_examples=40)
def test_the_mass_is_the_formula_in_fractions_rounded_once(basis, flow, values):
    c, q, t, ps, ba, x = values
    rule = CemsMass(basis, "q", flow, "t", "ps", "ba", None, "x" if basis != flow else None)
    found = formula(rule, C, 60, OTHERS)
    gas = Fraction(273) / (273 + Fraction(t, 10)) * Fraction(ba + ps, 101_325) * Fraction(60, 3600)
    dry = 1 - Fraction(x, 1000)
    share = {("dry", "wet"): dry, ("wet", "dry"): 1 / dry}.get((basis, flow), Fraction(1))
    assert mass(found, c, q=q, t=t, ps=ps, ba=ba, x=x) == round(c * q * gas * share)
    assert 0 <= mass(found, c, q=q, t=t, ps=ps, ba=ba, x=x) <= found.largest


def test_the_largest_is_reached():
    ends = {"q": 3_000_000, "t": -300, "ps": 5_000, "ba": 110_000}
    found = formula(ACTUAL, C, 60, OTHERS)
    assert found.largest == mass(found, 400_000, **ends, x=0)
    wet = formula(CemsMass("wet", "q", "dry", "t", "ps", "ba", None, "x"), C, 60, OTHERS)
    assert wet.largest == mass(wet, 400_000, **ends, x=300) > mass(wet, 400_000, **ends, x=299)


@given(st.integers(0, 400_000), st.integers(0, 1_000_000), st.integers(1, 3))
@settings(max_examples=40)
def test_mass_is_linear_in_concentration_and_flow_but_for_rounding(c, q, times):
    found = formula(ACTUAL, C, 60, OTHERS)
    rest = {"t": 1_270, "ps": 0, "ba": 101_325, "x": 80}
    one = mass(found, c, q=q, **rest)
    assert abs(mass(found, times * c, q=q, **rest) - times * one) <= times
    assert abs(mass(found, c, q=times * q, **rest) - times * one) <= times
    assert mass(found, c + 1, q=q, **rest) >= one >= mass(found, c, q=q, **rest | {"t": 1_271})
    assert mass(found, c, q=q, **rest | {"x": 81}) <= one <= mass(found, c, q=q, **rest | {"ps": 1})


def test_the_same_gas_in_other_units_is_the_same_mass():
    found = formula(ACTUAL, C, 60, OTHERS)
    others = OTHERS | {
        "q": Measured("m3/s", 3, 0, 10**6),
        "t": Measured("degC", 0, -30, 400),
        "ps": Measured("kPa", 1, -50, 50),
        "ba": Measured("hPa", 1, 6_000, 11_000),
        "x": Measured("vol%", 2, 0, 3_000),
    }
    other = formula(ACTUAL, Measured("g/Nm3", 1, 0, 4_000), 60, others)
    wanted = mass(found, 200_000, q=900_000, t=1_270, ps=-1_300, ba=101_300, x=80)
    assert mass(other, 2_000, q=250_000, t=127, ps=-13, ba=10_130, x=800) == wanted


def test_a_registered_pressure_is_as_good_as_a_measured_one():
    fixed = formula(CemsMass("dry", "q", "wet", "t", "ps", None, "101325.5", "x"), C, 60, OTHERS)
    finer = OTHERS | {"ba": Measured("Pa", 1, 600_000, 1_100_000)}
    gas = {"q": 1_000_000, "t": 1_270, "ps": -1_325, "x": 80}
    assert mass(fixed, 200_000, **gas) == mass(formula(ACTUAL, C, 60, finer), 200_000, **gas, ba=1_013_255)


def test_products_beyond_64_bits_do_not_wrap():
    precise = {name: one._replace(scale=one.scale + 3, most=one.most * 1000) for name, one in OTHERS.items()}
    found = formula(ACTUAL, Measured("mg/Nm3", 3, 0, 400_000_000), 60, precise)
    gas = {"q": 10**9, "t": 1_270_000, "ps": -1_325_000, "ba": 101_325_000, "x": 80_000}
    assert mass(found, 200_000_000, **gas) == 2_065_630_397


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("c", {"unit": "mg/m3"}, "mg/Nm3 is wanted"),
        ("c", {"unit": "g/kg"}, "mg/Nm3 is wanted"),
        ("c", {"least": -1}, "at least 0"),
        ("q", {"unit": "Nm3/h"}, "m3/h is wanted"),
        ("q", {"least": -1}, "at least 0"),
        ("t", {"unit": "K"}, "°C is wanted"),
        ("t", {"least": -2730}, "above 0 K"),
        ("ps", {"unit": "bar"}, "Pa is wanted"),
        ("ps", {"least": -60_000}, "pressure is above 0"),
        ("x", {"unit": "1"}, "% is wanted"),
        ("x", {"most": 1000}, "below 100 %"),
        ("x", {"least": -1}, "below 100 %"),
    ],
)
def test_what_gives_no_mass_is_refused(name, changes, says):
    points = {"c": C, **OTHERS}
    points[name] = points[name]._replace(**changes)
    with pytest.raises(MassError, match=says):
        formula(ACTUAL, points.pop("c"), 60, points)


@pytest.mark.parametrize("text", ["", "-1", "1e5", "101325.0001", "10 kPa", "٣"])
def test_what_is_no_pressure_is_refused(text):
    with pytest.raises(MassError, match="no pressure"):
        formula(CemsMass("dry", "q", "wet", "t", "ps", None, text, "x"), C, 60, OTHERS)


def test_a_minute_of_methane_by_hand():
    # C = 16.043 / 22.4 · 50 ppm = 35.810268 mg/Nm3 of 619,689.119 Nm3/h: 22.191233 kg/h, a sixtieth of it 369.854 g
    rule = CemsMethane("dry", "q", "wet", "t", "ps", "ba", None, "x", assessment="AR5")
    found = formula(rule, Measured("ppm", 0, 0, 1_000), 60, OTHERS)
    assert mass(found, 50, q=1_000_000, t=1_270, ps=-1_325, ba=101_325, x=80) == 369_854
    milligrams = formula(rule, Measured("mg/Nm3", 6, 0, 10**9), 60, OTHERS)
    assert mass(milligrams, 35_810_268, q=1_000_000, t=1_270, ps=-1_325, ba=101_325, x=80) == 369_854
    with pytest.raises(MassError, match="mg/Nm3 is wanted"):
        formula(rule, Measured("mgC/Nm3", 0, 0, 1_000), 60, OTHERS)
