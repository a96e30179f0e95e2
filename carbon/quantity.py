"""Quantities with units: exact fractions that know their dimension, from a closed table of units.

Fuel, carbon, CO2, standard coal, and volume as measured or at 0 °C and 101,325 Pa (Nm3) are dimensions of their own: a
tonne of carbon is no tonne of CO2. CO2 and CO2e are one, as the warming potential of CO2 is 1.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?(e-?[0-9]{1,2})?")
_PREFIXED: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "g": ("mass", {"mg": -3, "g": 0, "kg": 3, "t": 6}),
    "gC": ("carbon", {"gC": 0, "kgC": 3, "tC": 6}),
    "gCO2": ("CO2e", {"gCO2": 0, "kgCO2": 3, "tCO2": 6, "gCO2e": 0, "kgCO2e": 3, "tCO2e": 6}),
    "gce": ("standard coal", {"gce": 0, "kgce": 3, "tce": 6}),
    "J": ("energy", {"kJ": 3, "MJ": 6, "GJ": 9, "TJ": 12}),
    "m3": ("volume", {"L": -3, "m3": 0}),
    "Nm3": ("normal volume", {"Nm3": 0}),
    "Pa": ("pressure", {"Pa": 0, "hPa": 2, "kPa": 3}),
    "CNY": ("money", {"fen": -2, "CNY": 0}),
    "mol": ("amount", {"mol": 0, "kmol": 3}),
    "a": ("year", {"a": 0}),
    "1": ("", {"1": 0, "%": -2, "ppm": -6}),
}
"""Base unit: its dimension, and the powers of ten of the units of it."""
_SIZES: Mapping[str, tuple[str, Fraction]] = {
    **{unit: (kind, Fraction(10) ** n) for kind, units in _PREFIXED.values() for unit, n in units.items()},
    **{unit: ("energy", Fraction(3600) * 10**n) for unit, n in (("Wh", 0), ("kWh", 3), ("MWh", 6), ("GWh", 9))},
    **{unit: ("time", Fraction(n)) for unit, n in (("s", 1), ("min", 60), ("h", 3600), ("d", 86_400))},
}
"""Every unit: its dimension and its size in the base unit."""

MOST_CHARACTERS = 64
"""Of a unit's text: a stranger's could else be one of a million factors."""

Dimension = frozenset[tuple[str, int]]
"""Base dimensions and their exponents, none of them 0."""


class QuantityError(ValueError):
    """What is no number, no unit of the table, or of another dimension than asked for."""


@dataclass(frozen=True)
class Quantity:
    """An exact amount: `base` counts base units (g, J, m3, s …) of its dimension."""

    base: Fraction
    dimension: Dimension

    @classmethod
    def of(cls, number: Fraction, unit: str) -> "Quantity":
        """So many of a unit. Raises QuantityError."""
        size, dimension = _unit(unit)
        return cls(number * size, dimension)

    @classmethod
    def parse(cls, text: str) -> "Quantity":
        """The quantity of a text such as `3.2 GJ/t`. Raises QuantityError."""
        number_, _, unit = text.strip().partition(" ")
        return cls.of(number(number_), unit.strip() or "1")

    def to(self, unit: str) -> Fraction:
        """How many of a unit it is, exact. Raises QuantityError for a unit of another dimension."""
        size, dimension = _unit(unit)
        if dimension != self.dimension:
            raise QuantityError(f"{unit} is {_name(dimension)}, not {_name(self.dimension)}")
        return self.base / size

    def __add__(self, other: "Quantity") -> "Quantity":
        if other.dimension != self.dimension:
            raise QuantityError(f"{_name(other.dimension)} does not add to {_name(self.dimension)}")
        return Quantity(self.base + other.base, self.dimension)

    def __mul__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.base * other.base, _product(self.dimension, other.dimension, 1))

    def __truediv__(self, other: "Quantity") -> "Quantity":
        if other.base == 0:
            raise QuantityError("a quantity of zero divides nothing")
        return Quantity(self.base / other.base, _product(self.dimension, other.dimension, -1))


def number(text: str) -> Fraction:
    """The exact value of a decimal such as `-0.5306` or `5.7e-07`. Raises QuantityError; bounds what it reads."""
    if not _NUMBER.fullmatch(text):
        raise QuantityError(f"{text!r} is not a decimal number")
    return Fraction(text)


def ratio(unit: str, other: str) -> Fraction:
    """How many of `other` one `unit` is. Raises QuantityError when they measure different things."""
    return Quantity.of(Fraction(1), unit).to(other)


def _unit(text: str) -> tuple[Fraction, Dimension]:
    """Size and dimension of a unit such as `GJ/1e4 Nm3`: one stroke at most, a product on either side of it."""
    if len(text) > MOST_CHARACTERS:
        raise QuantityError(f"a unit has at most {MOST_CHARACTERS} characters")
    above, stroke, below = text.partition("/")
    size, dimension = _units(above, text)
    if not stroke:
        return size, dimension
    divisor, divided = _units(below, text)
    return size / divisor, _product(dimension, divided, -1)


def _units(text: str, whole: str) -> tuple[Fraction, Dimension]:
    size, dimension = Fraction(1), Dimension()
    for word in text.split():
        if word == "1e4":
            size *= 10_000
            continue
        if word not in _SIZES:
            raise QuantityError(f"no unit {whole!r}: {word!r} is not in the table of units")
        kind, factor = _SIZES[word]
        size *= factor
        dimension = _product(dimension, Dimension({(kind, 1)} if kind else ()), 1)
    if not text.split():
        raise QuantityError(f"no unit {whole!r}")
    return size, dimension


def _product(left: Dimension, right: Dimension, sign: int) -> Dimension:
    total = Counter(dict(left))
    for kind, exponent in right:
        total[kind] += sign * exponent
    return Dimension((kind, exponent) for kind, exponent in total.items() if exponent)


def _name(dimension: Dimension) -> str:
    """A dimension for people: `energy/mass`."""
    above, below = ([k for k, n in sorted(dimension) for _ in range(sign * n)] for sign in (1, -1))
    return (" · ".join(above) or "a pure number") + "".join(f"/{kind}" for kind in below)
