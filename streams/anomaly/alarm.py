"""What detectors are given and what they tell, and what all of them share."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from math import inf
from typing import Any, ClassVar, NamedTuple

from streams.anomaly.kept import Kept
from streams.anomaly.threshold import DAY_MS, Threshold
from streams.anomaly.verdict import REMEMBERED, WIDER, Past, usual

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
    """One invariant of one point. Statistics are at least 0 and at most `most`; `floor` is what is never an alarm."""

    kind: str
    invariant: str
    floor: ClassVar[float]
    most: ClassVar[float] = inf

    def __init__(self, per_day: float) -> None:
        self.threshold = Threshold(self.floor, per_day)
        self.day_ends = 0
        self.opened: int | None = None
        """When the alarm was raised that still holds."""
        self.stirred = 0
        """When the statistic of that alarm was high last."""
        self.alarms: list[Past] = []
        """The last alarms, oldest first."""

    def judge(self, at: int, statistic: float) -> Change:
        """Hold a statistic against its limit, and learn from it."""
        if at >= self.day_ends and self._end_day(at):
            return Change.RESOLVED
        threshold = self.threshold
        if self.opened is None:
            if statistic <= threshold.peak:
                return Change.NONE
            if statistic <= threshold.limit:
                if statistic <= threshold.calibrated:
                    threshold.peak = statistic
                return Change.NONE
            return self._raise(at, statistic)
        return self._hold(at, statistic)

    def _raise(self, at: int, statistic: float) -> Change:
        self.opened = self.stirred = at
        self.alarms = [*self.alarms, Past(at, statistic)][-REMEMBERED:]
        return Change.RAISED

    def _hold(self, at: int, statistic: float) -> Change:
        """Another statistic while an alarm holds. One that was dismissed is raised anew by what is clearly more."""
        threshold, last = self.threshold, self.alarms[-1]
        if last.confirmed is None:
            self.alarms[-1] = last._replace(peak=max(last.peak, statistic))
        elif not last.confirmed and statistic > max(threshold.limit, WIDER * last.peak):
            return self._raise(at, statistic)
        if statistic >= _CALM * threshold.limit:
            self.stirred = at
        elif at - self.stirred >= CALM_MS:
            self.opened = None
            return Change.RESOLVED
        return Change.NONE

    def _end_day(self, at: int) -> bool:
        """A day is over; whether an alarm has lasted for so long that what it told of is usual from now on."""
        lasts = self.opened is not None and at - self.opened > PATIENCE_MS and not self.alarms[-1].confirmed
        if lasts:
            self.opened = None
            self.threshold.forget()
        elif self.day_ends and self.opened is None:
            self.threshold.end_day()
        self.day_ends = (at // DAY_MS + 1) * DAY_MS
        return lasts

    def learn(self, at: int, *, confirmed: bool) -> bool:
        """Take in a verdict on the alarm that was raised at `at`; whether that is one of the last. Twice is as once."""
        known = [one._replace(confirmed=confirmed) if one.at == at else one for one in self.alarms]
        is_known = any(one.at == at for one in known)
        if known != self.alarms:
            self.alarms = known
            self.threshold.allow(usual(known, self.most))
        return is_known

    def restore(self, state: Mapping[str, Any]) -> None:
        """As anything that is kept."""
        super().restore(state)
        self.alarms = [Past(*one) for one in self.alarms]
        if self.opened is not None and not self.alarms:  # kept before verdicts were
            self.alarms = [Past(self.opened, 0.0)]

    def tell(self, change: Change, at: int, since: int, statistic: float, **figures: float | str) -> Alarm:
        """The alarm of a change."""
        limit, often = self.threshold.limit, self.threshold.per_month(statistic)
        told: dict[str, float | str] = {"statistic": statistic, "limit": limit, **figures}
        resolved = change is Change.RESOLVED
        return Alarm(self.kind, self.invariant, since, at, statistic / limit, often, told, resolved)


def detectors(kept: Kept) -> Iterator[Detector]:
    """All that are part of something."""
    if isinstance(kept, Detector):
        yield kept
        return
    for part in vars(kept).values():
        for one in part if isinstance(part, list) else [part]:
            if isinstance(one, Kept):
                yield from detectors(one)
