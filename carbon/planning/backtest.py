"""How good forecasts and warnings would have been: the year again with a rolling origin, each forecast from the days
before its origin alone, against what came.

No allowances are known of the series at hand, so shares of the year's real emissions stand in for them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon.planning.forecast import NAIVE, RETURNING, SEASONAL_NAIVE, Forecast, Method, forecast
from carbon.planning.rules import Held, Rule, Rules, step

METHODS = (RETURNING, NAIVE, SEASONAL_NAIVE)
FIRST_ORIGIN, EVERY = 56, 7
"""Days before the first origin, and from one to the next."""
LAST_ORIGIN = 14
"""Days that are left behind the last origin at least."""
SHORT_PERCENT = (80, 90, 97)
"""Shares of the year's emissions that run out within it."""
ENOUGH_PERCENT = (103, 110)
"""Shares that last."""

Days = NDArray[np.int64]


class Case(NamedTuple):
    """One forecast against what came: g CO2e to the year's end, and of each allowance that ran out the day."""

    forecast: float
    actual: int
    year: int
    inner: tuple[float, float]
    outer: tuple[float, float]
    dates: tuple[tuple[int, int, int, int], ...]
    """Days from the origin: as it came, as forecast, and the interval. One beyond the year is the day after it."""


def cases(grams: Sequence[int], method: Method) -> list[Case]:
    """All forecasts of a method on one year of daily emissions."""
    days = np.asarray(grams, np.int64)
    year = int(days.sum())
    found = []
    for origin in range(FIRST_ORIGIN, len(days) - LAST_ORIGIN + 1, EVERY):
        told = forecast(days[:origin], len(days) - origin, method=method)
        if told is not None:
            found.append(_case(told, days[:origin], np.cumsum(days[origin:]), year))
    return found


def _case(told: Forecast, before: Days, came: Days, year: int) -> Case:
    end = len(came) + 1
    dates = []
    for percent in SHORT_PERCENT:
        left = year * percent // 100 - int(before.sum())
        if left > 0:
            out = told.exhaustion(left, 80)
            actual = int(np.searchsorted(came, left)) + 1
            dates.append((actual, out.expected or end, out.early or end, out.late or end))
    (low, high), (lowest, highest) = ((float(a[-1]), float(b[-1])) for a, b in map(told.interval, (80, 95)))
    return Case(told.total_g(len(came)), int(came[-1]), year, (low, high), (lowest, highest), tuple(dates))


@dataclass(frozen=True)
class Score:
    """A method on some cases. Errors of the year's total in percent of it, of dates in days."""

    forecasts: int
    year_error: float
    """Mean absolute error of the year's emissions, %."""
    inner_held: float
    """How many of the intervals of 80 % held, %."""
    outer_held: float
    """How many of those of 95 % held, %."""
    inner_width: float
    """Mean width of the interval of 80 %, % of the year's emissions."""
    dates: int
    date_error: float
    """Mean absolute error of the day on which allowances ran out."""
    date_error_90: float
    """That nine in ten stay below."""
    date_held: float
    """How many of the days lay in their interval of 80 %, %."""


def score(some: Iterable[Case]) -> Score:
    """The score of cases, at least one, all counting the same. Raises ValueError for none."""
    known = list(some)
    dates = [date for case in known for date in case.dates]
    errors = [abs(expected - actual) for actual, expected, _, _ in dates]
    return Score(
        forecasts=len(known),
        year_error=100 * fmean(abs(case.forecast - case.actual) / case.year for case in known),
        inner_held=100 * fmean(case.inner[0] <= case.actual <= case.inner[1] for case in known),
        outer_held=100 * fmean(case.outer[0] <= case.actual <= case.outer[1] for case in known),
        inner_width=100 * fmean((case.inner[1] - case.inner[0]) / case.year for case in known),
        dates=len(dates),
        date_error=fmean(errors),
        date_error_90=float(np.percentile(errors, 90)),
        date_held=100 * fmean(early <= actual <= late for actual, _, early, late in dates),
    )


class Warned(NamedTuple):
    """One subject with one share of allowances: per level, the days before they ran out on which it was taken.

    Of allowances that lasted, the days before the year's end.
    """

    ran_out: bool
    taken: dict[str, list[int]]


def warned(grams: Sequence[int], rules: Rules) -> list[Warned]:
    """A year of daily emissions lived through, with each share of allowances that runs out and each that lasts."""
    days = np.asarray(grams, np.int64)
    forecasts = [forecast(days[:known], len(days) - known) for known in range(1, len(days))]
    rule = rules.rule("balance_short")
    assert rule is not None
    return [_lived(days, forecasts, percent, rule, rules.calm_days) for percent in (*SHORT_PERCENT, *ENOUGH_PERCENT)]


def _lived(days: Days, forecasts: list[Forecast | None], percent: int, rule: Rule, calm_days: int) -> Warned:
    given, so_far = int(days.sum()) * percent // 100, np.cumsum(days)
    end = int(np.searchsorted(so_far, given)) + 1
    held = Held(0)
    taken: dict[str, list[int]] = {level.name: [] for level in rule.levels}
    for known, told in enumerate(forecasts, 1):
        left, remaining = given - int(so_far[known - 1]), len(days) - known

        def chance(lead: int | None, told: Forecast | None = told, left: int = left, rest: int = remaining) -> float:
            return float(left <= 0) if told is None else told.probability(left, rest if lead is None else lead)

        now = step(rule, calm_days, held, chance)
        if now.level > held.level:
            taken[rule.name(now.level)].append(end - known)
        held = now
    return Warned(percent in SHORT_PERCENT, taken)


@dataclass(frozen=True)
class LevelScore:
    """A level over some cases: of those whose allowances ran out, and of those whose lasted."""

    level: str
    ran_out: int
    warned: int
    """How many of them took this level or a more serious one."""
    days_before: float | None
    """The median of days from then until the allowances had run out."""
    again: int
    """How many took the level more than once."""
    lasted: int
    false: int
    """How many of those whose allowances lasted took it or a more serious one."""


def level_scores(some: Iterable[Warned], rule: Rule) -> list[LevelScore]:
    """The scores of a rule's levels."""
    known = list(some)
    names = [level.name for level in rule.levels]
    return [_level_score(known, name, names[number:]) for number, name in enumerate(names)]


def _level_score(known: Sequence[Warned], level: str, or_worse: Sequence[str]) -> LevelScore:
    first = [(case.ran_out, max((day for n in or_worse for day in case.taken[n]), default=None)) for case in known]
    before = [day for ran_out, day in first if ran_out and day is not None]
    return LevelScore(
        level,
        ran_out=sum(ran_out for ran_out, _ in first),
        warned=len(before),
        days_before=median(before) if before else None,
        again=sum(len(case.taken[level]) > 1 for case in known),
        lasted=sum(not ran_out for ran_out, _ in first),
        false=sum(not ran_out and day is not None for ran_out, day in first),
    )
