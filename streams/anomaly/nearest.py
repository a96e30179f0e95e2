"""How far the last values are, as one shape, from all shapes before: the distance to the k-th nearest of them.

After Burnaev and Ishimtsev 2016 (Conformalized density- and distance-based anomaly detection in time-series data), with
few shapes kept. Sums are added in a fixed order, so that the same values give the same bytes on any machine.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 16
KEPT = 128
EVERY = 8
"""One in so many shapes is kept."""
_NEAREST = 5


class Shapes:
    """The shapes of a stream's values, given in standard deviations."""

    __slots__ = ("_count", "_kept", "_now")

    def __init__(self) -> None:
        self._count = 0
        self._now: NDArray[np.float64] = np.zeros((LENGTH, 1))
        self._kept: NDArray[np.float64] = np.zeros((LENGTH, KEPT))

    def distance(self, value: float) -> float:
        """How far the shape that ends with a value is from those before; 0 until some are known."""
        now = self._now
        now[:-1] = now[1:]
        now[-1, 0] = value
        self._count += 1
        learned = max(0, self._count - LENGTH) // EVERY
        found = 0.0
        if learned >= 2 * _NEAREST:
            apart = self._kept[:, :learned] - now
            squares = np.multiply(apart, apart, out=apart).sum(0)
            squares.partition(_NEAREST - 1)
            found = float(squares[_NEAREST - 1]) ** 0.5
        if self._count >= LENGTH and (self._count - LENGTH) % EVERY == EVERY - 1:
            self._kept[:, learned % KEPT] = now[:, 0]
        return found

    def state(self) -> list[Any]:
        """Plain data from which `restore` goes on."""
        return [self._count, self._now[:, 0].tolist(), self._kept.tolist()]

    @classmethod
    def restore(cls, state: list[Any]) -> "Shapes":
        """The shapes that a state is of."""
        shapes = cls()
        shapes._count = state[0]
        shapes._now[:, 0] = state[1]
        shapes._kept[:] = state[2]
        return shapes
