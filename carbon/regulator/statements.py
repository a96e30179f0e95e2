"""What accepted submissions say of subjects, year by year: what the regulator's figures are made of.

They are taken in the order of the ledger, and a reversal takes back what it names. It grows with subjects and years,
never with submissions.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from carbon import calendar, rules
from carbon.compliance import benchmark_rows, closing_cost_fen
from carbon.ledger.chart import account
from carbon.planning.days import day_of
from carbon.planning.plan import Plan
from carbon.regulator.extracts import YearOfAccounts
from carbon.regulator.figures import Performance, Product
from carbon.rules import RuleSet
from carbon.submission import Submission, reversed_by

MISSED, FALSE_DATA = "missed_surrender", "false_data"
"""Rules whose decisions count against a subject."""
YEARS_LOOKED_AT = 2
"""For how many years, that of the decision included, it counts: the year it is about, and one to make good."""

Content = Mapping[str, Any]


@dataclass
class YearStated:
    """What is stated of a subject's year; None where nothing is. g CO2e, 0.01 CNY."""

    outputs: defaultdict[Product, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    gdp: Counter[str] = field(default_factory=Counter)
    """`fen`, and the `periods` that it is the sum of."""
    plan: Plan | None = None
    verified_g: int | None = None
    allocated: dict[str, int] = field(default_factory=dict)
    """By stage."""
    money: Counter[str] = field(default_factory=Counter)
    """Sums of what was traded, fined and granted, by the names of `YearOfAccounts`."""
    decisions: Counter[str] = field(default_factory=Counter)
    """How many by rule."""
    records: dict[str, bytes] = field(default_factory=dict)
    """The commitment of the last submission of each kind that a decision may rest on."""
    billed_until: int | None = None
    """The last day of any bill, in days since 1970-01-01 at the offset."""
    surrendered_ms: int = 0
    """When something was surrendered or retired last."""
    from_memory: Counter[str] = field(default_factory=Counter)
    """Factor rows of confidence D that an allocation or a bill rests on."""

    @property
    def gdp_fen(self) -> int | None:
        """Value added, of as much of the year as is stated."""
        return self.gdp["fen"] if self.gdp["periods"] else None

    @property
    def allocated_g(self) -> int:
        """What is allocated in all, as far as it is decided."""
        return self.allocated.get("FINAL", self.allocated.get("PRE", 0))


@dataclass
class Statements:
    """All that is stated after some height, and the rules in force."""

    utc_offset_minutes: int
    years: defaultdict[tuple[str, int], YearStated] = field(default_factory=lambda: defaultdict(YearStated))
    rules: dict[str, RuleSet] = field(default_factory=lambda: {name: rules.shipped(name) for name in rules.NAMES})
    prices: dict[tuple[int, int], int] = field(default_factory=dict)
    """Average price of a year's month, 0.01 CNY a tonne."""
    alerts: dict[str, Content] = field(default_factory=dict)
    """The last measures for heavy pollution of each region."""

    def take(self, submission: Submission, time_ms: int) -> None:
        """Take in the next submission that was accepted, in a block of that time (ms UTC)."""
        sign = 1
        if submission.kind == "reversal":
            original = reversed_by(submission)
            assert original is not None, "a reversal that was accepted"
            submission, sign = original, -1
        if submission.kind in _TAKE:
            _TAKE[submission.kind](self, submission.content, sign, time_ms)
        if submission.kind in _EVIDENCE:
            records = self.years[submission.content["subject"], submission.content["year"]].records
            records.pop(submission.kind, None)
            if sign > 0:
                records[submission.kind] = submission.commitment
        if submission.kind in _HANDED_IN:
            self.years[submission.content["subject"], submission.content["year"]].surrendered_ms = time_ms

    def year_of(self, time_ms: int) -> int:
        """The compliance year of an instant."""
        return calendar.year_of(time_ms, self.utc_offset_minutes)

    def performance(
        self,
        subject: str,
        year: int,
        emission_g: int,
        before_g: int | None = None,
        until: int | None = None,
        **more: Any,
    ) -> Performance:
        """A subject's year: stated, beside what its accounts say it emitted, and in the year before. g CO2e.

        `until` is the last day that meters show of it (`carbon.planning.days`): its plan counts up to there, or to the
        end of its last bill, and as a whole once the year was verified. `more` are fields of Performance that no
        submission states: region, sector, held_g, due_g, substituted_g.
        """
        stated = self.years.get((subject, year), YearStated())
        is_verified = stated.verified_g is not None
        before = None if before_g is None else self.performance(subject, year - 1, before_g)
        return Performance(
            subject,
            emission_g if stated.verified_g is None else stated.verified_g,
            outputs=dict(stated.outputs),
            gdp_fen=stated.gdp_fen,
            planned_g=_planned(stated, None if is_verified else until),
            missed_surrenders=self._decided(subject, year, MISSED),
            false_data=self._decided(subject, year, FALSE_DATA),
            before=before,
            verified=is_verified,
            **more,
        )

    def _decided(self, subject: str, year: int, rule: str) -> int:
        looked_at = range(year - YEARS_LOOKED_AT + 1, year + 1)
        return sum(self.years[subject, each].decisions[rule] for each in looked_at if (subject, each) in self.years)

    def accounts(self, subject: str, year: int) -> YearOfAccounts:
        """A subject's year as the extracts show it."""
        stated = self.years.get((subject, year), YearStated())
        names = ("allowances", "traded", "fines", "rewards")
        return YearOfAccounts(
            subject,
            year,
            stated.allocated_g,
            **stated.money,
            accounts=tuple(account(name, subject, year) for name in names),
            verified=stated.verified_g is not None,
            from_memory=tuple(sorted(+stated.from_memory)),
        )


def _planned(stated: YearStated, until: int | None) -> int | None:
    """What was planned up to a day, or the end of the last bill; in all for no day. g CO2e."""
    if stated.plan is None:
        return None
    return stated.plan.total_g if until is None else stated.plan.due_g(max(until, stated.billed_until or until))


def _output(found: Statements, content: Content, sign: int, _: int) -> None:
    stated = found.years[content["subject"], found.year_of(content["start"])]
    product = (content["product"], content["unit"])
    stated.outputs[product] += sign * Fraction(content["quantity"], 10 ** content["scale"])
    if not stated.outputs[product]:
        del stated.outputs[product]


def _gdp(found: Statements, content: Content, sign: int, _: int) -> None:
    stated = found.years[content["subject"], found.year_of(content["start"])]
    stated.gdp.update({"fen": sign * content["amount_fen"], "periods": sign})


def _plan(found: Statements, content: Content, sign: int, _: int) -> None:
    found.years[content["subject"], content["year"]].plan = Plan.of(content)


def _verification(found: Statements, content: Content, sign: int, _: int) -> None:
    found.years[content["subject"], content["year"]].verified_g = content["emissions_g"] if sign > 0 else None


def _allocation(found: Statements, content: Content, sign: int, _: int) -> None:
    stated = found.years[content["subject"], content["year"]]
    stated.allocated.pop(content["stage"], None)
    if sign > 0:
        stated.allocated[content["stage"]] = content["amount_g"]
    used = {*benchmark_rows(content["outputs"])} & {*content["allowed"]}
    stated.from_memory.update(dict.fromkeys(used, sign))


def _activity(found: Statements, content: Content, sign: int, _: int) -> None:
    stated = found.years[content["subject"], found.year_of(content["start"])]
    stated.from_memory.update(dict.fromkeys(content["allowed"], sign))
    stated.billed_until = max(stated.billed_until or 0, day_of(content["end"] - 1, found.utc_offset_minutes))


def _transfer(found: Statements, content: Content, sign: int, time_ms: int) -> None:
    """In the year in which it is recorded, and so is its reversal."""
    grams = content["amount_g"]
    paid = closing_cost_fen(grams, content["price_fen_t"] or 0)
    for side, name in (("seller", "sold"), ("buyer", "bought")):
        stated = found.years[content[side], found.year_of(time_ms)]
        stated.money.update({f"{name}_g": sign * grams, f"{name}_fen": sign * paid})


def _decision(found: Statements, content: Content, sign: int, _: int) -> None:
    stated, amount = found.years[content["subject"], content["year"]], content["amount_fen"]
    stated.decisions[content["rule"]] += sign
    if amount:
        stated.money["fines_fen" if amount > 0 else "rewards_fen"] += sign * abs(amount)


def _ruleset(found: Statements, content: Content, sign: int, _: int) -> None:
    """Of the regulator's; there are other rule sets."""
    if content["name"] in rules.NAMES:
        found.rules[content["name"]] = rules.parse_rules(content["name"], content["rules"])


def _price(found: Statements, content: Content, sign: int, _: int) -> None:
    found.prices[content["year"], content["month"]] = content["price_fen_t"]


def _weather(found: Statements, content: Content, sign: int, _: int) -> None:
    found.alerts[content["region"]] = content


_HANDED_IN = ("retirement", "surrender")
_EVIDENCE = ("plan", "verification", *_HANDED_IN, "decision", "closing")
_TAKE: Mapping[str, Callable[[Statements, Content, int, int], None]] = {
    "output": _output,
    "gdp": _gdp,
    "plan": _plan,
    "verification": _verification,
    "allocation": _allocation,
    "activity": _activity,
    "transfer": _transfer,
    "decision": _decision,
    "ruleset": _ruleset,
    "price": _price,
    "weather": _weather,
}
"""By kind; others say nothing that the regulator's figures are made of."""
