"""The emission model: from a quantity of a point to grams of CO2e, in exact arithmetic.

A rule is data of the point or the bill; its coefficient is one exact fraction in g CO2e per unit, so an emission is
quantity × coefficient, rounded half-even once, after the last multiplication. 44/12 is exact.
"""

from collections.abc import Collection, Mapping
from fractions import Fraction

from carbon.emission.cems import CemsMass, CemsMethane
from carbon.emission.combustion import Combustion, DefaultCarbon, Fuel, MeasuredCarbon
from carbon.emission.energy import Heat, PurchasedElectricity
from carbon.emission.process import Biogenic, Methane, Process, Unbooked
from carbon.emission.rule import EmissionRule
from carbon.factors import FactorSet
from carbon.quantity import ratio

__all__ = [
    "RULES",
    "EmissionRule",
    "Unbooked",
    "coefficient_per",
    "emission_g",
    "round_half_even",
    "rounded",
    "rule_from",
    "told",
]

RULES: Mapping[str, type[EmissionRule]] = {
    "combustion": Combustion,
    "fuel": Fuel,
    "measured_carbon": MeasuredCarbon,
    "default_carbon": DefaultCarbon,
    "purchased_electricity": PurchasedElectricity,
    "heat": Heat,
    "process": Process,
    "methane": Methane,
    "biogenic": Biogenic,
    "cems_mass": CemsMass,
    "cems_methane": CemsMethane,
    "none": Unbooked,
}
"""Every rule by the name that a registry or a bill gives it."""


def rule_from(data: Mapping[str, str]) -> EmissionRule:
    """The rule that a registration or a bill states: its name as `rule`, and its fields. Raises ValueError."""
    fields = {key: value for key, value in data.items() if key != "rule"}
    if data.get("rule") not in RULES:
        raise ValueError(f"no emission rule named {data.get('rule')!r}")
    if any(type(value) is not str for value in fields.values()):
        raise ValueError(f"the fields of a rule are texts: {fields}")
    try:
        return RULES[data["rule"]](**fields)
    except TypeError as error:
        raise ValueError(f"no rule {data['rule']!r} of the fields {sorted(fields)}") from error


def told(text: str) -> type[EmissionRule] | None:
    """The rule that the text of a record names; None for one that this version doesn't know."""
    name = text.partition(" · ")[0].partition(":")[0]
    return RULES.get(name.replace(" ", "_"))


def coefficient_per(unit: str, rule: EmissionRule, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
    """Grams of CO2e for one `unit`, exact. Raises FactorError, QuantityError for a unit of another dimension."""
    if isinstance(rule, Unbooked):
        return Fraction(0)
    return rule.coefficient(factors, allowed) * ratio(unit, rule.unit)


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to even; denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient & 1 == 1))


def rounded(amount: Fraction) -> int:
    """The nearest integer, ties to even."""
    return round_half_even(*amount.as_integer_ratio())


def emission_g(quantity: int, coefficient: tuple[int, int]) -> int:
    """Grams of CO2e of an integer quantity by a coefficient (numerator, denominator), rounded half-even once."""
    return round_half_even(quantity * coefficient[0], coefficient[1])
