"""The mass of CO2 or CH4 in a stack's gas, in exact integers: concentration times flow, brought to the same gas.

HJ 212-2017, D.2: G = C · Q · 10^-6 with Q_dry = Q · 273/(273+t) · (Ba+Ps)/101325 · (1−Xsw), and C = M/22.4 · ppm. A
reading stands for its point's step, so its mass is G · step, in 10^-3 g, rounded half-even once after the last
multiplication. Products take up to 90 bits: they are Python's integers, which can't wrap.

By hand, one minute of C = 200,000 mg/Nm3 dry and Q = 1,000,000 m3/h wet at 127 °C, −1,325 Pa in 101,325 Pa, 8 %:
Q_dry = 10^6 · 273/400 · 100,000/101,325 · 0.92 = 619,689.119 Nm3/h; G = 123,937.824 kg/h; a minute is 2,065,630.397 g.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon.emission import round_half_even
from carbon.emission.cems import CemsMass
from carbon.quantity import QuantityError, ratio

G_PER_MOL = {"CO2": Fraction("44.01"), "CH4": Fraction("16.043")}
"""M; that of CH4 by abridged atomic weights, 12.011 + 4 · 1.008 (IUPAC)."""
LITRES_PER_MOL = Fraction("22.4")
"""At 273 K and 101325 Pa (HJ 212-2017, D.2.1, equation 20)."""
ZERO_CELSIUS = 273
NORMAL_PA = 101_325
_SHARES = {"ppm": 1, "%": 10**4, "vol%": 10**4}
"""ppm."""
_CELSIUS = ("°C", "degC")
_MOISTURE = ("%", "vol%")
_PASCALS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?", re.ASCII)

_Exact = NDArray[np.object_]
"""Python's integers, (n,)."""


class MassError(ValueError):
    """A rule whose points can't give a mass."""


class Measured(NamedTuple):
    """A point as the formula sees it: its readings are integers of 10^-scale of `unit`, from `least` to `most`."""

    unit: str
    scale: int
    least: int
    most: int


class _Pressures(NamedTuple):
    """pressure = static · Ps + barometric · Ba + ambient, in integers."""

    static: int
    barometric: int
    ambient: int


_NO_PRESSURES = _Pressures(0, 0, 0)


@dataclass(frozen=True)
class MassFormula:
    """A rule in the integers of its points. mass = top · C · Q · pressure · dry / (bottom · kelvin · wet)."""

    rule: CemsMass
    top: int
    bottom: int
    zero: int
    """0 °C in the temperature's integers above 0 K."""
    pressures: _Pressures
    whole: int
    """100 % in the moisture's integers."""
    largest: int = 0
    """The most that one reading within its points' ranges comes to."""

    def masses(self, concentration: NDArray[Any], partners: Mapping[str, NDArray[Any]]) -> list[int]:
        """The mass of each reading, (n,) in 10^-3 g, beside those of its partners (n,) at the same instants."""
        rule = self.rule
        top = self.top * concentration.astype(object) * partners[rule.flow]
        bottom = np.full(len(concentration), self.bottom, object)
        if rule.temperature is not None:
            top *= self._pressure(partners)
            bottom *= self.zero + partners[rule.temperature].astype(object)
        if rule.moisture is not None:
            dry = self.whole - partners[rule.moisture].astype(object)
            if rule.basis == "dry":
                top *= dry
            else:
                bottom *= dry
        return [round_half_even(*both) for both in zip(top.tolist(), bottom.tolist(), strict=True)]

    def _pressure(self, partners: Mapping[str, NDArray[Any]]) -> _Exact:
        rule = self.rule
        assert rule.static_pressure is not None
        pressure: _Exact = self.pressures.static * partners[rule.static_pressure].astype(object)
        pressure += self.pressures.ambient
        if rule.barometric_pressure is not None:
            pressure += self.pressures.barometric * partners[rule.barometric_pressure].astype(object)
        return pressure


