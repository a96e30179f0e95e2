"""What a stack measured against what its fuel gives: a ratio of days that tells of a change, not of its level.

A field study of a 320 MW unit found CEMS CO2 5 to 30 % below the calculated (confidence B, factor row
`power_plant_mee.direct_vs_calculated_gap`): two methods disagree, and steadily. A scaled flow or a diluted sample shows
as a step or a drift of their ratio.

The first days set the level, mean and deviation of ln(measured / calculated); from then on two sums count how far the
days lie above and below it (CUSUM; Page 1954): S = max(0, S + z − slack), and one beyond the limit is a change. The
days since that sum was last 0 begin the next level. These are floats: they tell people, and decide no verdict.

By hand, with level ln 0.8, deviation 0.02, slack 0.75 and limit 8: days of ratio 0.76 are z = ln(0.95) / 0.02 = −2.565,
so the lower sum is 1.815, 3.629, 5.444, 7.259, 9.073: the fifth day tells.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import exp, log
from statistics import fmean, stdev
from typing import Any, NamedTuple

from carbon.calendar import DAY_MS
from carbon.emission.cems import MASS_SCALE
from carbon.substitution import HOUR_MS
from carbon.validity import is_valid_day, is_valid_hour, whole_hour

Fields = Mapping[str, Any]
"""A window's newest record, decoded."""


class Day(NamedTuple):
    """A day's totals in g CO2, from its begin in ms UTC: by CEMS, by calculation; and its valid hours of CEMS."""

    start: int
    measured_g: int
    calculated_g: int
    valid_hours: int


def days(stack: Iterable[Fields], calculated: Iterable[Fields], utc_offset_minutes: int) -> list[Day]:
    """The days of a CEMS mass's hours, and what the records of other points emitted in those that are valid.

    Only these are compared: an hour that the stack didn't see is left out of the calculation too.
    """
    hours = {one["window_start"]: one for one in stack if is_valid_hour(one["count"], one["expected"])}
    beside = defaultdict[int, int](int)
    for one in calculated:
        beside[one["window_start"] // HOUR_MS * HOUR_MS] += one["emission_g"]
    found = dict[int, Day]()
    for start, one in sorted(hours.items()):
        begin = start - (start + utc_offset_minutes * 60_000) % DAY_MS
        day = found.get(begin, Day(begin, 0, 0, 0))
        grams = whole_hour(one["quantity"], one["count"], one["expected"], (1, 10**MASS_SCALE))
        found[begin] = Day(begin, day.measured_g + grams, day.calculated_g + beside[start], day.valid_hours + 1)
    return list(found.values())


@dataclass(frozen=True)
class Limits:
    """When the ratio has changed: our own choice, declared, tried on made-up series (`docs/cems.md`)."""

    days: int = 60
    """Days that set a level."""
    slack: float = 0.75
    """Deviations that a day may lie off the level for nothing."""
    limit: float = 8.0
    most: float = 3.0
    """Deviations that a day counts at most, so that a few wild ones tell nothing."""
    least: float = 0.002
    """The least deviation of ln(ratio), for series that hardly vary."""


class Change(NamedTuple):
    """The ratio left its level `before`: `since` is the first day of it in ms UTC, `after` the mean ratio from then."""

    since: int
    before: float
    after: float


class Tracked(NamedTuple):
    """A day's ratio, the level that it is held against (None while it is being set), and a change that it told."""

    start: int
    ratio: float
    level: float | None
    change: Change | None


@dataclass
class _Sum:
    """One side's sum, and the days since it was last 0, as (start, ln ratio)."""

    value: float = 0.0
    days: list[tuple[int, float]] = field(default_factory=list)

    def add(self, start: int, ln: float, excess: float) -> None:
        self.value = max(0.0, self.value + excess)
        self.days = [*self.days, (start, ln)] if self.value > 0 else []


@dataclass
class _Level:
    """The days that set a level, then what lies above and below it."""

    limits: Limits
    days: list[float] = field(default_factory=list)
    mean: float = 0.0
    deviation: float = 0.0
    sums: tuple[_Sum, _Sum] = field(default_factory=lambda: (_Sum(), _Sum()))

    def take(self, start: int, ln: float) -> Change | None:
        """The next day. The first ones tell nothing."""
        if not self.is_set:
            self._settle([*self.days, ln])
            return None
        off = max(-self.limits.most, min(self.limits.most, (ln - self.mean) / self.deviation))
        for one, sign in zip(self.sums, (1, -1), strict=True):
            one.add(start, ln, sign * off - self.limits.slack)
            if one.value > self.limits.limit:
                return self._change(one.days)
        return None

    @property
    def is_set(self) -> bool:
        return len(self.days) >= self.limits.days

    def _change(self, days: list[tuple[int, float]]) -> Change:
        """Start over with the days of the change."""
        told = Change(days[0][0], exp(self.mean), exp(fmean(ln for _, ln in days)))
        self.sums = (_Sum(), _Sum())
        self._settle([ln for _, ln in days])
        return told

    def _settle(self, days: list[float]) -> None:
        self.days = days
        if self.is_set:
            self.mean, self.deviation = fmean(days), max(stdev(days), self.limits.least)


def track(days: Iterable[Day], limits: Limits = Limits()) -> Iterator[Tracked]:
    """The ratio of each day that can be compared, in order: with 20 valid hours (HJ 212-2017, D.2.2), and both totals
    above 0."""
    level = _Level(limits)
    for day in days:
        if is_valid_day(day.valid_hours) and day.measured_g > 0 and day.calculated_g > 0:
            ratio = day.measured_g / day.calculated_g
            before = exp(level.mean) if level.is_set else None
            yield Tracked(day.start, ratio, before, level.take(day.start, log(ratio)))
