"""The table of saturation pressures against the formula that it is from."""

from math import ceil, sqrt

import pytest

from carbon.flue_gas import SATURATION_PA

_N = (
    *(0.11670521452767e4, -0.72421316703206e6, -0.17073846940092e2, 0.12020824702470e5, -0.32325550322333e7),
    *(0.14915108613530e2, -0.48232657361591e4, 0.40511340542057e6, -0.23855557567849, 0.65017534844798e3),
)
"""IAPWS-IF97, table 34."""


def saturation_mpa(kelvin: float) -> float:
    """IAPWS-IF97, equation 30."""
    theta = kelvin + _N[8] / (kelvin - _N[9])
    a = theta**2 + _N[0] * theta + _N[1]
    b = _N[2] * theta**2 + _N[3] * theta + _N[4]
    c = _N[5] * theta**2 + _N[6] * theta + _N[7]
    return float((2 * c / (-b + sqrt(b * b - 4 * a * c))) ** 4)


def test_the_formula_gives_the_standards_own_values() -> None:
    for kelvin, pressure in ((300, 0.353658941e-2), (500, 0.263889776e1), (600, 0.123443146e2)):  # table 35
        assert saturation_mpa(kelvin) == pytest.approx(pressure, rel=1e-8)


def test_the_table_is_the_formula_rounded_up() -> None:
    assert list(SATURATION_PA) == [ceil(1e6 * saturation_mpa(273.15 + celsius)) for celsius in range(101)]
