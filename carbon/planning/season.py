"""What is known of a year's course: from the plan and its output, or from the year before."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from carbon.planning.days import first_of, months_of, year_of
from carbon.planning.forecast import LEAST_DAYS, Floats, Season
from carbon.planning.plan import Plan

YEAR_DAYS = 364
"""A year back, on the same weekday."""
SMOOTHED_DAYS = 14
"""On either side, of the year before: its single days say nothing of this year's."""
_LEAST_SHARE = 0.05
"""Of the mean: a month in which nothing is planned is no division by zero."""


class Output(NamedTuple):
    """What was put out in the days [first, end), in the plan's units."""

    first: int
    end: int
    quantity: float


class History(NamedTuple):
    """Daily emissions in g from day `first` on, none left out."""

    first: int
    grams: Sequence[int]

    @property
    def day(self) -> int:
        """The last day that is known."""
        return self.first + len(self.grams) - 1

    def since(self, day: int) -> "History":
        """What of it is not before a day."""
        cut = min(max(day - self.first, 0), len(self.grams))
        return History(self.first + cut, self.grams[cut:])


def season_of(
    history: History, days: int, plan: Plan | None = None, outputs: Iterable[Output] = ()
) -> tuple[History, Season]:
    """The best that is known of the next `days`, within the year, and the part of the history that it speaks of.

    A plan goes before the year before: it knows of a shutdown to come. Either needs four weeks that it speaks of;
    without, all days weigh the same.
    """
    if plan is not None and year_of(history.day) == plan.year:
        of_year = history.since(first_of(plan.year))
        if len(of_year.grams) >= LEAST_DAYS and (plan.total_g or any(plan.output)):
            return of_year, _planned(of_year, days, plan, outputs)
    if len(history.grams) >= YEAR_DAYS + LEAST_DAYS:
        return _year_before(history, days)
    return history, Season.none(len(history.grams), days)


def _planned(history: History, days: int, plan: Plan, outputs: Iterable[Output]) -> Season:
    """By planned output where it is stated, and what was put out in its place where that is recorded; else by planned
    emissions."""
    first, by_output = first_of(plan.year), any(plan.output)
    months = zip(months_of(plan.year), plan.output if by_output else plan.emission_g, strict=True)
    weights = np.concatenate([np.full(len(month), planned / len(month)) for month, planned in months])
    if by_output:
        for output in outputs:
            start, end = (min(max(day - first, 0), len(weights)) for day in (output.first, output.end))
            weights[start:end] = output.quantity / (output.end - output.first)
    weights = np.maximum(weights, _LEAST_SHARE * weights.mean())
    begins, today = history.first - first, history.day + 1 - first
    source = "planned output" if by_output else "planned emissions"
    return Season(source, weights[begins:today], weights[today : today + days])


def _year_before(history: History, days: int) -> tuple[History, Season]:
    usual = _smoothed(np.asarray(history.grams, np.float64))
    weights = np.maximum(usual, _LEAST_SHARE * usual.mean() or 1.0)
    read = history.since(history.first + YEAR_DAYS)
    # the year may have a day or two that 364 days back is not known yet
    coming = np.pad(weights, (0, days), mode="edge")[len(read.grams) :][:days]
    return read, Season("year before", weights[: len(read.grams)], coming)


def _smoothed(days: Floats) -> Floats:
    sums = np.concatenate([[0.0], np.cumsum(days)])
    at = np.arange(len(days))
    start, end = np.maximum(at - SMOOTHED_DAYS, 0), np.minimum(at + SMOOTHED_DAYS + 1, len(days))
    return np.asarray((sums[end] - sums[start]) / (end - start))