def formula(rule: CemsMass, own: Measured, step_seconds: int, partners: Mapping[str, Measured]) -> MassFormula:
    """A rule in the integers of its concentration `own`, a reading of which stands for a step, and of its partners.

    Raises MassError where a unit is another, or a range lets the formula divide by zero or come to less than nothing.
    """
    flow = partners[rule.flow]
    if own.least < 0 or flow.least < 0:
        raise MassError("a concentration and a flow are at least 0")
    is_actual = rule.temperature is not None
    scale = _concentration(own, rule.gas) * _in(flow, "m3/h" if is_actual else "Nm3/h") * Fraction(step_seconds, 3600)
    zero, whole, pressures = 1, 100, _NO_PRESSURES
    if rule.temperature is not None:
        zero, (common, pressures) = _kelvin(partners[rule.temperature]), _pressures(rule, partners)
        scale *= zero * common / NORMAL_PA
    if rule.moisture is not None:
        whole = _whole(partners[rule.moisture])
        scale = scale / whole if rule.basis == "dry" else scale * whole
    found = MassFormula(rule, scale.numerator, scale.denominator, zero, pressures, whole)
    return replace(found, largest=_largest(found, own, partners))


def _concentration(point: Measured, gas: str) -> Fraction:
    """mg/Nm3 of one of its integers. Raises MassError."""
    if point.unit not in _SHARES:
        return _in(point, "mg/Nm3")
    return _SHARES[point.unit] * G_PER_MOL[gas] / LITRES_PER_MOL / Fraction(10**point.scale)


def _in(point: Measured, unit: str) -> Fraction:
    """How many of a unit one of a point's integers is. Raises MassError."""
    try:
        return ratio(point.unit, unit) / Fraction(10**point.scale)
    except QuantityError as error:
        raise MassError(f"{unit} is wanted, not {point.unit}: {error}") from error


def _kelvin(temperature: Measured) -> int:
    if temperature.unit not in _CELSIUS:
        raise MassError(f"°C is wanted, not {temperature.unit}")
    zero = ZERO_CELSIUS * int(10**temperature.scale)
    if temperature.least <= -zero:
        raise MassError("a temperature is above 0 K")
    return zero


def _whole(moisture: Measured) -> int:
    if moisture.unit not in _MOISTURE:
        raise MassError(f"% is wanted, not {moisture.unit}")
    whole = 100 * int(10**moisture.scale)
    if not 0 <= moisture.least <= moisture.most < whole:
        raise MassError("moisture is at least 0 and below 100 %")
    return whole


def _pressures(rule: CemsMass, partners: Mapping[str, Measured]) -> tuple[Fraction, _Pressures]:
    """Pa of the unit in which the pressure is an integer, and the terms in it."""
    assert rule.static_pressure is not None
    points = [partners[name] for name in (rule.static_pressure, rule.barometric_pressure) if name is not None]
    ones = [_in(point, "Pa") for point in points]
    ambient = _pascals(rule.barometric_pa)
    if sum((one * point.least for one, point in zip(ones, points, strict=True)), ambient) <= 0:
        raise MassError("a duct's pressure is above 0")
    common = Fraction(1, lcm(*(term.denominator for term in (*ones, ambient))))
    static, *barometric = (int(one / common) for one in ones)
    return common, _Pressures(static, sum(barometric), int(ambient / common))


def _pascals(text: str | None) -> Fraction:
    if text is None:
        return Fraction(0)
    if not _PASCALS.fullmatch(text):
        raise MassError(f"{text!r} is no pressure in Pa")
    return Fraction(text)


def _largest(found: MassFormula, own: Measured, partners: Mapping[str, Measured]) -> int:
    """The mass at that end of every range that makes it most."""
    rule = found.rule
    lowest = {rule.temperature, rule.moisture if rule.basis == "dry" else None}
    ends = {name: one.least if name in lowest else one.most for name, one in partners.items()}
    (largest,) = found.masses(_column(own.most), {name: _column(end) for name, end in ends.items()})
    return largest


def _column(value: int) -> _Exact:
    return np.array([value], object)
