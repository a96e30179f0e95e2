"""Values that meters don't give by themselves: the same again and again, cut off at the top, rounded."""

from collections import deque

from streams.anomaly.alarm import Alarm, Change, Detector, Slot

_JITTER = 2
"""A run's values lie within so many units of the last place: a held value that flickers by one each way."""


class Stuck(Detector):
    """The run of values that don't change, but for a flicker of one unit of the last place, in steps."""

    kind, invariant, floor = "stuck", "a measured value changes; runs of one value are as short as they were", 4.2

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.low = self.high = 0
        self.since = 0
        self.run = 0

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step. Zeros are those of a plant that stands, or of `Zeros`."""
        low, high = min(self.low, value), max(self.high, value)
        if value and high - low <= _JITTER:
            self.low, self.high, self.run = low, high, self.run + 1
        else:
            self.low = self.high = value
            self.since, self.run = slot.at, 1 if value else 0
        change = self.judge(slot.at, self.run)
        if not change:
            return None
        return self.tell(change, slot.at, self.since, self.run, steps=self.run, value=value)


class Clip(Detector):
    """How many of the last values are the greatest of them."""

    kind, invariant, floor = "clip", "peaks differ; values that reach the top of the range have flag T", 5.5
    _WINDOW, _EACH, _NEARLY = 96, 4, 0.9
    most = _NEARLY * _WINDOW

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.last: deque[int] = deque(maxlen=self._WINDOW)
        self.count = 0

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step. A window that is nearly one value is stuck, not clipped."""
        self.last.append(value)
        self.count += 1
        if self.count % self._EACH or len(self.last) < self._WINDOW:
            return None
        top = max(self.last)
        times = self.last.count(top)
        if top <= 0 or times > self.most:
            return None
        change = self.judge(slot.at, times)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at, times, times=times, of=self._WINDOW, top=top)


class Rounded(Detector):
    """Values of at most two significant digits, counted up, and down by those that have more (CUSUM)."""

    kind, invariant, floor = "round", "the last digits of a meter are as likely as any", 4.0
    _SLACK, most = 0.5, 12.0

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.sum = 0.0
        self.since = 0

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step. A value below 100 has no digits to lose."""
        if value < 100:
            return None
        coarse = value % 10 == 0 and value % 10 ** (len(str(value)) - 2) == 0
        if self.sum == 0:
            self.since = slot.at
        self.sum = min(self.most, max(0.0, self.sum + coarse - self._SLACK))
        change: Change = self.judge(slot.at, self.sum)
        if not change:
            return None
        return self.tell(change, slot.at, self.since, self.sum, value=value)
