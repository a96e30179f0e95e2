"""What a quantity comes to by its rule and a factor set: its emission again, and what stands beside it."""

from collections.abc import Collection
from fractions import Fraction
from typing import NamedTuple

from carbon.emission import EmissionRule, rounded
from carbon.factors import FactorSet
from carbon.quantity import ratio


class Figures(NamedTuple):
    """Integers, each rounded half-even once: g CO2e, g of standard coal, g of biogenic CO2 that count in no total.

    Of purchased electricity the emission is location-based; the market-based g CO2 are None where none is declared.
    """

    emission_g: int
    standard_coal_g: int
    biogenic_g: int
    market_based_g: int | None = None


def figures(
    quantity: int, scale: int, unit: str, rule: EmissionRule, factors: FactorSet, allowed: Collection[str] = ()
) -> Figures:
    """Those of a quantity in units of 10^-scale, by the set that its record names.

    Raises FactorError, QuantityError for what no record was made of.
    """
    amount = Fraction(quantity, 10**scale) * ratio(unit, rule.unit)
    market = rule.market(factors, allowed)
    return Figures(
        rounded(amount * rule.coefficient(factors, allowed)),
        rounded(amount * 1000 * rule.standard_coal(factors, allowed)),
        rounded(amount * rule.apart(factors, allowed)),
        None if market is None else rounded(amount * market),
    )
