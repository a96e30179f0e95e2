"""From outlooks, day by day, to the warnings that a subject and those above it are told, with their figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from carbon.alert import Alert, alert
from carbon.planning.days import date_of, start_ms
from carbon.planning.forecast import Exhaustion
from carbon.planning.outlook import INNER, Outlook
from carbon.planning.rules import Held, Kind, Rule, Rules, audience, step
from carbon.registry import Registry

Levels = Mapping[Kind, Held]
"""Where a subject stands with each rule."""


@dataclass(frozen=True)
class EarlyWarning:
    """A rule's level changed at the end of a day: `level` is a name of the rule's, or `none`."""

    kind: Kind
    outlook: Outlook
    rule: Rule
    before: int
    now: int
    budget_g: int

    @property
    def level(self) -> str:
        """The level that holds now."""
        return self.rule.name(self.now)

    @property
    def severity(self) -> str:
        """Of the level; `info` where it became milder."""
        return self.rule.levels[self.now - 1].severity if self.now > self.before else "info"

    @property
    def text(self) -> str:
        """The sentence for people: every figure that made it."""
        outlook, of = self.outlook, "allowances available"
        if self.kind == "plan_exceeded":
            of = f"the plan and its margin of {self.rule.margin_percent} % left"
        parts = [f"{outlook.subject}: {tonnes(self.budget_g)} of {of} at the end of {date_of(outlook.day)}"]
        parts += _coming(outlook, self.budget_g)
        return "; ".join([*parts, f"level {self.level}, was {self.rule.name(self.before)}"])


def _coming(outlook: Outlook, budget_g: int) -> list[str]:
    forecast, year_end = outlook.forecast, outlook.year_end_g()
    if forecast is None or year_end is None:
        return ["no forecast yet"]
    chance, so_far = forecast.probability(budget_g, outlook.days_left), tonnes(outlook.emitted_g)
    likely = f"{chance * 100:.0f} % likely by the year's end, with {tonnes(year_end)} forecast and {so_far} so far"
    return [_when(outlook, forecast.exhaustion(budget_g, INNER)), likely]


def _when(outlook: Outlook, runs_out: Exhaustion) -> str:
    if runs_out.expected == 0:
        return "used up"
    said = (
        "not used up within the year" if runs_out.expected is None else f"used up {_date(outlook, runs_out.expected)}"
    )
    if runs_out.early is None:
        return said
    until = "or later" if runs_out.late is None else f"to {_date(outlook, runs_out.late)}"
    return f"{said} ({INNER} %: {_date(outlook, runs_out.early)} {until})"


def _date(outlook: Outlook, days: int) -> str:
    return f"{date_of(outlook.day + days)}"


def tonnes(grams: int) -> str:
    """Grams as tonnes with three decimals, rounded toward zero."""
    sign, whole = "-" if grams < 0 else "", abs(grams)
    return f"{sign}{whole // 1_000_000:,}.{whole % 1_000_000 // 1_000:03} t"


def judge(outlook: Outlook, held: Levels, rules: Rules) -> tuple[dict[Kind, Held], list[EarlyWarning]]:
    """A day later: where the subject stands with each rule, and the changes."""
    after, warnings = dict[Kind, Held](), []
    for rule in rules.rules:
        before = held.get(rule.kind, Held(outlook.year))
        if before.year != outlook.year:
            before = Held(outlook.year)
        budget = outlook.budget_g(rule)
        if budget is None:
            continue
        after[rule.kind] = now = step(rule, rules.calm_days, before, partial(outlook.probability, budget))
        if now.level != before.level:
            warnings.append(EarlyWarning(rule.kind, outlook, rule, before.level, now.level, budget))
    return after, warnings


def alerts_of(warning: EarlyWarning, registry: Registry, offset_minutes: int, height: int) -> list[Alert]:
    """The alerts on a warning: one for each subject that is told, under its id; `at` is the end of the day."""
    outlook = warning.outlook
    at_ms = start_ms(outlook.day + 1, offset_minutes)
    told = audience(warning.rule, warning.before, warning.now, outlook.subject, at_ms, registry)
    id_ = f"{warning.kind}/{outlook.subject}/{date_of(outlook.day)}/{warning.level}"
    figures: dict[str, int | str] = {
        "budget_g": warning.budget_g,
        "emitted_g": outlook.emitted_g,
        "level": warning.level,
    }
    about: dict[str, Any] = {"height": height, "figures": figures, "resolved": warning.now == 0}
    said = warning.kind, warning.severity, at_ms, warning.text
    return [alert(f"{id_}/{name}", *said, key=_key(warning, name), subject=name, **about) for name in told]


def _key(warning: EarlyWarning, told: str) -> str:
    """What the alerts on a warning have in common, from the first level to none, for each subject that is told."""
    return f"{warning.kind}/{warning.outlook.subject}/{told}"
