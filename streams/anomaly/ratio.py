"""Two quantities that belong together: a change of their ratio, not its level.

The ratio is held against what it usually is at such a load. A field study found CEMS CO2 5 to 30 % below the calculated
one for good (confidence B), so the level tells nothing.
"""

from math import exp, log
from typing import NamedTuple

from streams.anomaly.alarm import Alarm, Detector
from streams.anomaly.change import Sums
from streams.anomaly.kept import Kept

_KNOTS = 9
_FEW = 24.0
_SLOW = 1 / 1_500
_FAR = 6.0
_HOUR_MS = 3_600_000
_BLOCK_MS = 6 * _HOUR_MS
_HELD = 1.2
"""Sums stay near the limit while an alarm holds, so that it ends soon after its cause."""


class Expected(Kept):
    """The usual ln ratio by load: a line through nine knots, learned step by step, soon slowly."""

    def __init__(self) -> None:
        self.means = [0.0] * _KNOTS
        self.weights = [0.0] * _KNOTS
        self.top = 0.0
        self.spread = 0.0
        self.seen = 0

    def off(self, ln: float, load: float) -> float | None:
        """How far a ln ratio lies off the usual one at a load; None while too little is known of such loads."""
        if not self.top:
            self.top = 1.25 * load
        place = min(_KNOTS - 1.001, max(0.0, (_KNOTS - 1) * load / self.top))
        low = int(place)
        part = place - low
        known = self.weights[low] + self.weights[low + 1] > _FEW
        off = ln - (1 - part) * self._mean(low, ln) - part * self._mean(low + 1, ln)
        most = _FAR * self.spread if known and self.seen > 4 * _FEW else abs(off)
        learned = max(-most, min(most, off))
        if known:
            self.seen += 1
            self.spread += (abs(learned) - self.spread) / min(self.seen, 2_000)
        for knot, weight in ((low, 1 - part), (low + 1, part)):
            self.weights[knot] += weight
            self.means[knot] += learned * weight * max(_SLOW, 1 / (self.weights[knot] + 1))
        return off if known else None

    def _mean(self, knot: int, ln: float) -> float:
        if self.weights[knot] == 0:
            self.means[knot] = ln
        return self.means[knot]


class Off(NamedTuple):
    """One step: how far the ratio lies off the usual one, and how far it usually does, in ln units."""

    at: int
    off: float
    usual: float


class Shifted(Detector):
    """The sums of the means of six hours: a step or a drift of the ratio."""

    floor = 12.0
    declared = frozenset({"kind", "invariant"})

    def __init__(self, per_day: float, kind: str, invariant: str) -> None:
        self.kind, self.invariant = kind, invariant
        super().__init__(per_day)
        self.sums = Sums()
        self.block = 0
        self.total = 0.0
        self.count = 0
        self.recent = 0.0
        """The mean distance of the last days, in ln units."""

    def take(self, one: Off) -> Alarm | None:
        """The next step."""
        block, alarm = one.at // _BLOCK_MS, None
        if block != self.block and self.count:
            alarm = self._end(one.at)
            self.total, self.count = 0.0, 0
        self.block = block
        self.total += one.off
        self.count += 1
        return alarm

    def _end(self, at: int) -> Alarm | None:
        mean = self.total / self.count
        self.recent += (mean - self.recent) / 8
        statistic = self.sums.take(at - _BLOCK_MS, mean)
        since = self.sums.since
        if self.opened is not None and self.alarms[-1].confirmed is False:
            statistic = min(statistic, self.threshold.limit)  # of a change that lasts the sum grows, not the change
        change = self.judge(at, statistic)
        if self.opened is not None:
            self.sums.hold(_HELD * self.threshold.limit)
        if not change:
            return None
        return self.tell(change, at, since, statistic, ratio_to_usual=exp(self.recent))


class Nightly(Detector):
    """The mean distance of a night, 22 to 5 o'clock, against that of the day before it."""

    kind, invariant, floor = "night", "at night the ratio is what it is by day at such a load", 3.0
    declared = frozenset({"offset_ms"})

    def __init__(self, per_day: float, offset_ms: int) -> None:
        super().__init__(per_day)
        self.offset_ms = offset_ms
        self.totals = [0.0, 0.0]
        self.counts = [0, 0]
        self.usual = 0.0
        self.deviation = 0.0
        self.seen = 0
        self.was_night = False

    def take(self, one: Off) -> Alarm | None:
        """The next step."""
        hour = (one.at + self.offset_ms) // _HOUR_MS % 24
        night, alarm = hour >= 22 or hour < 5, None
        if self.was_night and not night:
            alarm = self._end(one.at)
            self.totals, self.counts = [0.0, 0.0], [0, 0]
        self.was_night = night
        self.totals[night] += one.off
        self.counts[night] += 1
        return alarm

    def _end(self, at: int) -> Alarm | None:
        if min(self.counts) < 4:
            return None
        apart = self.totals[1] / self.counts[1] - self.totals[0] / self.counts[0]
        self.seen += 1
        off, weight = apart - self.usual, 1 / min(self.seen, 60)
        z = abs(off) / (self.deviation + 1e-4) if self.seen > 7 else 0.0
        change = self.judge(at, z)
        if self.opened is None:
            self.usual += weight * off
            self.deviation += weight * (1.25 * abs(off) - self.deviation)
        if not change:
            return None
        return self.tell(change, at, at - 7 * _HOUR_MS, z, night_to_day=exp(apart), usual_night_to_day=exp(self.usual))


class Strays(Detector):
    """Steps whose ratio is impossible beside the others, counted up, and all steps down (CUSUM)."""

    floor = 2.5
    declared = frozenset({"kind", "invariant"})
    _SLACK, most = 0.04, 24.0

    def __init__(self, per_day: float, kind: str, invariant: str) -> None:
        self.kind, self.invariant = kind, invariant
        super().__init__(per_day)
        self.sum = 0.0
        self.since = 0
        self.worst = 0.0

    def take(self, one: Off) -> Alarm | None:
        """The next step."""
        if self.sum == 0:
            self.since, self.worst = one.at, 0.0
        far = abs(one.off) > _FAR * one.usual
        if far and abs(one.off) > abs(self.worst):
            self.worst = one.off
        self.sum = min(self.most, max(0.0, self.sum + far - self._SLACK))
        change = self.judge(one.at, self.sum)
        if not change:
            return None
        return self.tell(change, one.at, self.since, self.sum, ratio_to_usual=exp(self.worst))


class Pair(Kept):
    """Two quantities' ratio and what is watched of it."""

    def __init__(self, *detectors: Shifted | Nightly | Strays) -> None:
        self.expected = Expected()
        self.detectors = list(detectors)

    def take(self, at: int, numerator: float, denominator: float, load: float) -> list[Alarm]:
        """The next step of both, and the load that the ratio may depend on. What isn't positive is passed over."""
        if numerator <= 0 or denominator <= 0 or load <= 0:
            return []
        expected = self.expected
        off = expected.off(log(numerator / denominator), load)
        if off is None:
            return []
        one = Off(at, off, expected.spread)
        return [alarm for detector in self.detectors if (alarm := detector.take(one))]
