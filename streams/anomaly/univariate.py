"""Anomalies of one stream of values: its level against the time of day, its noise, its standing still, its shape.

Each part is a quantity that isn't negative, and says by its own past how rare its value is (`streams.anomaly.tail`), so
parts and streams are comparable and none needs a setting. See docs/anomaly-univariate.md.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

from streams.anomaly.nearest import Shapes
from streams.anomaly.tail import Tail

DIGITS = 10.0
"""A score is the decimal digits of a rarity, in tenths: 0.3 is once in a thousand values."""
REFRACTORY = 200
"""Values over which what has been said fades: until then only something clearly rarer is said."""
CLEARLY = 1.5
PARTS = ("level", "jump", "noise", "unrest", "quiet", "stuck", "shape")
_FARTHEST = 1e100
"""Its square is still a number."""
_SLOTS = 48
_LEARNED, _NEAR = 0.1, 0.2
_NOTHING = 1e-12
_FAST, _SLOWER, _SLOW = 1 / 16, 1 / 64, 1 / 1000
_OUTERMOST = 20.0
"""Standard deviations beyond which a shape is no stranger."""


class UnivariateDetector:
    """One stream's anomalies, online. Memory is bounded; the same values at the same times get the same scores."""

    def __init__(self) -> None:
        self._count = 0
        self._last = self._mean = self._variance = 0.0
        self._off = self._near = 0.0
        self._moved = self._stirred = self._usual = 0.0
        self._still = 0
        self._said = self._fade = 0.0
        self._day: list[float | None] = [None] * _SLOTS
        self._shapes = Shapes()
        self._tails = [Tail() for _ in PARTS]

    def score(self, timestamp: datetime, value: float) -> float:
        """How anomalous a value is, in [0, 1]: 10^(-10 · score) is about its probability.

        A value that is no number gets 0 and changes nothing.
        """
        if not isfinite(value):
            return 0.0
        value = max(-_FARTHEST, min(_FARTHEST, value))
        if self._count == 0:
            self._last = self._mean = value
        parts = self._parts(timestamp, value)
        rarity = sum([tail.surprise(part) ** 3 for tail, part in zip(self._tails, parts, strict=True)]) ** (1 / 3)
        return min(1.0, self._fresh(rarity) / DIGITS)

    def scores(self, timestamps: Iterable[datetime], values: Iterable[float]) -> list[float]:
        """The same for many values in a row."""
        return [self.score(timestamp, value) for timestamp, value in zip(timestamps, values, strict=True)]

    def state(self) -> dict[str, Any]:
        """Plain data from which `restore` goes on as if nothing had happened."""
        kept = {name: value for name, value in vars(self).items() if name not in ("_day", "_shapes", "_tails")}
        tails = [tail.state() for tail in self._tails]
        return {**kept, "_day": list(self._day), "_shapes": self._shapes.state(), "_tails": tails}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "UnivariateDetector":
        """The detector that a state is of."""
        detector = cls()
        vars(detector).update(state)
        detector._day = list(state["_day"])
        detector._shapes = Shapes.restore(state["_shapes"])
        detector._tails = [Tail.restore(tail) for tail in state["_tails"]]
        return detector

    def _parts(self, timestamp: datetime, value: float) -> Sequence[float]:
        """What is looked at, in the order of `PARTS`; each is learned from."""
        self._count += 1
        weight = max(1 / self._count, _SLOW)
        off = value - self._usually(timestamp, value)
        jump = abs(off - self._near)
        self._near += (off - self._near) * _NEAR
        self._off += (off - self._off) * _FAST
        noise, unrest = self._noise(value, weight)
        self._still = self._still + 1 if value == self._last else 0
        self._last = value
        shape = self._shapes.distance(self._standard(value, weight), self._tails[-1].unheard)
        return abs(self._off), jump, noise, unrest, 1 / noise, float(self._still), shape

    def _usually(self, timestamp: datetime, value: float) -> float:
        slot = (timestamp.hour * 60 + timestamp.minute) * _SLOTS // 1440
        known = self._day[slot]
        self._day[slot] = value if known is None else known + (value - known) * _LEARNED
        return self._mean if known is None else known

    def _noise(self, value: float, weight: float) -> tuple[float, float]:
        """The mean step over the last 16 and 64 values, to what is usual."""
        moved = abs(value - self._last)
        self._moved += (moved - self._moved) * max(weight, _FAST)
        self._stirred += (moved - self._stirred) * max(weight, _SLOWER)
        self._usual += (moved - self._usual) * weight
        least = 1e-3 * self._variance**0.5 or _NOTHING
        usual = self._usual + least
        return (self._moved + least) / usual, (self._stirred + least) / usual

    def _standard(self, value: float, weight: float) -> float:
        """The value in standard deviations from the mean, both of the last 1,000 or so."""
        away = value - self._mean
        self._mean += away * weight
        self._variance += (away * (value - self._mean) - self._variance) * weight
        deviations = (value - self._mean) / (self._variance**0.5 or _NOTHING)
        return max(-_OUTERMOST, min(_OUTERMOST, deviations))

    def _fresh(self, rarity: float) -> float:
        """A rarity, unless about as rare a one was said shortly before."""
        if rarity > CLEARLY * self._said:
            self._said, self._fade = rarity, rarity / REFRACTORY
            return rarity
        self._said = max(0.0, self._said - self._fade)
        return 0.0
