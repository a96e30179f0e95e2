"""What stands beside emissions and is never added to them: standard coal, and electricity by the market-based method.

Both follow from quantities, by the rule and the factor set that a record or a bill names, exactly; what is shown is
rounded once. The books count purchased electricity location-based (GHG Protocol Scope 2 Guidance, chapter 6: both
figures are reported side by side, and one of them is the total's).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from carbon.emission import EmissionRule, rule_from
from carbon.factors import FactorError, FactorSet
from carbon.quantity import QuantityError, ratio
from carbon.registry import Registry
from carbon.substitution import of_point

Fields = tuple[tuple[str, str], ...]
"""The names and values that a bill states of its rule."""


class Basis(NamedTuple):
    """What quantities are of: integers of 10^-scale of a unit, by a rule and a factor set."""

    rule: str | Fields
    """As a record states it, or a bill."""
    unit: str
    scale: int
    factors: bytes
    """Digest of the set."""


@dataclass
class Amount:
    """Quantities of a basis, what they posted, and what of it took the place of former versions, g CO2e."""

    quantity: int = 0
    posted_g: int = 0
    replaced_g: int = 0

    def add(self, other: "Amount") -> None:
        """With another amount of the basis."""
        self.quantity += other.quantity
        self.posted_g += other.posted_g
        self.replaced_g += other.replaced_g


class Rate(NamedTuple):
    """Of one integer of a basis: g CO2e, g of standard coal, and g CO2 market-based, None where none is declared."""

    emission: Fraction
    standard_coal: Fraction
    market: Fraction | None


class Beside(NamedTuple):
    """What stands beside an emission: g of standard coal, None where a factor set lacks what it takes; g CO2 of
    purchased electricity by the market-based method, None where none is declared."""

    standard_coal: Fraction | None = Fraction(0)
    market: Fraction | None = None


@dataclass
class Rates:
    """The rules that records name, by their text, and the factor sets by their digest, as registries bring them."""

    rules: dict[str, EmissionRule] = field(default_factory=dict)
    sets: dict[bytes, FactorSet] = field(default_factory=dict)
    _known: dict[Basis, Rate | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def learn(self, registry: Registry) -> None:
        """Know a registry's points and factor sets."""
        self.rules |= {point.rule: point.emission for point in registry.points.values()}
        self.sets |= {known.digest: known for known in registry.sets}

    def rate(self, basis: Basis) -> Rate | None:
        """What an integer of a basis comes to; None for a rule or a row that isn't known."""
        if basis not in self._known:
            self._known[basis] = self._found(basis)
        return self._known[basis]

    def _found(self, basis: Basis) -> Rate | None:
        factors = self.sets.get(basis.factors)
        try:
            text = basis.rule
            rule = self.rules.get(of_point(text)) if isinstance(text, str) else rule_from(dict(text))
            return None if rule is None or factors is None else rate_of(rule, basis.unit, basis.scale, factors)
        except (FactorError, QuantityError):
            return None


def rate_of(rule: EmissionRule, unit: str, scale: int, factors: FactorSet) -> Rate:
    """What an integer of 10^-scale of a unit comes to by a rule that was accepted with its rows.

    Raises FactorError, QuantityError.
    """
    size, rows = ratio(unit, rule.unit) / 10**scale, rule.rows
    market = rule.market(factors, rows)
    return Rate(
        size * rule.coefficient(factors, rows),
        size * 1000 * rule.standard_coal(factors, rows),
        None if market is None else size * market,
    )


def beside(amounts: Mapping[Basis, Amount], rates: Rates) -> Beside:
    """What stands beside the emission of some amounts of one source.

    A correction names the emission that it replaces and not the quantity: that follows from it, to half a gram of CO2.
    """
    coal, market, is_declared = Fraction(0), Fraction(0), False
    for basis, amount in amounts.items():
        rate = rates.rate(basis)
        if rate is None:
            return Beside(None, None)
        quantity = amount.quantity - (amount.replaced_g / rate.emission if amount.replaced_g else 0)
        coal += quantity * rate.standard_coal
        market += amount.posted_g if rate.market is None else quantity * rate.market
        is_declared |= rate.market is not None
    return Beside(coal, market if is_declared else None)
