"""Warnings before a budget is used up: levels by lead time and probability, raised at once and left after calm days.

The rules are data (`early-warning.toml`), each with its reason.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple, get_args

from carbon.registry import Registry
from carbon.subjects import owners, regions

MOST_LEAD_DAYS = 366
RULESET = "early-warning"
"""The name of the rules, as a ruleset submission calls them."""
Kind = Literal["balance_short", "plan_exceeded"]
Severity = Literal["info", "warning", "critical"]
Audience = Literal["subject", "parent", "regulator"]


class RuleError(ValueError):
    """Rules of early warning that contradict themselves."""


@dataclass(frozen=True)
class Level:
    """One level: within how many days (None: the rest of the year) and how probably a budget is used up."""

    name: str
    raise_percent: int
    keep_percent: int
    severity: Severity
    tell: tuple[Audience, ...]
    reason: str
    lead_days: int | None = None


@dataclass(frozen=True)
class Rule:
    """The levels of one kind of warning, the mildest first. The margin is in percent of a plan."""

    kind: Kind
    margin_percent: int
    levels: tuple[Level, ...]
    reason: str

    def name(self, level: int) -> str:
        """The name of a level by its number, 0 being none."""
        return self.levels[level - 1].name if level else "none"


@dataclass(frozen=True)
class Rules:
    """All rules, and for how many days in a row a level must be too high before it is left."""

    calm_days: int
    rules: tuple[Rule, ...]
    calm_reason: str

    def rule(self, kind: Kind) -> Rule | None:
        """The rule of that kind, if there is one."""
        return next((rule for rule in self.rules if rule.kind == kind), None)


@cache
def default() -> Rules:
    """The rules that are shipped."""
    return parse(tomllib.loads(resources.files(__package__).joinpath(f"{RULESET}.toml").read_text()))


def parse(data: Mapping[str, Any]) -> Rules:
    """The rules of a TOML file or a ruleset's JSON. Raises RuleError."""
    try:
        rules = tuple(_rule(**row) for row in data["rules"])
        parsed = Rules(**{**data, "rules": rules})
    except (KeyError, TypeError) as error:
        raise RuleError(f"rules of early warning: {error!r}") from error
    if len({rule.kind for rule in rules}) != len(rules) or type(parsed.calm_days) is not int or parsed.calm_days < 1:
        raise RuleError("one rule a kind, and at least one calm day")
    return parsed


def _rule(levels: list[dict[str, Any]], **fields: Any) -> Rule:
    rule = Rule(**fields, levels=tuple(Level(**{**level, "tell": tuple(level["tell"])}) for level in levels))
    if rule.kind not in get_args(Kind) or type(rule.margin_percent) is not int or not rule.levels:
        raise RuleError(f"{rule.kind}: kind is one of {', '.join(get_args(Kind))}, with a margin and levels")
    for level in rule.levels:
        numbers = (level.keep_percent, level.raise_percent, level.lead_days or 0)
        if any(type(number) is not int for number in numbers) or not 0 <= numbers[2] <= MOST_LEAD_DAYS:
            raise RuleError(f"{rule.kind}, {level.name}: percents and lead days are integers, of a year at most")
        if not 0 < level.keep_percent <= level.raise_percent <= 100:
            raise RuleError(f"{rule.kind}, {level.name}: what keeps a level is above 0 and at most what raises it")
        if level.severity not in get_args(Severity) or not set(level.tell) <= set(get_args(Audience)):
            raise RuleError(f"{rule.kind}, {level.name}: no such severity or audience")
    return rule


class Held(NamedTuple):
    """Where a subject stands with a rule: the number of the level, 0 for none, and how many days a lower one would do.

    A new compliance year begins without a level.
    """

    year: int
    level: int = 0
    calm: int = 0


def step(rule: Rule, calm_days: int, held: Held, probability: Callable[[int | None], float]) -> Held:
    """A day later. `probability` is that the budget is used up within so many days, or the rest of the year.

    A more serious level is taken at once, a milder one when it would have done for `calm_days` in a row.
    """
    percents = [100 * probability(level.lead_days) for level in rule.levels]
    numbered = list(enumerate(zip(percents, rule.levels, strict=True), 1))
    raised = max((number for number, (percent, level) in numbered if percent >= level.raise_percent), default=0)
    kept = max((number for number, (percent, level) in numbered if percent >= level.keep_percent), default=0)
    if raised > held.level:
        return Held(held.year, raised)
    if kept >= held.level:
        return Held(held.year, held.level)
    if held.calm + 1 < calm_days:
        return Held(held.year, held.level, held.calm + 1)
    return Held(held.year, kept)


def audience(rule: Rule, before: int, now: int, subject: str, at_ms: int, registry: Registry) -> tuple[str, ...]:
    """Which subjects are told of a change of level, the nearest first: those of the more serious of the two.

    A subject's parent is its owner at that instant; its regulators are the regions around it that a regulator oversees,
    or the outermost where there are none.
    """
    told = rule.levels[max(before, now) - 1].tell
    _, *parents = owners(subject, at_ms, registry)
    _, *others = regions(subject, at_ms, registry)
    overseen = {party.subject for party in registry.parties.values() if party.role == "regulator"}
    regulators = [name for name in others if name in overseen] or others[-1:]
    named = {"subject": [subject], "parent": parents[:1], "regulator": regulators}
    return tuple(
        dict.fromkeys(name for group in ("subject", "parent", "regulator") if group in told for name in named[group])
    )
