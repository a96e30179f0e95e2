"""What a quantity comes to by its rule and a factor set: its emission again, its standard coal, biogenic CO2 apart."""

from collections.abc import Collection
from fractions import Fraction
from typing import NamedTuple

from carbon.emission import EmissionRule, round_half_even
from carbon.factors import FactorSet
from carbon.quantity import ratio


class Figures(NamedTuple):
    """Integers, each rounded half-even once: g CO2e, g of standard coal, g of biogenic CO2 that count in no total."""

    emission_g: int
    standard_coal_g: int
    biogenic_g: int


def figures(
    quantity: int, scale: int, unit: str, rule: EmissionRule, factors: FactorSet, allowed: Collection[str] = ()
) -> Figures:
    """Those of a quantity in units of 10^-scale, by the set that its record names.

    Raises FactorError, QuantityError for what no record was made of.
    """
    amount = Fraction(quantity, 10**scale) * ratio(unit, rule.unit)
    grams = (
        rule.coefficient(factors, allowed),
        1000 * rule.standard_coal(factors, allowed),
        rule.apart(factors, allowed),
    )
    return Figures(*(round_half_even(*(amount * each).as_integer_ratio()) for each in grams))
