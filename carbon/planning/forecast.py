"""From a history of daily emissions to what a subject will have emitted by any later day, with an interval.

The level of the last two weeks carries on at first and gives way to the mean of the history, by half in 120 days; the
weekdays keep their shares. How far off this was is measured on the subject's own past, for the next 28 days from each
earlier week, and becomes the interval. Method and constants were chosen by back-test on one year of data
(`docs/early-warning.md`). Floats, in g CO2e: forecasts decide no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_DAYS = 28
"""A shorter history gives no forecast."""
MOST_DAYS = 364
"""Older days than those of 52 weeks count no more."""
SCORED_WEEKS = 4
"""Weeks ahead over which a method's error is measured on the past, and weeks of history that it has by then at least.
"""
PRIOR_ERROR = 0.15
"""Relative error of the next four weeks that a subject without a past of its own is taken to have; it weighs as much as
four weeks of past. About what 80 % of the back-test's forecasts keep."""
LONGER, SHORTER = 0.15, 0.25
"""Powers by which the relative error grows beyond 28 days, and below: fitted to the back-test, where it is nearly the
same at all horizons, since what is wrong is the level and not the days."""


@dataclass(frozen=True)
class Method:
    """How the days to come follow from whole weeks of history.

    The level is the mean of `recent_weeks`. It returns to the mean of all weeks by half in `half_life` days, or never.
    The shares of the weekdays are those of the last `profile_weeks`, of all of them (None), or equal (0).
    """

    name: str
    recent_weeks: int
    profile_weeks: int | None
    half_life: float | None


RETURNING = Method("returning level", recent_weeks=2, profile_weeks=None, half_life=120.0)
"""The one in use."""
NAIVE = Method("naive", recent_weeks=4, profile_weeks=0, half_life=None)
"""The mean of the last 28 days, for comparison."""
SEASONAL_NAIVE = Method("seasonal naive", recent_weeks=1, profile_weeks=1, half_life=None)
"""The last week again and again, for comparison."""


@dataclass(frozen=True)
class Season:
    """Relative weights of past days and of days to come, and what they come from: `none` when all are the same."""

    source: str
    past: Floats
    coming: Floats

    @classmethod
    def none(cls, past: int, coming: int) -> "Season":
        """That of a subject of which no season is known."""
        return cls("none", np.ones(past), np.ones(coming))


@dataclass(frozen=True)
class Exhaustion:
    """Days from now until a balance is used up, 1 being the next one: as forecast, and the interval around it.

    None is not before the last day of the forecast.
    """

    early: int | None
    expected: int | None
    late: int | None


@dataclass(frozen=True)
class Forecast:
    """Cumulative emissions from tomorrow on, g: at [i] those of the next i + 1 days, and their standard deviation."""

    method: str
    season: str
    mean_g: Floats
    deviation_g: Floats

    def interval(self, percent: int) -> tuple[Floats, Floats]:
        """What the cumulative emissions lie between with this probability."""
        reach = NormalDist().inv_cdf(0.5 + percent / 200) * self.deviation_g
        return np.maximum.accumulate(np.maximum(self.mean_g - reach, 0.0)), self.mean_g + reach

    def total_g(self, days: int) -> float:
        """Emissions of the next `days`."""
        return float(self.mean_g[days - 1]) if days else 0.0

    def exhaustion(self, available_g: int, percent: int) -> Exhaustion:
        """When what is available is used up."""
        low, high = self.interval(percent)
        return Exhaustion(*(_reached(path, available_g) for path in (high, self.mean_g, low)))

    def probability(self, available_g: int, days: int) -> float:
        """That the next `days`, of those that are forecast, use up what is available."""
        if available_g <= 0:
            return 1.0
        last = min(days, len(self.mean_g)) - 1
        if last < 0:
            return 0.0
        lack, deviation = available_g - float(self.mean_g[last]), float(self.deviation_g[last])
        if deviation == 0:
            return float(lack <= 0)
        return 0.5 * erfc(lack / deviation / sqrt(2))


