"""From packets to alarms: the detectors of every registered point, fed in the order of the packets."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon.anomaly import Raised
from carbon.packet import Packet
from carbon.registry import Point, Registry
from streams.anomaly.alarm import Alarm, Slot, detectors
from streams.anomaly.kept import Kept
from streams.anomaly.point import LINE, PointStack, share
from streams.anomaly.ratio import Pair, Shifted, Strays
from streams.anomaly.register import Rollback

_LEAST_MS = 300_000
"""A point that is read more often is watched by one reading of five minutes."""
_SILENT_MS = 7_200_000
"""A point that says nothing for so long, while its gateway speaks, says nothing."""
_MOST_AWAITED = 16
_AIR = 20.9
"""vol% of O2 at which the line of combustion ends (`anomalies.json` of the domain)."""


class Found(NamedTuple):
    """An alarm of a point."""

    point: str
    alarm: Alarm


class PointWatch(Kept):
    """One point's detectors: by itself, of its register, of its line with the O2 of its partner."""

    declared = frozenset({"slot_ms"})

    def __init__(self, point: Point, per_month: float) -> None:
        self.like = _like(point)
        self.slot_ms = max(point.step_ms, _LEAST_MS)
        self.stack = PointStack(self.slot_ms, per_month)
        self.register = Rollback(share(per_month), point.counter)
        self.line = Pair(Shifted(share(per_month), "line", LINE), Strays(share(per_month), "calgas", LINE))
        self.counted: int | None = None
        self.last = -1
        self.awaited: dict[str, bool] = {}
        """Verdicts that came before their alarm, as after a crash, by kind and time of that."""

    def take(self, slot: Slot, point: Point) -> list[Alarm]:
        """The next reading. What a register adds up is watched as its steps."""
        if point.counter is None:
            return self.stack.take(slot)
        alarms = [] if slot.value is None or (one := self.register.take(slot)) is None else [one]
        value, before = slot.value, self.counted
        if value is not None:
            self.counted = value
            value = None if before is None else (value - before) % point.counter
        return alarms + self.stack.take(slot._replace(value=value))

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


def _like(point: Point) -> list[Any]:
    """What may not change of a point without beginning anew."""
    return [point.unit, point.scale, point.step_ms, point.counter]


class Watcher:
    """All points. `states` are those of points, `heads` run and sequence of each gateway's last packet."""

    def __init__(
        self,
        registry: Registry,
        per_month: float = 1.0,
        states: Mapping[str, Any] | None = None,
        heads: Mapping[str, list[int]] | None = None,
    ) -> None:
        self._registry, self._per_month = registry, per_month
        self._states = dict(states or {})
        self._watches = dict[str, PointWatch]()
        self.heads = dict(heads or {})
        self.changed = set[str]()

    def follow(self, registry: Registry) -> None:
        """Watch by another registry from now on."""
        self._registry = registry

    def state(self, point: str) -> dict[str, Any]:
        """What is known of a point, as plain data."""
        return self._watches[point].state()

    def take(self, packet: Packet, reasons: NDArray[np.uint8]) -> list[Found]:
        """The next packet of a gateway with the verdict on each reading. One that came before is passed over."""
        head = [packet.run, packet.sequence]
        if head <= self.heads.get(packet.gateway, [-1, -1]):
            return []
        self.heads[packet.gateway] = head
        found, values = list[Found](), dict[tuple[str, int], int]()
        for place, row in enumerate(zip(packet.point.tolist(), packet.at.tolist(), packet.value.tolist(), strict=True)):
            name, at, value = packet.points[row[0]], row[1], row[2]
            point = self._registry.points.get(name)
            if point is None or point.gateway != packet.gateway:
                continue
            valid = not reasons[place]
            if valid:
                values[name, at] = value
            slot = Slot(at, value if valid else None, chr(packet.flag[place]), True, packet.sent_at - at)
            found += self._reading(point, slot)
        found += self._lines(packet, values) + self._silent(packet)
        for one in found:
            self._watches[one.point].heed(one.alarm)
        return found

    def learn(self, raised: Raised, *, confirmed: bool) -> None:
        """Take in a verdict on an anomaly. One of a point that nobody registered is passed over."""
        point = self._registry.points.get(raised.point)
        if point is not None:
            self._watch(point).learn(raised.kind, raised.at, confirmed=confirmed)

    def _watch(self, point: Point) -> PointWatch:
        watch = self._watches.get(point.id)
        if watch is None or watch.like != _like(point):
            watch = PointWatch(point, self._per_month)
            state = self._states.pop(point.id, None)
            if state is not None and state["like"] == watch.like:
                watch.restore(state)
            self._watches[point.id] = watch
        self.changed.add(point.id)
        return watch

    def _reading(self, point: Point, slot: Slot) -> list[Found]:
        watch = self._watch(point)
        number = slot.at // watch.slot_ms
        if watch.slot_ms > point.step_ms and number == watch.last:
            return []
        watch.last = number
        return [Found(point.id, alarm) for alarm in watch.take(slot, point)]

    def _lines(self, packet: Packet, values: Mapping[tuple[str, int], int]) -> list[Found]:
        found = list[Found]()
        for (name, at), value in values.items():
            point = self._registry.points[name]
            if point.dry_gas is None or (oxygen := values.get((point.dry_gas.partner, at))) is None:
                continue
            partner = self._registry.points[point.dry_gas.partner]
            co2, o2 = value / 10**point.scale, oxygen / 10**partner.scale
            found += [Found(name, alarm) for alarm in self._watch(point).line.take(at, co2, _AIR - o2, 1.0)]
        return found

    def _silent(self, packet: Packet) -> list[Found]:
        found, known = list[Found](), packet.sent_at - _SILENT_MS
        for point in self._registry.points_of.get(packet.gateway, ()):
            watch = self._watches.get(point.id)
            if watch is not None and watch.stack.last is not None and watch.stack.last + watch.slot_ms <= known:
                self.changed.add(point.id)
                found += [Found(point.id, alarm) for alarm in watch.stack.pass_to(known)]
        return found
