"""What detectors are given and what they tell, and what all of them share."""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar, NamedTuple

from streams.anomaly.kept import Kept
from streams.anomaly.threshold import DAY_MS, Threshold

PATIENCE_MS = 28 * DAY_MS
"""A state that has lasted so long is what is usual now."""
_CALM, CALM_MS = 0.5, DAY_MS
"""Below this share of its limit for a day a statistic is calm again: what flickers is one alarm."""


class Slot(NamedTuple):
    """One step of a point. `at` in ms UTC, `value` in scaled integers of its unit; None where none was measured.

    `lag` is how long after `at` it arrived, in ms; None where nobody knows.
    """

    at: int
    value: int | None
    flag: str = "N"
    arrived: bool = True
    lag: int | None = None


class Alarm(NamedTuple):
    """An invariant that broke at `at`, ms UTC, and since when; or, `resolved`, holds again.

    `score` is by how many times the statistic is above its limit, `per_month` how often in 30 days such a value is to
    be expected without a fault.
    """

    kind: str
    invariant: str
    since: int
    at: int
    score: float
    per_month: float
    figures: Mapping[str, float | str]
    resolved: bool = False


class Change(IntEnum):
    """What became of an alarm."""

    NONE = 0
    RAISED = 1
    RESOLVED = 2


class Detector(Kept):
    """One invariant of one point. Statistics are at least 0; `floor` is what is never an alarm."""

    kind: str
    invariant: str
    floor: ClassVar[float]

    def __init__(self, per_day: float) -> None:
        self.threshold = Threshold(self.floor, per_day)
        self.day_ends = 0
        self.opened: int | None = None
        """When the alarm was raised that still holds."""
        self.stirred = 0
        """When the statistic of that alarm was high last."""

    def judge(self, at: int, statistic: float) -> Change:
        """Hold a statistic against its limit, and learn from it."""
        if at >= self.day_ends:
            self._end_day(at)
        threshold = self.threshold
        if self.opened is None:
            if statistic <= threshold.peak:
                return Change.NONE
            if statistic <= threshold.limit:
                threshold.peak = statistic
                return Change.NONE
            self.opened = self.stirred = at
            return Change.RAISED
        if statistic >= _CALM * threshold.limit:
            self.stirred = at
        elif at - self.stirred >= CALM_MS:
            self.opened = None
            return Change.RESOLVED
        return Change.NONE

    def _end_day(self, at: int) -> None:
        if self.opened is not None and at - self.opened > PATIENCE_MS:
            self.opened = None
            self.threshold.forget()
        elif self.day_ends and self.opened is None:
            self.threshold.end_day()
        self.day_ends = (at // DAY_MS + 1) * DAY_MS

    def tell(self, change: Change, at: int, since: int, statistic: float, **figures: float | str) -> Alarm:
        """The alarm of a change."""
        limit, often = self.threshold.limit, self.threshold.per_month(statistic)
        told: dict[str, float | str] = {"statistic": statistic, "limit": limit, **figures}
        resolved = change is Change.RESOLVED
        return Alarm(self.kind, self.invariant, since, at, statistic / limit, often, told, resolved)
