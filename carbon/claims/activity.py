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
    """Of what a point of the subject meters, only a registered unit that none of them is of may file bills."""
    subject, source = ground.registry.subjects[content["subject"]], content["source"]
    known = ground.registry.points_of_subject.get(subject.id, ())
    points = [p for p in known if not isinstance(p.emission, Unbooked) and p.start < content["end"]]
    same = {p.id for p in points if p.emission.covers(rule)}
    unit = next((unit for unit in subject.units if unit.id == source), None)
    double = same if unit is None else same.intersection(unit.points)
    return Refusal.METERED if double or source in {p.id for p in points} else Refusal.PASS


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
