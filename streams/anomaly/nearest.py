"""How far the last values are, as one shape, from all shapes before: the distance to the k-th nearest of them.

After Burnaev and Ishimtsev 2016 (Conformalized density- and distance-based anomaly detection in time-series data), with
few shapes kept. Sums are added in a fixed order, so that the same values give the same bytes on any machine.
"""

from math import dist
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 16
KEPT = 128
EVERY = 8
"""One in so many shapes is kept."""
_NEAREST = 5
_TRIED = 16
"""Shapes that are looked at before all others."""
_SURELY = 1 - 1e-9
"""Sums in another order differ by less."""


class Shapes:
    """The shapes of a stream's values, given in standard deviations."""

    __slots__ = ("_columns", "_count", "_kept", "_now", "_tried")

    def __init__(self) -> None:
        self._count = 0
        self._now = [0.0] * LENGTH
        self._kept: NDArray[np.float64] = np.zeros((LENGTH, KEPT))
        # those that were nearest when all were looked at: they say nothing that all wouldn't
        self._columns: list[int] = []
        self._tried: list[list[float]] = []

    def distance(self, value: float, enough: float = -1.0) -> float:
        """How far the shape that ends with a value is from those before; 0 until some are known.

        Where it is at most `enough`, any number that is.
        """
        now = self._now
        del now[0]
        now.append(value)
        self._count += 1
        learned = max(0, self._count - LENGTH) // EVERY
        found = 0.0
        if learned >= 2 * _NEAREST:
            found = enough if self._is_near(enough) else self._among_all(min(learned, KEPT))
        if self._count >= LENGTH and (self._count - LENGTH) % EVERY == EVERY - 1:
            self._keep(learned % KEPT)
        return found

    def _is_near(self, enough: float) -> bool:
        """Whether a few say already that the distance is at most that. False says nothing."""
        within, near, now = enough * _SURELY, 0, self._now
        for shape in self._tried:
            near += dist(shape, now) <= within
            if near == _NEAREST:
                return True
        return False

    def _among_all(self, learned: int) -> float:
        """The distance; the nearest are tried first from now on."""
        apart = self._kept[:, :learned] - np.array(self._now).reshape(LENGTH, 1)
        squares = np.multiply(apart, apart, out=apart).sum(0)
        if learned > _TRIED:
            columns = squares.argpartition(_TRIED)[:_TRIED]
            columns = columns[squares[columns].argsort()]
            self._columns, self._tried = columns.tolist(), self._kept[:, columns].T.tolist()
        squares.partition(_NEAREST - 1)
        found: float = float(squares[_NEAREST - 1]) ** 0.5
        return found

    def _keep(self, column: int) -> None:
        self._kept[:, column] = self._now
        if column in self._columns:
            place = self._columns.index(column)
            del self._columns[place], self._tried[place]

    def state(self) -> list[Any]:
        """Plain data from which `restore` goes on."""
        return [self._count, list(self._now), self._kept.tolist()]

    @classmethod
    def restore(cls, state: list[Any]) -> "Shapes":
        """The shapes that a state is of."""
        shapes = cls()
        shapes._count = state[0]
        shapes._now = list(state[1])
        shapes._kept[:] = state[2]
        return shapes
