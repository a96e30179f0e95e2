"""When a statistic is too high: calibrated on the point's own past to a rate of false alarms that the user sets.

The greatest value of each day is kept for 60 days. Greatest values of days follow a Gumbel law where the tail is
exponential (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, ch. 3); its location and scale come
from quantiles, so that a few odd days change little, and the limit is the value that a day exceeds with the set
probability. What is above the limit, and so an alarm, is not learned from.
"""

from collections import deque
from math import exp, inf, log
from typing import ClassVar

from streams.anomaly.kept import Kept

DAY_MS = 86_400_000
MONTH_DAYS = 30
LEAST_DAYS, MOST_DAYS = 7, 60
_MEDIAN, _QUARTILES, _UPPER = 0.3665, 1.5725, 1.8839
"""Of the standard Gumbel law: the median, the upper quartile above the lower, the 90 % quantile above the median."""


class Threshold(Kept):
    """The limit of one statistic of one point. `per_day`: false alarms a day; `floor`: what is never an alarm."""

    declared: ClassVar[frozenset[str]] = frozenset({"floor", "per_day"})

    def __init__(self, floor: float, per_day: float) -> None:
        self.floor, self.per_day = floor, per_day
        self.limit = inf
        self.calibrated = inf
        """The limit without what people said. What is above it is no alarm if they allowed it, and not learned from."""
        self.peak = 0.0
        """The greatest value of the day that runs."""
        self.location = 0.0
        self.scale = 1.0
        self.usual = 0.0
        """Up to here people have said that it is nothing (`streams.anomaly.verdict`)."""
        self.maxima: deque[float] = deque(maxlen=MOST_DAYS)

    def end_day(self) -> None:
        """Learn from the day's greatest value. There is no limit before a week has been seen."""
        self.maxima.append(self.peak)
        self.peak = 0.0
        if len(self.maxima) >= LEAST_DAYS:
            self._set()

    def _set(self) -> None:
        known = sorted(self.maxima)
        last = len(known) - 1
        lower, median, upper, high = (known[round(last * share)] for share in (0.25, 0.5, 0.75, 0.9))
        spread = max((upper - lower) / _QUARTILES, (high - median) / _UPPER)
        self.scale = max(spread * (1 + 2 / len(known)), 1e-9)
        self.location = median - _MEDIAN * self.scale
        self.calibrated = max(self.floor, self.location - self.scale * log(self.per_day))
        self.limit = max(self.calibrated, self.usual)

    def per_month(self, statistic: float) -> float:
        """How many times in 30 days such a value is to be expected without a fault."""
        return MONTH_DAYS * exp(min(0.0, (self.location - statistic) / self.scale))

    def allow(self, usual: float) -> None:
        """Tell of nothing up to that."""
        self.usual = usual
        if len(self.maxima) >= LEAST_DAYS:
            self._set()
        elif self.limit < inf:  # a limit that needs no calibration
            self.limit = max(self.floor, usual)

    def forget(self) -> None:
        """Learn anew what is usual."""
        self.maxima.clear()
        self.peak, self.limit, self.calibrated = 0.0, inf, inf
