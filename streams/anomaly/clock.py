"""A device's clock against the time of arrival, and against its own past."""

from collections import deque

from streams.anomaly.alarm import Alarm, Detector, Slot


class Clock(Detector):
    """How far the lag of readings has left its usual level, in seconds; a time that was told before counts as a step.

    The least of the last lags counts: the network only adds. What arrives in one burst after an outage tells nothing.
    """

    kind, invariant, floor = "clock", "the time between a reading and its arrival stays, and no time comes twice", 10.0
    _LAST, _SLOW, _WARM = 8, 1 / 1_000, 48

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.lags: deque[int] = deque(maxlen=self._LAST)
        self.usual = 0.0
        self.seen = 0
        self.received = 0
        self.since = 0
        self.last = 0
        self.again = 0

    def take(self, slot: Slot) -> Alarm | None:
        """The next reading, in the order of arrival."""
        if not slot.arrived:
            return None
        step, self.last = slot.at - self.last, max(slot.at, self.last)
        self.again = self.again + 1 if step <= 0 else 0
        is_new = slot.lag is not None and self._lagged(slot.at, slot.lag, abs(step))
        moved = self._moved(is_new=is_new)
        if moved < self.floor and not self.again:
            self.since = self.last
        statistic = max(abs(moved), 100.0 * (self.again > 3))
        change = self.judge(self.last, statistic)
        if not change:
            return None
        return self.tell(change, self.last, self.since, statistic, moved_seconds=moved, times_again=self.again)

    def _lagged(self, at: int, lag: int, step: int) -> bool:
        """Take in a lag, unless it tells nothing; whether it did."""
        received = at + lag
        live = 2 * (received - self.received) >= min(step, 900_000)
        self.received = received
        if live:
            self.lags.append(lag)
            self.seen += 1
        return live

    def _moved(self, *, is_new: bool) -> float:
        if not self.lags:
            return 0.0
        least = min(self.lags)
        if is_new and self.opened is None:
            rate = max(self._SLOW, 1 / self.seen) if self.seen <= self._WARM else self._SLOW
            self.usual += rate * (least - self.usual)
        return (least - self.usual) / 1000 if self.seen >= self._WARM else 0.0
