"""The evidence half of activity data: a rule of the emission model, a source that nobody meters, the emission again."""

from fractions import Fraction
from typing import Any

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
from carbon.emission import EmissionRule, Unbooked, emission_g, rule_from
from carbon.factors import FactorError
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
    if isinstance(rule, Unbooked):
        return Refusal.UNKNOWN_TERM
    return (
        _metered(content, rule, ground)
        or rows_refusal(rule.rows, content["allowed"], factors)
        or _computed(content, rule, ground)
    )


def _metered(content: Any, rule: EmissionRule, ground: Ground) -> Refusal:
    """A source is metered that is a point, or a unit of which a point meters what the rule is about."""
    subject = ground.registry.subjects[content["subject"]]
    of_unit = {point for unit in subject.units if unit.id == content["source"] for point in unit.points}

    def meters(point: Point) -> bool:
        if isinstance(point.emission, Unbooked) or point.subject != subject.id or content["end"] <= point.start:
            return False
        return point.id == content["source"] or (point.id in of_unit and point.emission.source == rule.source)

    return Refusal.METERED if any(map(meters, ground.registry.points.values())) else Refusal.PASS


def _computed(content: Any, rule: EmissionRule, ground: Ground) -> Refusal:
    """Quantity × coefficient, rounded half-even once."""
    try:
        per_unit = ratio(content["unit"], rule.unit)
    except QuantityError:
        return Refusal.WRONG_UNIT
    try:
        coefficient = rule.coefficient(ground.registry.factors, content["allowed"]) * per_unit
    except FactorError:
        return Refusal.UNKNOWN_FACTOR
    except QuantityError:
        return Refusal.MALFORMED
    exact = coefficient * Fraction(1, 10 ** content["scale"])
    return equal(content["emission_g"], emission_g(content["quantity"], exact.as_integer_ratio()))
