"""The past told again: windows whose values came before, and likeness to the day or the week before."""

from collections import deque
from collections.abc import Mapping
from math import log
from typing import Any

from streams.anomaly.alarm import Alarm, Detector, Slot

_WINDOW = 6
_DISTINCT = 5
_HASHES = 2_880


class Repeat(Detector):
    """Steps in a row whose last six values came in that order before."""

    kind, invariant, floor = "replay", "no window of values comes twice", 3.5

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.last: deque[int] = deque(maxlen=_WINDOW)
        self.order: deque[tuple[int, int]] = deque(maxlen=_HASHES)
        """Hash and time of each window."""
        self.run = 0
        self.before = 0
        self._times: dict[int, int] = {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As of any detector; the times of hashes follow from their order."""
        super().restore(state)
        self.order = deque(map(tuple, self.order), _HASHES)  # type: ignore[arg-type]
        self._times = dict(self.order)

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step. Windows of few different values repeat by themselves."""
        self.last.append(value)
        if len(set(self.last)) < _DISTINCT:
            self.run = 0
            return None
        window = hash(tuple(self.last))
        seen = self._times.get(window)
        if seen is None:
            self.run = 0
        else:
            self.run, self.before = self.run + 1, seen
        if len(self.order) == _HASHES:
            old, at = self.order[0]
            if self._times.get(old) == at:
                del self._times[old]
        self.order.append((window, slot.at))
        self._times[window] = slot.at
        change = self.judge(slot.at, self.run)
        if not change:
            return None
        hours = (slot.at - self.before) / 3_600_000
        return self.tell(change, slot.at, slot.at, self.run, windows=self.run, hours_before=hours)


class Likeness(Detector):
    """How much nearer the values are to those a day or a week before than to the step before, in ln units."""

    kind, invariant, floor = "replay", "a day is less like another than a step like the next", 1.6
    _QUICK = 1 / 16

    def __init__(self, per_day: float, steps_a_day: int) -> None:
        super().__init__(per_day)
        self.steps = steps_a_day
        self.past: deque[int | None] = deque(maxlen=7 * steps_a_day)
        self.day_apart = self.week_apart = 0.0
        """How far values lie from those before, in the mean of the last steps."""
        self.moved = 0.0
        self.previous = 0

    def miss(self) -> None:
        """A step without a value."""
        self.past.append(None)

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step."""
        past, quick = self.past, self._QUICK
        if len(past) < 7 * self.steps:
            past.append(value)
            return None
        self.moved += quick * (abs(value - self.previous) - self.moved)
        self.previous = value
        day, week = past[-self.steps], past[0]
        past.append(value)
        if day is not None:
            self.day_apart += quick * (abs(value - day) - self.day_apart)
        if week is not None:
            self.week_apart += quick * (abs(value - week) - self.week_apart)
        least = min(self.day_apart, self.week_apart)
        statistic = log((self.moved + 0.5) / (least + 0.5)) if self.moved > 3 * least else 0.0
        change = self.judge(slot.at, statistic)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at, statistic, apart=least, step_to_step=self.moved)
