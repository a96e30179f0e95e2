"""Points that belong together by the registry, fed with the readings that one packet has of the same instants."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from carbon.quantity import ratio
from carbon.registry import Point
from carbon.stack_mass import MassFormula
from streams.anomaly.alarm import Alarm
from streams.anomaly.kept import Kept
from streams.anomaly.point import PER_FUEL, PER_LOAD, SubMeters, share
from streams.anomaly.ratio import Nightly, Pair, Shifted

Values = Mapping[str, Mapping[int, int]]
"""The valid readings of a packet by point and time, ms UTC, in scaled integers."""


def instants(values: Values, names: Sequence[str], last: int, slot_ms: int) -> list[int]:
    """When all of some points were measured: the first instant of each slot behind the slot number `last`."""
    first, *others = (values.get(name, {}) for name in names)
    found = dict[int, int]()
    for at in sorted(first):
        number = at // slot_ms
        if number > last and number not in found and all(at in other for other in others):
            found[number] = at
    return list(found.values())


class MassPer(Kept):
    """The mass of a stack's gas for a unit of what another point measures. `names`: its concentration, that, and more
    that the mass is computed with; other ones begin anew."""

    def __init__(self, names: Sequence[str], *detectors: Shifted | Nightly) -> None:
        self.names = list(names)
        self.last = -1
        self.pair = Pair(*detectors)

    @classmethod
    def load(cls, names: Sequence[str], per_month: float, offset_ms: int) -> "MassPer":
        """For a unit of load: by day and by night, at an offset from UTC."""
        per_day = share(per_month)
        return cls(names, Shifted(per_day, "mass_per_load", PER_LOAD), Nightly(per_day, offset_ms))

    @classmethod
    def fuel(cls, names: Sequence[str], per_month: float) -> "MassPer":
        """For a unit of fuel."""
        return cls(names, Shifted(share(per_month), "mass_per_fuel", PER_FUEL))

    def take(self, values: Values, slot_ms: int, formula: MassFormula) -> list[Alarm]:
        """The next packet's readings."""
        own, beside, *_ = self.names
        ats = instants(values, self.names, self.last, slot_ms)
        if not ats:
            return []
        self.last = ats[-1] // slot_ms
        columns = {name: np.array([values[name][at] for at in ats], np.int64) for name in self.names}
        found = list[Alarm]()
        for at, mass in zip(ats, formula.masses(columns[own], columns), strict=True):
            load = float(values[beside][at])
            found += self.pair.take(at, float(mass), load, load)
        return found


class Parts(Kept):
    """A meter beside its sub-meters; of registers what they counted since all of them were read together."""

    def __init__(self, names: Sequence[str], per_month: float) -> None:
        self.names = list(names)
        self.last = -1
        self.counts: list[int] = []
        self.sum = SubMeters(per_month)

    def take(self, values: Values, slot_ms: int, meters: Sequence[Point]) -> list[Alarm]:
        """The next packet's readings of the meters of these names."""
        found, parent, sizes = list[Alarm](), meters[0], sizes_of(meters)
        for at in instants(values, self.names, self.last, slot_ms):
            self.last = at // slot_ms
            now = [values[name][at] for name in self.names]
            steps = now if parent.counter is None else self._counted(now, meters)
            if steps:
                whole, *parts = (size * step for size, step in zip(sizes, steps, strict=True))
                found += self.sum.take(at, whole, parts)
        return found

    def _counted(self, now: list[int], meters: Sequence[Point]) -> list[int]:
        before, self.counts = self.counts, now
        return (
            [(n - b) % (meter.counter or 1) for n, b, meter in zip(now, before, meters, strict=True)] if before else []
        )


def sizes_of(meters: Sequence[Point]) -> list[float]:
    """One integer of each meter, in the unit of the first."""
    return [float(ratio(one.unit, meters[0].unit) / Fraction(10) ** one.scale) for one in meters]
