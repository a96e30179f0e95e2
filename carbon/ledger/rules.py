"""What a submission of each kind posts and changes, by what was stated before it: one function a kind.

A rule looks, and raises Refused; only when nothing is left to refuse is its effect taken in. That no account comes
below zero is checked for all kinds alike, by the book.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from carbon import calendar
from carbon.emission import RULES as EMISSION_RULES
from carbon.ledger import ranges
from carbon.ledger.chart import Entry, account, pair
from carbon.ledger.standing import (
    GRAMS_PER_CREDIT,
    OFFSET_SHARE,
    Allocated,
    Cut,
    Fact,
    Key,
    Refused,
    Standing,
    bounded,
)
from carbon.refusal import Refusal
from carbon.submission import Submission


@dataclass(frozen=True)
class Effect:
    """What a submission posts, and what else it changes."""

    entry: Entry = ()
    facts: tuple[Fact, ...] = ()


Rule = Callable[[Standing, Submission, int], Effect]
"""Of what stands, a submission that passed the evidence half, and its block's time (ms UTC). Raises Refused."""


def allocation(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """Allowances: in advance once, then the whole once, of which the former is a part."""
    content = submission.content
    subject, year, final = content["subject"], content["year"], content["stage"] == "FINAL"
    standing.require_open(subject, year)
    if year > standing.year(now_ms) + 1:
        raise Refused(Refusal.IN_FUTURE)
    before = standing.allocated.get((subject, year))
    if before is not None and (before.final or not final):
        raise Refused(Refusal.ALREADY_ALLOCATED)
    cut = _cut(standing, content)
    pre_g = before.pre_g if before is not None else None
    amount = content["amount_g"]
    given = Allocated(pre_g, final=True) if final else Allocated(amount, final=False)
    facts = [Fact("allocated", (subject, year), given)]
    if cut is not None:
        facts.append(Fact("cuts", (subject, year - 1), cut._replace(used=True)))
    held, issued = account("allowances", subject, year), account("issued", "", year)
    return Effect(pair(held, issued, amount - (pre_g or 0)), tuple(facts))


def _cut(standing: Standing, content: Mapping[str, Any]) -> Cut | None:
    """The decision that a cut rests on: on the year before, of as much. Raises Refused.

    It comes off once, as a FINAL is posted once.
    """
    if not content["cut_g"] and not content["decision"]:
        return None
    cut = standing.cuts.get((content["subject"], content["year"] - 1))
    stated = (content["stage"], content["decision"], content["cut_g"])
    if cut is None or stated != ("FINAL", [cut.commitment], cut.cut_g):
        raise Refused(Refusal.NO_DECISION)
    return cut


def transfer(standing: Standing, submission: Submission, _: int) -> Effect:
    """Allowances from the seller's holdings to the buyer's."""
    content = submission.content
    seller, buyer, vintage, amount = (content[name] for name in ("seller", "buyer", "vintage", "amount_g"))
    sold = _drawn(standing, seller, vintage, amount, account("traded", seller, vintage))
    bought = pair(account("allowances", buyer, vintage), account("traded", buyer, vintage), amount)
    return Effect(sold + bought)


def _drawn(standing: Standing, subject: str, vintage: int, amount: int, into: str) -> Entry:
    """The entry that takes allowances of a vintage from a subject: those that were carried on first."""
    banked = min(amount, standing.held("banked", subject, vintage))
    rest = pair(into, account("allowances", subject, vintage), amount - banked)
    return pair(into, account("banked", subject, vintage), banked) + rest


def offset(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """Credits issued to a subject: serial numbers that were never issued before in their scheme."""
    content = submission.content
    subject, scheme, first, count = (content[name] for name in ("subject", "scheme", "first", "count"))
    if content["vintage"] > standing.year(now_ms):
        raise Refused(Refusal.IN_FUTURE)
    issued, held, end = ("issued", scheme), ("held", scheme, subject), first + count
    if ranges.overlaps(standing.ranges.get(issued, ()), first, end):
        raise Refused(Refusal.ALREADY_ISSUED)
    keys: tuple[Key, ...] = (issued, held)
    facts = tuple(Fact("ranges", key, standing.covering(key, first, end)) for key in keys)
    return Effect(pair(account("offsets", subject, scheme), account("credits", "", scheme), count), facts)


def retirement(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """Credits that a subject holds count once, for its surrender within 5 % of its need or as a gift."""
    content = submission.content
    subject, scheme, first, count = (content[name] for name in ("subject", "scheme", "first", "count"))
    year, end = content["year"], first + count
    retired, held = ("retired", scheme), ("held", scheme, subject)
    if ranges.overlaps(standing.ranges.get(retired, ()), first, end):
        raise Refused(Refusal.ALREADY_RETIRED)
    if not ranges.covers(standing.ranges.get(held, ()), first, end):
        raise Refused(Refusal.OVER_BALANCE)
    if year > standing.year(now_ms):
        raise Refused(Refusal.IN_FUTURE)
    if content["purpose"] == "COMPLIANCE":
        _within_cap(standing, subject, year, count)
    # as many sets of retired numbers as of issued and held ones at most: no bound of their own
    after = Fact("ranges", retired, ranges.added(standing.ranges.get(retired, ()), first, end))
    left = Fact("ranges", held, bounded(held, ranges.without(standing.ranges[held], first, end)))
    purpose = account("retired", subject, year, content["purpose"].lower())
    return Effect(pair(purpose, account("offsets", subject, scheme), count), (after, left))


def _within_cap(standing: Standing, subject: str, year: int, count: int) -> None:
    """Raises Refused for credits that may not count towards a year's need."""
    _require_verified(standing, subject, year)
    retired = standing.held("retired", subject, year, "compliance")
    if (retired + count) * GRAMS_PER_CREDIT * OFFSET_SHARE > standing.held("due", subject, year):
        raise Refused(Refusal.OVER_CAP)
    if count * GRAMS_PER_CREDIT > standing.open_need(subject, year):
        raise Refused(Refusal.ALREADY_SURRENDERED)


def _require_verified(standing: Standing, subject: str, year: int) -> None:
    standing.require_open(subject, year)
    if (subject, year) not in standing.verified:
        raise Refused(Refusal.NOT_VERIFIED)


def reduction(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """A voluntary reduction: beside the market, so it meets no need."""
    subject, year, amount = (submission.content[name] for name in ("subject", "year", "amount_g"))
    standing.require_open(subject, year)
    if year > standing.year(now_ms):
        raise Refused(Refusal.IN_FUTURE)
    return Effect(pair(account("reductions", subject, year), account("attested", "", year), amount))


def verification(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """A year's emissions once it is over: what is due for it. Once; again only when the former is taken back."""
    subject, year, amount = (submission.content[name] for name in ("subject", "year", "emissions_g"))
    standing.require_open(subject, year)
    if year >= standing.year(now_ms):
        raise Refused(Refusal.IN_FUTURE)
    if (subject, year) in standing.verified:
        raise Refused(Refusal.ALREADY_VERIFIED)
    entry = pair(account("verified", subject, year), account("due", subject, year), amount)
    return Effect(entry, (Fact("verified", (subject, year), True),))


def surrender(standing: Standing, submission: Submission, _: int) -> Effect:
    """Allowances handed in: of this year or earlier ones, and no more than is still due."""
    subject, year = submission.content["subject"], submission.content["year"]
    _require_verified(standing, subject, year)
    lines: Counter[int] = Counter()
    for line in submission.content["lines"]:
        lines[line["vintage"]] += line["amount_g"]
    if any(vintage > year for vintage in lines):
        raise Refused(Refusal.OVER_BALANCE)
    if lines.total() > standing.open_need(subject, year):
        raise Refused(Refusal.ALREADY_SURRENDERED)
    into = account("surrendered", subject, year)
    drawn = [_drawn(standing, subject, vintage, amount, into) for vintage, amount in sorted(lines.items())]
    return Effect(sum(drawn, ()))


def closing_figures(standing: Standing, subject: str, year: int) -> dict[str, int]:
    """What a closing states, as the book has it now, g CO2e: what is short, is carried on, expires, was sold on net."""
    held = sum(map(sum, standing.holdings(subject, year).values()))
    banked = min(held, standing.banking_cap(subject, year))
    sold, short = standing.net_sold(subject, year), standing.open_need(subject, year)
    return {"shortfall_g": short, "banked_g": banked, "expired_g": held - banked, "net_sold_g": sold}


def closing(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """The end of a year: what is short, what is carried on and what expires, the oldest first, as the book has it."""
    content = submission.content
    subject, year = content["subject"], content["year"]
    _require_verified(standing, subject, year)
    first = standing.closed.get(subject, calendar.YEARS[0] - 1) + 1
    if any((subject, earlier) in standing.verified for earlier in range(first, year)):
        raise Refused(Refusal.EARLIER_YEAR_OPEN)
    figures = closing_figures(standing, subject, year)
    if any(content[name] != amount for name, amount in figures.items()):
        raise Refused(Refusal.WRONG_BALANCE)
    entry = pair(account("due", subject, year), account("shortfall", subject, year), figures["shortfall_g"])
    expiring, expired = figures["expired_g"], account("expired", subject, year)
    for vintage, (carried, fresh) in standing.holdings(subject, year).items():
        gone = min(expiring, carried + fresh)
        expiring -= gone
        entry += pair(expired, account("banked", subject, vintage), min(gone, carried))
        entry += pair(expired, account("allowances", subject, vintage), gone - min(gone, carried))
        kept = fresh - (gone - min(gone, carried))
        entry += pair(account("banked", subject, vintage), account("allowances", subject, vintage), kept)
    return Effect(entry, (Fact("closed", subject, year),))


def decision(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """A fine or a reward, and a cut of the next year's allowances: one a year."""
    subject, year, amount, cut_g = (submission.content[name] for name in ("subject", "year", "amount_fen", "cut_g"))
    if year > standing.year(now_ms):
        raise Refused(Refusal.IN_FUTURE)
    if cut_g and (subject, year) in standing.cuts:
        raise Refused(Refusal.ALREADY_DECIDED)
    cut = Cut(submission.commitment, cut_g, submission.party, submission.number, used=False)
    kind = "fines" if amount > 0 else "rewards"
    entry = pair(account(kind, subject, year), account("treasury", "", year), amount)
    return Effect(entry, (Fact("cuts", (subject, year), cut),) if cut_g else ())


def activity(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """What was burnt or bought in a period: one chain of periods a source, and its emission."""
    content = submission.content
    effect = period(standing, submission, now_ms)
    return Effect(pair(*activity_accounts(standing, content), content["emission_g"]), effect.facts)


def activity_accounts(standing: Standing, content: Mapping[str, Any]) -> tuple[str, str]:
    """Where activity data are posted: by what emits by their rule, in the year of their first instant."""
    rule = next(EMISSION_RULES[row["value"]] for row in content["rule"] if row["name"] == "rule")
    return standing.emission_accounts(content["subject"], standing.year(content["start"]), rule.source)


def period_key(submission: Submission) -> tuple[str, ...]:
    """Whose periods must not overlap: those of a source, a product, or all of a subject's."""
    content = submission.content
    part = content.get("source") or content.get("product") or ""
    return (submission.kind, content["subject"], part)


def period(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """A statement on a period that is over, and that nothing was stated on before."""
    key, start, end = period_key(submission), submission.content["start"], submission.content["end"]
    if end > now_ms:
        raise Refused(Refusal.IN_FUTURE)
    return Effect((), (Fact("ranges", key, standing.covering(key, start, end)),))


def price(standing: Standing, submission: Submission, now_ms: int) -> Effect:
    """The average of a month that is over."""
    year, month = submission.content["year"], submission.content["month"]
    if calendar.month_start(year, month + 1, standing.utc_offset_minutes) > now_ms:
        raise Refused(Refusal.IN_FUTURE)
    return Effect()


def plan(standing: Standing, submission: Submission, _: int) -> Effect:
    """A plan for a year that is open: the newest counts."""
    standing.require_open(submission.content["subject"], submission.content["year"])
    return Effect()


def noted(standing: Standing, submission: Submission, _: int) -> Effect:
    """What is kept by the ledger alone: the newest counts."""
    return Effect()


RULES: Mapping[str, Rule] = {
    "allocation": allocation,
    "transfer": transfer,
    "offset": offset,
    "retirement": retirement,
    "reduction": reduction,
    "verification": verification,
    "surrender": surrender,
    "closing": closing,
    "plan": plan,
    "target": noted,
    "output": period,
    "gdp": period,
    "activity": activity,
    "laboratory": period,
    "price": price,
    "decision": decision,
    "weather": noted,
    "ruleset": noted,
    "assessment": noted,
}
"""By kind; a reversal is judged by `carbon.ledger.reversing`."""
