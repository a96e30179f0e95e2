"""Values that leave their neighbours and come back: one that is too far off, and too many that are."""

from collections import deque
from math import log

from streams.anomaly.alarm import Alarm, Detector, Slot
from streams.anomaly.kept import Kept
from streams.anomaly.threshold import DAY_MS

_SPAN = 9
_MIDDLE = _SPAN // 2


class Neighbours(Kept):
    """How far the value four steps ago lies off the median of the nine around it, in what is usual for the point."""

    def __init__(self) -> None:
        self.near: deque[int] = deque(maxlen=_SPAN)
        self.level = 1.0
        self.usual = 0.0
        self.seen = 0

    def off(self, value: int) -> float:
        """The same with the next value; 0 before there are nine."""
        near = self.near
        near.append(value)
        self.level += (abs(value) - self.level) / 200
        if len(near) < _SPAN:
            return 0.0
        small = 0.05 * self.level + 1
        apart = abs(log((abs(near[_MIDDLE]) + small) / (abs(sorted(near)[_MIDDLE]) + small)))
        self.seen += 1
        self.usual += (min(apart, 8 * self.usual + 0.01) - self.usual) / min(self.seen, 1_000)
        return apart / (self.usual + 1e-4)


class Spike(Detector):
    """One value that comes back within three steps: its distance in usual ones."""

    kind, invariant, floor = "spike", "a value isn't alone: what changes doesn't come back within three steps", 6.0

    def take(self, slot: Slot, off: float) -> Alarm | None:
        """The distance that the next step tells of; it is of the value four steps ago."""
        change = self.judge(slot.at, off)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at, off, times_usual=off)


class Spikes(Detector):
    """The mean square of such distances over 96 steps."""

    kind, invariant, floor = "spike", "values that come back within three steps are as rare as they were", 4.0
    _MOST = 12.0
    most = _MOST**2

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.square = 0.0

    def take(self, slot: Slot, off: float) -> Alarm | None:
        """The distance that the next step tells of."""
        off = min(off, self._MOST)
        self.square += (off * off - self.square) / 96
        change = self.judge(slot.at, self.square)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at - DAY_MS, self.square, mean_square=self.square)
