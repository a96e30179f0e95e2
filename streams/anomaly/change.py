"""A change of what varies around a level: sums of what lies above and below it (CUSUM; Page 1954, Biometrika 41)."""

from streams.anomaly.kept import Kept

_SLACK, _CLIP = 0.75, 5.0
_LEARN, _SLOW = 56, 1 / 240


class Sums(Kept):
    """Both sums, in usual deviations. The first 56 values set the deviation; from then on it follows slowly."""

    def __init__(self) -> None:
        self.above = self.below = 0.0
        self.deviation = 0.0
        self.seen = 0
        self.since_above = self.since_below = 0

    def take(self, at: int, off: float) -> float:
        """The greater sum with the next distance from the level; 0 while the deviation is learned."""
        self.seen += 1
        size = 1.25 * abs(off)
        if self.seen <= _LEARN:
            self.deviation += (size - self.deviation) / self.seen
            return 0.0
        z = off / (self.deviation + 1e-6)
        z = max(-_CLIP, min(_CLIP, z))
        self.deviation += _SLOW * (min(size, 2 * self.deviation) - self.deviation)
        if self.above == 0:
            self.since_above = at
        if self.below == 0:
            self.since_below = at
        self.above = max(0.0, self.above + z - _SLACK)
        self.below = max(0.0, self.below - z - _SLACK)
        return max(self.above, self.below)

    def hold(self, most: float) -> None:
        """Let neither sum be more than that."""
        self.above, self.below = min(self.above, most), min(self.below, most)

    @property
    def since(self) -> int:
        """When the greater sum was last 0."""
        return self.since_above if self.above > self.below else self.since_below
