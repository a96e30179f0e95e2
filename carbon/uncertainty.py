"""How sure an emission is: uncertainties in % of the value, with 95 % coverage, propagated through products and sums.

Of independent parts a product's is the root of the sum of squares, and a sum's the root of the sum of their squared
amounts; of parts that err together both are linear (JCGM 100:2008, 5.1.6 and 5.2.2). So the years of one meter don't
average it out, and two plants with the same emission factor are wrong about it together. Floats: they are shown, and
decide no verdict.

By hand: 100 t with a meter of 3 % and 200 t with one of 2 %, both by a factor of 1.5 %: the meters come to
√(3² + 4²) = 5 t, the factor to 1.5 + 3 = 4.5 t, both to √(25 + 20.25) = 6.727 t of 300 t, ± 2.24 %.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot
from typing import NamedTuple

from carbon.factors import FactorSet
from carbon.quantity import QuantityError, number

TABLE = "cems_constants.eu_mrr"
TIERS = (4, 3, 2, 1)
"""Of the EU's monitoring regulation, the strictest first; its limits are rows of the factor set."""
METHODS = ("fuel", "cems_co2")
"""Activity data of fuels by calculation (Annex II, table 1), and CO2 by CEMS (Annex VIII, table 1)."""


@dataclass(frozen=True)
class Declared:
    """What a point's registration declares, from certificates and calibrations: % of its quantity, and of the factor
    that its emission rule multiplies with. Raises QuantityError."""

    quantity: str
    factor: str = "0"

    def __post_init__(self) -> None:
        for text in (self.quantity, self.factor):
            if not isinstance(text, str) or not 0 <= number(text) <= 100:
                raise QuantityError(f"{text!r} is no uncertainty of 0 to 100 %, as text")


class Part(NamedTuple):
    """A part of a total: its emission, what makes it uncertain by itself in %, and in common with all parts that name
    the same in `factor`."""

    emission_g: int
    own: float
    factor: str
    common: float

    @classmethod
    def of(cls, emission_g: int, declared: Declared, factor: str) -> "Part":
        """A point's, by what it declares; `factor` is its emission rule's text."""
        return cls(emission_g, float(number(declared.quantity)), factor, float(number(declared.factor)))


def product(*percent: float) -> float:
    """Of a product or quotient of independent quantities, %.

    By hand, a CEMS mass: concentration 2.5 %, flow 5 %, temperature 3 of 400 K (0.75 %), pressure 0.5 %, moisture 0.5
    of 92 % dry (0.543 %): √(6.25 + 25 + 0.5625 + 0.25 + 0.295) = 5.69 %.
    """
    return hypot(*percent)


def product_together(*percent: float) -> float:
    """Of a product of quantities that err together, %."""
    return sum(percent)


def total(parts: Iterable[Part]) -> float | None:
    """Of a sum, %; None for a sum of 0, which has no relative uncertainty."""
    independent, together = [0.0], defaultdict[str, float](float)
    grams = 0
    for part in parts:
        grams += part.emission_g
        independent.append(part.emission_g * part.own)
        together[part.factor] += part.emission_g * part.common
    return hypot(*independent, *together.values()) / abs(grams) if grams else None


class Row(NamedTuple):
    """A point in a budget: its emission, and its uncertainty in %; None where nothing is declared."""

    point: str
    emission_g: int
    percent: float | None


class Budget(NamedTuple):
    """A total as far as its points declare how sure they are: `emission_g` of `all_g`, and its uncertainty in %."""

    rows: tuple[Row, ...]
    all_g: int
    emission_g: int
    percent: float | None


def budget(emissions: Mapping[str, int], declared: Mapping[str, tuple[Declared, str]]) -> Budget:
    """The budget of emissions in g by point; `declared` is of each that does, with its emission rule's text."""
    parts = {point: Part.of(grams, *declared[point]) for point, grams in emissions.items() if point in declared}
    alone = {point: product(part.own, part.common) for point, part in parts.items()}
    rows = tuple(Row(point, grams, alone.get(point)) for point, grams in sorted(emissions.items()))
    sure = sum(part.emission_g for part in parts.values())
    return Budget(rows, sum(emissions.values()), sure, total(parts.values()))


def limit(factors: FactorSet, method: str, tier: int) -> float:
    """The highest uncertainty in % that a tier of the EU's monitoring regulation permits. Raises FactorError."""
    return float(100 * factors.value(f"{TABLE}.{method}_tier{tier}", "1"))


def tier(factors: FactorSet, method: str, percent: float) -> int | None:
    """The strictest tier that an uncertainty meets; None for one beyond tier 1. Raises FactorError."""
    return next((one for one in TIERS if percent <= limit(factors, method, one)), None)


def text(percent: float | None) -> str:
    """As it is shown: `± 2.24 % (95 %)`."""
    return "–" if percent is None else f"± {percent:.2f} % (95 %)"
