"""The evidence half of what authorities decide: decisions, measures for heavy pollution, rules as data, verdicts."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from carbon import anomaly, calendar
from carbon.claims.ground import (
    MOST_ALERT_DAYS,
    MOST_FEN,
    MOST_G,
    MOST_RULES,
    Ground,
    digests,
    hours,
    name,
    not_negative,
    rising,
    text,
    with_an_account,
    years,
)
from carbon.planning import rules as early_warning
from carbon.refusal import Refusal
from carbon.registry import canonical_json
from carbon.rules import NAMES, parse_rules
from carbon.subjects import regions
from carbon.submission import Submission

RULESETS: Mapping[str, Callable[[str], object]] = {
    **{rules: partial(parse_rules, rules) for rules in NAMES},
    early_warning.RULESET: lambda text: early_warning.parse(json.loads(text)),
}
"""What reads each rule set that there is, and raises for one that is not of its form."""


def decision(submission: Submission, ground: Ground) -> Refusal:
    """What follows for a subject, by which rule, and the figures and records that it rests on."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or years(content["year"])
        or name(content["rule"])
        or text(content["outcome"])
        or text(content["reasons"])
        or (Refusal.ABSURD if abs(content["amount_fen"]) > MOST_FEN else Refusal.PASS)
        or not_negative(content["cut_g"], MOST_G)
        or digests(content["records"])
    )


def weather(submission: Submission, ground: Ground) -> Refusal:
    """Measures for subjects of the region, whole hours long."""
    content, measures = submission.content, submission.content["measures"]
    if not ground.registry.subjects[content["region"]].regional:
        return Refusal.WRONG_SUBJECT
    each = (_measure(measure, content["region"], content["start"], ground) for measure in measures)
    return (
        hours(content["start"], content["end"], MOST_ALERT_DAYS, ground)
        or rising([measure["subject"] for measure in measures])
        or next((found for found in each if found), Refusal.PASS)
    )


def _measure(measure: Any, region: str, start: int, ground: Ground) -> Refusal:
    subject = measure["subject"]
    if subject not in ground.registry.subjects:
        return Refusal.UNKNOWN_SUBJECT
    if region not in regions(subject, start, ground.registry):
        return Refusal.WRONG_ROLE
    return (
        with_an_account(subject, ground)
        or name(measure["grade"])
        or not_negative(measure["limit_percent"], 100)
        or text(measure["reason"])
    )


def ruleset(submission: Submission, ground: Ground) -> Refusal:
    """A rule set of those there are, in its form and in its one JSON text."""
    content = submission.content
    if content["name"] not in RULESETS:
        return Refusal.UNKNOWN_TERM
    if len(content["rules"]) > MOST_RULES:
        return Refusal.MALFORMED
    try:
        raw = json.loads(content["rules"], parse_constant=_no_number)
        is_canonical = canonical_json(raw) == content["rules"].encode()
        RULESETS[content["name"]](content["rules"])
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return Refusal.MALFORMED
    return Refusal.PASS if is_canonical else Refusal.MALFORMED


def assessment(submission: Submission, ground: Ground) -> Refusal:
    """What people found of an anomaly. An enterprise comments: nobody decides on an alarm about itself."""
    content, raised = submission.content, anomaly.raised(submission.content["anomaly"])
    point, author = ground.registry.points.get(content["point"]), ground.registry.parties.get(submission.party)
    if point is None:
        return Refusal.UNKNOWN_POINT
    if point.subject != content["subject"]:
        return Refusal.WRONG_SUBJECT
    if raised is None or raised.point != point.id:
        return Refusal.MALFORMED
    if not calendar.is_sane(raised.at, ground.utc_offset_minutes):
        return Refusal.WRONG_PERIOD
    if author is not None and author.role == "enterprise" and content["verdict"] != "COMMENTED":
        return Refusal.WRONG_ROLE
    return text(content["reason"])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
