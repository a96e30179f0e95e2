"""Cumulative registers."""

from streams.anomaly.alarm import Alarm, Detector, Slot


class Rollback(Detector):
    """By how many usual steps a register fell."""

    kind, invariant, floor = "rollback", "a register doesn't fall", 0.5
    declared = frozenset({"modulus"})

    def __init__(self, per_day: float, modulus: int | None = None) -> None:
        super().__init__(per_day)
        self.modulus = modulus
        self.last: int | None = None
        self.usual = 0.0
        # a fall needs no calibration
        self.threshold.limit = self.threshold.calibrated = self.floor

    def take(self, slot: Slot) -> Alarm | None:
        """The next count of the register. One that went past its modulus by few steps' worth has only begun anew."""
        if slot.value is None:
            return None
        step = 0 if self.last is None else slot.value - self.last
        self.last = slot.value
        if step < 0 and self.modulus is not None and step + self.modulus <= 100 * self.usual:
            step += self.modulus
        self.usual += (max(step, 0) - self.usual) / 100
        fell = max(0, -step) / (self.usual + 1e-9)
        change = self.judge(slot.at, fell)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at, fell, fell_by=-step, usual_step=self.usual)
