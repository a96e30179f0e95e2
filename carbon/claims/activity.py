"""The evidence half of activity data: a rule of the emission model, a source that nobody meters, the emission again."""

from collections.abc import Collection
from fractions import Fraction
from typing import Any

from carbon.claims.declared import declared_refusal
from carbon.claims.ground import (
    MOST_G,
    Ground,
    days,
    equal,
    name,
    not_negative,
    rising,
    with_an_account,
)
from carbon.claims.trust import rows_refusal
from carbon.claims.units import quantity_refusal
from carbon.emission import EmissionRule, Unbooked, coefficient_per, round_half_even, rule_from
from carbon.emission.cems import CemsMass
from carbon.factors import FactorError, FactorSet
from carbon.quantity import QuantityError, ratio
from carbon.refusal import Refusal
from carbon.registry import Point
from carbon.subjects import owners
from carbon.submission import Submission


def activity(submission: Submission, ground: Ground) -> Refusal:
    """Fuel, energy or material of some days, and what it emits."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or name(content["source"])
        or days(content["start"], content["end"], ground)
        or _one_parent(content, ground)
        or quantity_refusal(content["quantity"], content["scale"], content["unit"], 1)
        or not_negative(content["emission_g"], MOST_G)
        or rising([field["name"] for field in content["rule"]])
        or rising(content["allowed"])
        or _by_rule(content, ground)
    )


def _one_parent(content: Any, ground: Ground) -> Refusal:
    """Nobody above changed meanwhile: the quantity counts whole with those above at its begin."""
    above = {tuple(owners(content["subject"], at, ground.registry)) for at in (content["start"], content["end"] - 1)}
    return Refusal.PASS if len(above) == 1 else Refusal.WRONG_PERIOD


def _by_rule(content: Any, ground: Ground) -> Refusal:
    factors = ground.registry.factors
    if content["factors"] != factors.digest:
        return Refusal.WRONG_FACTORS
    try:
        rule = rule_from({field["name"]: field["value"] for field in content["rule"]})
    except ValueError:
        return Refusal.UNKNOWN_TERM
    if isinstance(rule, Unbooked | CemsMass):
        return Refusal.UNKNOWN_TERM
    return (
        _metered(content, rule, ground)
        or declared_refusal(content["rule"])
        or rows_refusal(rule.rows, content["allowed"], factors)
        or _computed(content, rule, ground)
    )


def _metered(content: Any, rule: EmissionRule, ground: Ground) -> Refusal:
    """A source is metered that is a point, or a unit of which a point meters what the rule is about."""
    subject = ground.registry.subjects[content["subject"]]
    of_unit = {point for unit in subject.units if unit.id == content["source"] for point in unit.points}

    def meters(point: Point) -> bool:
        if isinstance(point.emission, Unbooked) or content["end"] <= point.start:
            return False
        return point.id == content["source"] or (point.id in of_unit and point.emission.source == rule.source)

    points = ground.registry.points_of_subject.get(subject.id, ())
    return Refusal.METERED if any(map(meters, points)) else Refusal.PASS


def _computed(content: Any, rule: EmissionRule, ground: Ground) -> Refusal:
    unit = content["unit"]
    try:
        ratio(unit, rule.unit)
    except QuantityError:
        return Refusal.WRONG_UNIT
    quantity = Fraction(content["quantity"], 10 ** content["scale"])
    try:
        grams = activity_g(quantity, unit, rule, ground.registry.factors, content["allowed"])
    except FactorError:
        return Refusal.UNKNOWN_FACTOR
    except QuantityError:
        return Refusal.MALFORMED
    return equal(content["emission_g"], grams)


def activity_g(
    quantity: Fraction, unit: str, rule: EmissionRule, factors: FactorSet, allowed: Collection[str] = ()
) -> int:
    """The emission of a quantity, g CO2e: quantity × coefficient, rounded half-even once.

    Raises FactorError, QuantityError.
    """
    return round_half_even(*(quantity * coefficient_per(unit, rule, factors, allowed)).as_integer_ratio())
