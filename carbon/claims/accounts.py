"""The evidence half of what moves accounts: allowances, offset credits, verified emissions, a year's end."""

from typing import Any

from carbon import compliance
from carbon.claims.ground import (
    MOST_CREDITS,
    MOST_G,
    MOST_PRICE_FEN_T,
    Ground,
    all_not_negative,
    controlled,
    digests,
    equal,
    name,
    not_negative,
    one_of,
    positive,
    rising,
    text,
    with_an_account,
    years,
)
from carbon.claims.trust import rows_refusal
from carbon.compliance import ComplianceError
from carbon.factors import FactorError
from carbon.refusal import Refusal
from carbon.registry import I64_MAX
from carbon.submission import Submission, reversed_by

SCHEMES = ("CCER",)
"""Offset schemes that the market takes (Decree 775, art. 14)."""
GASES, SCOPES = ("CO2", "CH4"), (1, 2)
LEAST_CORRECTION, MOST_CORRECTION = compliance.correction("0.5"), compliance.correction("1.5")
"""Products of correction factors for cooling, load and heat supply come nowhere near; a declared bound."""


def allocation(submission: Submission, ground: Ground) -> Refusal:
    """Allowances: benchmarks and outputs give the amount, where outputs are stated."""
    content = submission.content
    whole = content["share_percent"] == 100 or content["stage"] == "PRE"
    return (
        controlled(content["subject"], ground)
        or years(content["year"])
        or not_negative(content["cut_g"], MOST_G)
        or _amount(content)
        or (Refusal.PASS if whole and 1 <= content["share_percent"] <= 100 else Refusal.WRONG_AMOUNT)
        or digests(content["decision"])
        or (Refusal.PASS if len(content["decision"]) == (content["cut_g"] > 0) else Refusal.MALFORMED)
        or rising(content["allowed"])
        or rising([output["unit"] for output in content["outputs"]])
        or _benchmarked(content, ground)
    )


def _amount(content: Any) -> Refusal:
    """Above 0 unless a decision took it all."""
    check = not_negative if content["cut_g"] else positive
    return check(content["amount_g"], MOST_G)


def _benchmarked(content: Any, ground: Ground) -> Refusal:
    """The amount of some outputs: B_e · Q_e · k + B_h · Q_h of each unit, the share of it, less the cut."""
    outputs, factors = content["outputs"], ground.registry.factors
    if not outputs:
        return Refusal.PASS
    stated = _units(content["subject"], outputs, ground) or _bounded(outputs)
    stated = stated or rows_refusal(compliance.benchmark_rows(outputs), content["allowed"], factors)
    if stated:
        return stated
    try:
        given = compliance.allocation_g(content["year"], outputs, factors, content["share_percent"], content["allowed"])
    except (ComplianceError, FactorError):
        return Refusal.UNKNOWN_FACTOR
    return equal(content["amount_g"], max(0, given - content["cut_g"]))


def _units(subject: str, outputs: Any, ground: Ground) -> Refusal:
    """The units of a subject that registers some."""
    known = [unit.id for unit in ground.registry.subjects[subject].units]
    if known and any(output["unit"] not in known for output in outputs):
        return Refusal.UNKNOWN_SUBJECT
    return next((found for output in outputs if (found := name(output["unit"]))), Refusal.PASS)


def _bounded(outputs: Any) -> Refusal:
    """Quantities and corrections; a Wh allows for about a gram, a MJ for about a hundred."""
    quantities = (output[part] for output in outputs for part in ("electricity_wh", "heat_mj"))
    try:
        corrections = [compliance.correction(output["correction"]) for output in outputs]
    except ComplianceError:
        return Refusal.MALFORMED
    near_one = all(LEAST_CORRECTION <= k <= MOST_CORRECTION for k in corrections)
    return all_not_negative(quantities, MOST_G) or (Refusal.PASS if near_one else Refusal.ABSURD)


def transfer(submission: Submission, ground: Ground) -> Refusal:
    """Allowances between two subjects, at a price that a market could have."""
    content = submission.content
    price = content["price_fen_t"]
    return (
        with_an_account(content["seller"], ground)
        or with_an_account(content["buyer"], ground)
        or (Refusal.WRONG_SUBJECT if content["seller"] == content["buyer"] else Refusal.PASS)
        or years(content["vintage"])
        or positive(content["amount_g"], MOST_G)
        or (Refusal.PASS if price is None else positive(price, MOST_PRICE_FEN_T))
        or (name(content["venue"]) if content["venue"] else Refusal.PASS)
    )


def offset(submission: Submission, ground: Ground) -> Refusal:
    """Offset credits of a scheme, by their serial numbers."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or one_of(content["scheme"], SCHEMES)
        or name(content["project"])
        or years(content["vintage"])
        or _serials(content)
    )


def retirement(submission: Submission, ground: Ground) -> Refusal:
    """The same when they are used."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or one_of(content["scheme"], SCHEMES)
        or years(content["year"])
        or _serials(content)
    )


def _serials(content: Any) -> Refusal:
    """From 1, and the last one is a number too."""
    return positive(content["count"], MOST_CREDITS) or positive(content["first"], I64_MAX - content["count"])


def reduction(submission: Submission, ground: Ground) -> Refusal:
    """A voluntary reduction."""
    content = submission.content
    return (
        with_an_account(content["subject"], ground)
        or years(content["year"])
        or positive(content["amount_g"], MOST_G)
        or text(content["description"])
    )


def verification(submission: Submission, ground: Ground) -> Refusal:
    """A year's emissions: the sum of its sources, each of one gas and scope."""
    content, sources = submission.content, submission.content["sources"]
    amounts = [row["emission_g"] for row in sources]
    named = (name(row["source"]) or one_of(row["gas"], GASES) or one_of(row["scope"], SCOPES) for row in sources)
    return (
        controlled(content["subject"], ground)
        or years(content["year"])
        or not_negative(content["emissions_g"], MOST_G)
        or all_not_negative(amounts, MOST_G)
        or rising([(row["source"], row["gas"], row["scope"]) for row in sources])
        or next((found for found in named if found), Refusal.PASS)
        or equal(content["emissions_g"], sum(amounts))
    )


def surrender(submission: Submission, ground: Ground) -> Refusal:
    """Allowances of the year and of years before: nothing is borrowed from a later one (plan 2023-2024)."""
    content, lines = submission.content, submission.content["lines"]
    vintages = [line["vintage"] for line in lines]
    amounts = (positive(line["amount_g"], MOST_G) for line in lines)
    return (
        controlled(content["subject"], ground)
        or years(content["year"], *vintages)
        or (Refusal.PASS if lines else Refusal.MALFORMED)
        or rising(vintages)
        or (Refusal.PASS if vintages[-1] <= content["year"] else Refusal.WRONG_PERIOD)
        or next((found for found in amounts if found), Refusal.PASS)
    )


def closing(submission: Submission, ground: Ground) -> Refusal:
    """The figures of a year's end, which the state half computes again."""
    content = submission.content
    amounts = (content[part] for part in ("shortfall_g", "banked_g", "expired_g", "net_sold_g"))
    return (
        controlled(content["subject"], ground)
        or years(content["year"])
        or all_not_negative(amounts, MOST_G)
        or rising(content["allowed"])
    )


def reversal(submission: Submission, ground: Ground) -> Refusal:
    """Of an earlier submission of the party, whose body it brings."""
    content = submission.content
    earlier = 1 <= content["number"] < submission.number and reversed_by(submission) is not None
    return (Refusal.PASS if earlier else Refusal.MALFORMED) or text(content["reason"])
