"""The level and shape of a point's values as one score (`streams.anomaly.univariate`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from streams.anomaly.alarm import Alarm, Detector, Slot
from streams.anomaly.univariate import DIGITS, UnivariateDetector


class Shape(Detector):
    """The digits of a value's rarity in its stream."""

    kind, invariant, floor = "shape", "values are as usual as they were: level, noise, steps, rest", 5.0
    most = DIGITS

    def __init__(self, per_day: float) -> None:
        super().__init__(per_day)
        self._scored = UnivariateDetector()

    def state(self) -> dict[str, Any]:
        """As of any detector, and what the score rests on."""
        return {**super().state(), "scored": self._scored.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As of any detector."""
        super().restore({name: value for name, value in state.items() if name != "scored"})
        self._scored = UnivariateDetector.restore(state["scored"])

    def take(self, slot: Slot, value: int) -> Alarm | None:
        """The next step."""
        digits = DIGITS * self._scored.score(datetime.fromtimestamp(slot.at / 1000, UTC), value)
        change = self.judge(slot.at, digits)
        if not change:
            return None
        return self.tell(change, slot.at, slot.at, digits, value=value)
