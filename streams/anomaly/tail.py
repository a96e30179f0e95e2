"""How rare a value is among those before it: its tail probability, with the tail beyond the greatest drawn on.

Only the greatest of a horizon are kept. Where few have been as great, the tail is Pareto's with Hill's estimate of its
index (Hill 1975, A simple general approach to inference about the tail of a distribution), as in peaks over threshold
(Siffer et al. 2017, Anomaly detection in streams with extreme value theory).
"""

from bisect import bisect_left
from math import log, log10
from typing import Any

KEPT = 100
HORIZON = 10_000
"""Values after which one is forgotten."""
_FITTED = 20
"""The greatest that the tail is fitted to."""
_THINNEST = 0.1
"""The least mean of log excesses that is believed; below, a value a hair greater would be a wonder."""
_WARM = 50
_PRUNE = 256
_MOST = 12.0
_LN10 = log(10)


class Tail:
    """The greatest of a quantity's values so far; the quantity isn't negative."""

    __slots__ = ("_ages", "_count", "_top")

    def __init__(self) -> None:
        self._count = 0
        self._top: list[float] = []
        self._ages: list[int] = []

    def surprise(self, value: float) -> float:
        """-log10 of the probability of such a value or a greater one, by those before it; then it is one of them.

        0 for one that isn't among the greatest, and for the first fifty.
        """
        found = 0.0
        self._count += 1
        if len(self._top) < KEPT or value > self._top[0]:
            found = self._rarity(value)
            self._learn(value)
        if self._count % _PRUNE == 0 and self._count > HORIZON:
            self._forget()
        return found

    @property
    def unheard(self) -> float:
        """Up to where a value surprises nobody and isn't kept; -1 while every value is."""
        return self._top[0] if len(self._top) == KEPT else -1.0

    def state(self) -> list[Any]:
        """Plain data from which `restore` goes on."""
        return [self._count, list(self._top), list(self._ages)]

    @classmethod
    def restore(cls, state: list[Any]) -> "Tail":
        """The tail that a state is of."""
        tail = cls()
        tail._count, top, ages = state
        tail._top, tail._ages = list(top), list(ages)
        return tail

    def _rarity(self, value: float) -> float:
        top = self._top
        if self._count <= _WARM or not top:
            return 0.0
        count = min(self._count, HORIZON)
        above = len(top) - bisect_left(top, value)
        fitted = min(_FITTED, len(top))
        base = top[-fitted]
        if above >= fitted or base <= 0.0:
            return log10(count / (above + 1))
        excess = sum(map(log, top[-fitted:])) / fitted - log(base)
        return min(_MOST, log10(count / fitted) + log(value / base) / max(excess, _THINNEST) / _LN10)

    def _learn(self, value: float) -> None:
        if len(self._top) == KEPT:
            del self._top[0], self._ages[0]
        place = bisect_left(self._top, value)
        self._top.insert(place, value)
        self._ages.insert(place, self._count)

    def _forget(self) -> None:
        since = self._count - HORIZON
        kept = [(value, age) for value, age in zip(self._top, self._ages, strict=True) if age > since]
        self._top, self._ages = [value for value, _ in kept], [age for _, age in kept]