def _reached(path: Floats, amount: int) -> int | None:
    """The first day at whose end a path is at an amount, 0 when it is before any."""
    if amount <= 0:
        return 0
    at = int(np.searchsorted(path, amount))
    return None if at == len(path) else at + 1


def forecast(
    history_g: Sequence[int] | NDArray[np.int64], days: int, season: Season | None = None, method: Method = RETURNING
) -> Forecast | None:
    """The forecast of the next `days` from the days before, oldest first and none left out.

    None when the history is too short. A season's weights are those of the same days.
    """
    season = season or Season.none(len(history_g), days)
    usual = np.asarray(history_g, np.float64) / season.past
    length = min(len(usual), MOST_DAYS) // 7 * 7
    if length < LEAST_DAYS:
        return None
    levels = _Levels(usual[len(usual) - length :].reshape(-1, 7), method)
    path = levels.path(np.array([length // 7]), days)[0] * season.coming
    weight = float(levels.mean[-1]) * np.cumsum(season.coming)
    return Forecast(method.name, season.source, np.cumsum(path), levels.error * _growth(days) * weight)


def _growth(days: int) -> Floats:
    """The relative error of cumulated days by that of the next 28."""
    span = np.arange(1, days + 1) / (7 * SCORED_WEEKS)
    return np.asarray(np.maximum(span**LONGER, span**-SHORTER))


@dataclass(frozen=True)
class _Levels:
    """What a method knows after each of some weeks: row k of every array is from the first k weeks alone."""

    weeks: Floats
    method: Method

    @cached_property
    def _sums(self) -> Floats:
        return np.vstack([np.zeros(7), np.cumsum(self.weeks, axis=0)])

    def _trailing(self, weeks: int) -> Floats:
        """The mean of each weekday over the last weeks."""
        after = np.arange(len(self._sums))
        first = np.maximum(after - weeks, 0)
        means: Floats = (self._sums - self._sums[first]) / np.maximum(after - first, 1)[:, None]
        return means

    @cached_property
    def mean(self) -> Floats:
        """The mean day."""
        return np.asarray(self._trailing(len(self.weeks)).mean(axis=1))

    @cached_property
    def profile(self) -> Floats:
        """The weekdays by the mean day."""
        weeks = self.method.profile_weeks
        if weeks == 0:
            return np.ones_like(self._sums)
        shares = self._trailing(len(self.weeks) if weeks is None else weeks)
        mean = shares.mean(axis=1, keepdims=True)
        return np.asarray(np.divide(shares, mean, out=np.ones_like(shares), where=mean > 0))

    @cached_property
    def recent(self) -> Floats:
        """The mean day of the last weeks, whole ones, so that the weekdays say nothing."""
        return np.asarray(self._trailing(self.method.recent_weeks).mean(axis=1))

    def path(self, after: NDArray[np.int64], days: int) -> Floats:
        """The next days as forecast after those numbers of weeks, a row each."""
        ahead = np.arange(1, days + 1)
        half_life = self.method.half_life
        carried = np.ones(days) if half_life is None else 0.5 ** (ahead / half_life)
        mean, recent = self.mean[after, None], self.recent[after, None]
        return np.asarray((mean + (recent - mean) * carried) * self.profile[after][:, (ahead - 1) % 7])

    @cached_property
    def error(self) -> float:
        """Root mean square of the relative errors over four weeks, that of a subject without a past among them."""
        origins = np.arange(SCORED_WEEKS, len(self.weeks) - SCORED_WEEKS + 1)
        usual = 7 * SCORED_WEEKS * self.mean[origins]
        told = self.path(origins, 7 * SCORED_WEEKS).sum(axis=1)
        came = (self._sums[origins + SCORED_WEEKS] - self._sums[origins]).sum(axis=1)
        squares = np.square(np.divide(came - told, usual, out=np.ones_like(usual), where=usual > 0))
        # neighbours share three of their four weeks: together they weigh as many as don't
        apart = len(origins) / SCORED_WEEKS
        measured = float(squares.mean()) if len(origins) else 0.0
        return sqrt((apart * measured + PRIOR_ERROR**2) / (apart + 1))
