"""The detectors of one point, and of points that belong together."""

from streams.anomaly.alarm import Alarm, Slot
from streams.anomaly.arrivals import Flags, Gap, Zeros
from streams.anomaly.clock import Clock
from streams.anomaly.kept import Kept
from streams.anomaly.level import Level
from streams.anomaly.ratio import Nightly, Pair, Shifted, Strays
from streams.anomaly.replay import Likeness, Repeat
from streams.anomaly.shape import Shape
from streams.anomaly.spike import Neighbours, Spike, Spikes
from streams.anomaly.threshold import DAY_MS, MONTH_DAYS
from streams.anomaly.values import Clip, Rounded, Stuck

_FAMILY = 12
"""Among so many detectors a point's rate of false alarms is divided."""
_MOST_MISSING = 672


def share(per_month: float) -> float:
    """The false alarms a day of one detector, of what a point may have in 30 days."""
    return per_month / MONTH_DAYS / _FAMILY


class PointStack(Kept):
    """All that watches one point by itself. `per_month`: the false alarms in 30 days that the user accepts."""

    declared = frozenset({"step_ms"})

    def __init__(self, step_ms: int, per_month: float = 1.0) -> None:
        per_day, steps = share(per_month), DAY_MS // step_ms
        self.step_ms = step_ms
        self.last: int | None = None
        self.clock, self.gap, self.flags = Clock(per_day), Gap(per_day), Flags(per_day)
        self.zeros, self.stuck = Zeros(per_day), Stuck(per_day)
        self.rounded, self.clip = Rounded(per_day), Clip(per_day)
        self.repeat, self.likeness = Repeat(per_day), Likeness(per_day, steps)
        self.neighbours, self.spike, self.spikes = Neighbours(), Spike(per_day), Spikes(per_day)
        self.level, self.shape = Level(per_day, steps), Shape(per_day)

    def take(self, slot: Slot) -> list[Alarm]:
        """The next reading, in the order of arrival. Steps that were left out count as missing."""
        alarms = _those(self.clock.take(slot))
        if self.last is not None:
            if slot.at <= self.last:
                return alarms
            missed = min(_MOST_MISSING, round((slot.at - self.last) / self.step_ms) - 1)
            for number in range(missed):
                alarms += self._missing(self.last + (number + 1) * self.step_ms)
        self.last = slot.at
        return alarms + (self._missing(slot.at, slot) if slot.value is None else self._measured(slot, slot.value))

    def pass_to(self, at: int) -> list[Alarm]:
        """Time has come to `at`, ms UTC, without a reading."""
        alarms = list[Alarm]()
        while self.last is not None and self.last + self.step_ms <= at:
            self.last += self.step_ms
            alarms += self._missing(self.last)
        return alarms

    def _missing(self, at: int, slot: Slot | None = None) -> list[Alarm]:
        slot = slot or Slot(at, None, arrived=False)
        self.likeness.miss()
        return _those(self.gap.take(slot), self.flags.take(slot))

    def _measured(self, slot: Slot, value: int) -> list[Alarm]:
        off = self.neighbours.off(value)
        return _those(
            self.gap.take(slot),
            self.flags.take(slot),
            self.zeros.take(slot),
            self.stuck.take(slot, value),
            self.rounded.take(slot, value),
            self.clip.take(slot, value),
            self.repeat.take(slot, value),
            self.likeness.take(slot, value),
            self.spike.take(slot, off),
            self.spikes.take(slot, off),
            self.level.take(slot, value),
            self.shape.take(slot, value),
        )


def _those(*alarms: Alarm | None) -> list[Alarm]:
    return list(filter(None, alarms))


LINE = "CO2 and O2 of dry gas lie on the fuel's line of combustion"
PER_LOAD = "the mass of CO2 for a unit of load stays"
PER_FUEL = "the mass of CO2 for a unit of fuel stays"
SUB_METERS = "the sub-meters add up to their parent meter, less a steady loss"
_AIR = 20.9


class StackGas(Kept):
    """What ties a stack's points together. CO2 and O2 in vol% dry, flow, load and fuel in any unit."""

    def __init__(self, per_month: float = 1.0, offset_ms: int = 0) -> None:
        per_day = share(per_month)
        self.line = Pair(Shifted(per_day, "line", LINE), Strays(per_day, "calgas", LINE))
        self.per_load = Pair(Shifted(per_day, "mass_per_load", PER_LOAD), Nightly(per_day, offset_ms))
        self.per_fuel = Pair(Shifted(per_day, "mass_per_fuel", PER_FUEL))

    def take(
        self, at: int, co2: float, o2: float, flow: float, load: float | None = None, fuel: float | None = None
    ) -> list[Alarm]:
        """One instant at which all of them were measured; load and fuel where they are."""
        alarms = self.line.take(at, co2, _AIR - o2, 1.0)
        if load is not None:
            alarms += self.per_load.take(at, co2 * flow, load, load)
        if fuel is not None:
            alarms += self.per_fuel.take(at, co2 * flow, fuel, fuel)
        return alarms


class SubMeters(Kept):
    """A parent meter and what stands below it."""

    def __init__(self, per_month: float = 1.0) -> None:
        self.sum = Pair(Shifted(share(per_month), "sub_meters", SUB_METERS))

    def take(self, at: int, parent: float, parts: list[float]) -> list[Alarm]:
        """One step of all of them."""
        return self.sum.take(at, sum(parts), parent, parent)
