"""The level of a whole day, against the days before: multiplied at once, or drifting away."""

from collections import deque
from math import exp, log

from streams.anomaly.alarm import Alarm, Detector, Slot
from streams.anomaly.threshold import DAY_MS

_PLACES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_FRACTIONS = {"1/10": 0.1, "1/3": 1 / 3, "1/2": 0.5, "2/3": 2 / 3, "3/2": 1.5, "2": 2.0, "3": 3.0, "10": 10.0}
_LEAST_DAYS, _MOST_DAYS = 7, 28


def quantiles(values: list[int]) -> list[float]:
    """ln of the quantiles of a day's values, each at least 1."""
    known = sorted(values)
    last = len(known) - 1
    return [log(max(1, known[round(last * place)])) for place in _PLACES]


def shift(now: list[float], days: list[list[float]]) -> float:
    """By how much, in ln units, a day lies above earlier ones: mean over its quantiles, the steadiest count most.

    A factor moves all quantiles alike; a busy day moves the upper ones, which vary anyway.
    """
    weights = total = 0.0
    for place, one in enumerate(now):
        known = sorted(day[place] for day in days)
        last = len(known) - 1
        middle = known[last // 2]
        spread = known[round(last * 0.85)] - known[round(last * 0.15)] + 0.01
        weights += 1 / spread**2
        total += (one - middle) / spread**2
    return total / weights


class Level(Detector):
    """The shift of the last day's values against 28 days, looked at four times a day."""

    kind, invariant, floor = (
        "multiple",
        "the level of a day doesn't step by a simple fraction (CT or PT ratio, phase)",
        0.2,
    )

    def __init__(self, per_day: float, steps_a_day: int) -> None:
        super().__init__(per_day)
        self.steps = steps_a_day
        self.last: deque[int] = deque(maxlen=steps_a_day)
        self.days: list[list[float]] = []
        self.count = 0

    declared = frozenset({"steps"})

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step."""
        self.last.append(value)
        self.count += 1
        if self.count % (self.steps // 4) or len(self.last) < self.steps:
            return None
        now = quantiles(list(self.last))
        alarm = self._look(slot.at, now) if len(self.days) >= _LEAST_DAYS else None
        if self.count % self.steps == 0:
            self.days = [*self.days, now][-_MOST_DAYS:]
        return alarm

    def _look(self, at: int, now: list[float]) -> Alarm | None:
        found = shift(now, self.days)
        change = self.judge(at, abs(found))
        if not change:
            return None
        ratio = exp(found)
        nearest = min(_FRACTIONS, key=lambda name: abs(log(ratio / _FRACTIONS[name])))
        return self.tell(change, at, at - DAY_MS, abs(found), ratio=ratio, nearest_fraction=nearest)
