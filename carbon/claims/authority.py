"""The evidence half of what authorities decide: decisions, measures for heavy pollution, rules as data."""

import json
from typing import Any, NoReturn

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
from carbon.refusal import Refusal
from carbon.registry import canonical_json
from carbon.subjects import regions
from carbon.submission import Submission


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
    """Rules in their one JSON text."""
    content = submission.content
    return name(content["name"]) or (Refusal.PASS if _is_canonical(content["rules"]) else Refusal.MALFORMED)


def _is_canonical(rules: str) -> bool:
    if len(rules) > MOST_RULES:
        return False
    try:
        found = json.loads(rules, parse_constant=_no_number)
        return isinstance(found, dict) and canonical_json(found) == rules.encode()
    except (ValueError, RecursionError):
        return False


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
