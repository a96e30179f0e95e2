"""What doesn't arrive, arrives as zero, or is flagged away: shares of steps, each against what is usual (CUSUM)."""

from abc import abstractmethod

from streams.anomaly.alarm import Alarm, Detector, Slot


class Share(Detector):
    """Steps of some sort counted up, and all steps down by the usual share of them and some."""

    most = 96.0
    _SLACK = 0.03
    _SLOW = 1 / 2_000
    _TIMES = 3.0

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self.sum = 0.0
        self.usual = 0.0
        self.since = 0
        self.high = 0
        """Of those counted, how many came when the point stood above its usual level."""
        self.counted = 0
        self.level = 0.0
        self.value = 0

    @abstractmethod
    def counts(self, slot: Slot) -> bool:
        """Whether a step is of the sort."""

    def take(self, slot: Slot) -> Alarm | None:
        """The next step."""
        one = self.counts(slot)
        self.usual += self._SLOW * (one - self.usual)
        if not one and not self.sum and self.opened is None and slot.at < self.day_ends:
            self._remember(slot, one)
            return None
        if self.sum == 0:
            self.since, self.high, self.counted = slot.at, 0, 0
        self.sum = min(self.most, max(0.0, self.sum + one - self._SLACK - self._TIMES * self.usual))
        self._remember(slot, one)
        change = self.judge(slot.at, self.sum)
        if not change:
            return None
        share = self.high / max(1, self.counted)
        return self.tell(
            change, slot.at, self.since, self.sum, steps=self.counted, usual_share=self.usual, share_at_high=share
        )

    def _remember(self, slot: Slot, one: bool) -> None:
        if one:
            self.counted += 1
            self.high += self.value > self.level
        elif slot.value is not None:
            self.value = slot.value
            self.level += (slot.value - self.level) / 672


class Gap(Share):
    """Steps without a value."""

    kind, invariant, floor = "gap", "a reading arrives at every step, at high load as at low", 2.5

    def counts(self, slot: Slot) -> bool:
        """Nothing came, or nothing that is a number."""
        return slot.value is None


class Zeros(Share):
    """Steps of value 0, of a point that seldom has them."""

    kind, invariant, floor = "zero", "a plant that runs doesn't measure 0", 2.5

    def counts(self, slot: Slot) -> bool:
        """A zero was measured."""
        return slot.value == 0


class Flags(Share):
    """Steps whose flag takes the value out of the books."""

    kind, invariant, floor = "flag", "calibration and maintenance are as rare as they were, whatever the load", 3.5

    def counts(self, slot: Slot) -> bool:
        """Flagged, other than as normal or over range."""
        return slot.arrived and slot.flag not in "NT"
