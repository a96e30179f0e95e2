"""One point's detectors: by itself, of its register, and beside the points that the registry says it belongs with."""

from collections.abc import Sequence
from typing import Any

from carbon.emission.cems import CemsMass
from carbon.registry import Point, Registry
from streams.anomaly.alarm import Alarm, Slot, detectors
from streams.anomaly.kept import Kept
from streams.anomaly.point import LINE, PointStack, share
from streams.anomaly.ratio import Pair, Shifted, Strays
from streams.anomaly.register import Rollback
from streams.anomaly.related import MassPer, Parts, Values, instants

_LEAST_MS = 300_000
"""A point that is read more often is watched by one reading of five minutes."""
_MOST_AWAITED = 16
_AIR = 20.9
"""vol% of O2 at which the line of combustion ends (`anomalies.json` of the domain)."""


class Watch(Kept):
    """Detectors that people's verdicts reach."""

    def __init__(self) -> None:
        self.awaited: dict[str, bool] = {}
        """Verdicts that came before their alarm, as after a crash, by kind and time of that."""

    def learn(self, kind: str, at: int, *, confirmed: bool) -> None:
        """Take in a verdict on the alarm of a kind that was raised at `at`, ms UTC."""
        known = [one.learn(at, confirmed=confirmed) for one in detectors(self) if one.kind == kind]
        if not any(known):
            awaited = {**self.awaited, f"{kind}/{at}": confirmed}
            self.awaited = dict(list(awaited.items())[-_MOST_AWAITED:])

    def heed(self, alarm: Alarm) -> None:
        """Learn from the verdict that came before an alarm, if one did."""
        name = f"{alarm.kind}/{alarm.at}"
        if name in self.awaited and not alarm.resolved:
            self.learn(alarm.kind, alarm.at, confirmed=self.awaited.pop(name))


class PointWatch(Watch):
    """All that watches a point. `offset_ms`: its days begin so long before those of UTC."""

    declared = frozenset({"slot_ms"})

    def __init__(self, point: Point, per_month: float, offset_ms: int = 0) -> None:
        super().__init__()
        self._per_month, self._offset_ms = per_month, offset_ms
        self.like = like(point)
        self.slot_ms = max(point.step_ms, _LEAST_MS)
        self.stack = PointStack(self.slot_ms, per_month)
        self.register = Rollback(share(per_month), point.counter)
        self.line = Pair(Shifted(share(per_month), "line", LINE), Strays(share(per_month), "calgas", LINE))
        self.lined = -1
        """The last slot whose readings the line has seen."""
        self.per_load = MassPer.load((), per_month, offset_ms)
        self.per_fuel = MassPer.fuel((), per_month)
        self.parts = Parts((), per_month)
        self.counted: int | None = None
        self.last = -1

    def is_due(self, slot: Slot, point: Point) -> bool:
        """Whether a reading is looked at: of a point that is read very often only some are."""
        number, before = slot.at // self.slot_ms, self.last
        self.last = number
        return number != before or self.slot_ms <= point.step_ms

    def take(self, slot: Slot, point: Point) -> tuple[list[Alarm], int | None]:
        """The next reading, and the value that is watched: what a register adds up is watched as its steps."""
        if point.counter is None:
            return self.stack.take(slot), slot.value
        alarms = [] if slot.value is None or (one := self.register.take(slot)) is None else [one]
        value, before = slot.value, self.counted
        if value is not None:
            self.counted = value
            value = None if before is None else (value - before) % point.counter
        return alarms + self.stack.take(slot._replace(value=value)), value

    def together(self, values: Values, point: Point, registry: Registry, parts: Sequence[Point]) -> list[Alarm]:
        """The readings of a packet at the same instants as those of a point's partners; `parts` are its sub-meters."""
        found = self._beside_oxygen(values, point, registry) if point.dry_gas is not None else []
        if point.load is not None:
            names = _named(point, point.load)
            if self.per_load.names != names:
                self.per_load = MassPer.load(names, self._per_month, self._offset_ms)
            found += self.per_load.take(values, self.slot_ms, registry.masses[point.id])
        if point.fuel is not None:
            names = _named(point, point.fuel)
            if self.per_fuel.names != names:
                self.per_fuel = MassPer.fuel(names, self._per_month)
            found += self.per_fuel.take(values, self.slot_ms, registry.masses[point.id])
        if parts:
            names = [point.id, *(one.id for one in parts)]
            if self.parts.names != names:
                self.parts = Parts(names, self._per_month)
            found += self.parts.take(values, self.slot_ms, [point, *parts])
        return found

    def _beside_oxygen(self, values: Values, point: Point, registry: Registry) -> list[Alarm]:
        assert point.dry_gas is not None
        partner, found = registry.points[point.dry_gas.partner], list[Alarm]()
        for at in instants(values, [point.id, partner.id], self.lined, self.slot_ms):
            self.lined = at // self.slot_ms
            co2, o2 = values[point.id][at] / 10**point.scale, values[partner.id][at] / 10**partner.scale
            found += self.line.take(at, co2, _AIR - o2, 1.0)
        return found


def _named(point: Point, beside: str) -> list[str]:
    """A stack's concentration, what its mass is watched beside, and what that mass is computed with."""
    partners = point.emission.partners if isinstance(point.emission, CemsMass) else ()
    return [point.id, beside, *partners]


def like(point: Point) -> list[Any]:
    """What may not change of a point without beginning anew."""
    return [point.unit, point.scale, point.step_ms, point.counter]
