"""From packets to alarms: the detectors of every registered point, fed in the order of the packets."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon.anomaly import Raised
from carbon.packet import Packet
from carbon.registry import Point, Registry
from streams.anomaly.alarm import Alarm, Slot
from streams.anomaly.related import Values
from streams.anomaly.siblings import Siblings, groups
from streams.anomaly.watch import PointWatch, Watch, like

_SILENT_MS = 7_200_000
"""A point that says nothing for so long, while its gateway speaks, says nothing."""


class Found(NamedTuple):
    """An alarm of a point."""

    point: str
    alarm: Alarm


class Watcher:
    """All points. `states` are those of points and of their groups, `heads` run and sequence of each gateway's last
    packet; `offset_ms`: days begin so long before those of UTC."""

    def __init__(
        self,
        registry: Registry,
        per_month: float = 1.0,
        states: Mapping[str, Any] | None = None,
        heads: Mapping[str, list[int]] | None = None,
        offset_ms: int = 0,
    ) -> None:
        self._per_month, self._offset_ms = per_month, offset_ms
        self._states = dict(states or {})
        self._points = dict[str, PointWatch]()
        self._siblings = dict[str, Siblings]()
        self.heads = dict(heads or {})
        self.changed = set[str]()
        self.follow(registry)

    def follow(self, registry: Registry) -> None:
        """Watch by another registry from now on."""
        self._registry = registry
        self._groups = groups(registry)
        self._group_of = {point.id: name for name, points in self._groups.items() for point in points}
        self._parts = defaultdict[str, list[Point]](list)
        for point in sorted(registry.points.values(), key=lambda one: one.id):
            if point.parent_meter is not None:
                self._parts[point.parent_meter].append(point)
        for name, siblings in self._siblings.items():
            siblings.follow([point.id for point in self._groups.get(name, ())])

    def state(self, name: str) -> dict[str, Any]:
        """What is known of a point or a group, as plain data."""
        watch: Watch = self._siblings[name] if name in self._siblings else self._points[name]
        return watch.state()

    def take(self, packet: Packet, reasons: NDArray[np.uint8]) -> list[Found]:
        """The next packet of a gateway with the verdict on each reading. One that came before is passed over."""
        head = [packet.run, packet.sequence]
        if head <= self.heads.get(packet.gateway, [-1, -1]):
            return []
        self.heads[packet.gateway] = head
        found, values = list[Found](), defaultdict[str, dict[int, int]](dict)
        for place, row in enumerate(zip(packet.point.tolist(), packet.at.tolist(), packet.value.tolist(), strict=True)):
            name, at, value = packet.points[row[0]], row[1], row[2]
            point = self._registry.points.get(name)
            if point is None or point.gateway != packet.gateway:
                continue
            valid = not reasons[place]
            if valid:
                values[name][at] = value
            slot = Slot(at, value if valid else None, chr(packet.flag[place]), True, packet.sent_at - at)
            found += self._reading(point, slot)
        found += self._together(packet, values) + self._silent(packet) + self._exchanged(packet)
        for one in found:
            self._watch_of(one.point, one.alarm.kind).heed(one.alarm)
        return found

    def learn(self, raised: Raised, *, confirmed: bool) -> None:
        """Take in a verdict on an anomaly. One of a point that nobody registered is passed over."""
        if raised.point in self._registry.points:
            self._watch_of(raised.point, raised.kind).learn(raised.kind, raised.at, confirmed=confirmed)

    def _watch_of(self, point: str, kind: str) -> Watch:
        if kind == "swap" and point in self._group_of:
            return self._group(self._group_of[point])
        return self._watch(self._registry.points[point])

    def _watch(self, point: Point) -> PointWatch:
        watch = self._points.get(point.id)
        if watch is None or watch.like != like(point):
            watch = PointWatch(point, self._per_month, self._offset_ms)
            state = self._states.pop(point.id, None)
            if state is not None and state["like"] == watch.like:
                watch.restore(state)
            self._points[point.id] = watch
        self.changed.add(point.id)
        return watch

    def _group(self, name: str) -> Siblings:
        siblings = self._siblings.get(name)
        if siblings is None:
            names = [point.id for point in self._groups[name]]
            siblings = self._siblings[name] = Siblings(names, self._per_month)
            if (state := self._states.pop(name, None)) is not None:
                siblings.restore(state)
        self.changed.add(name)
        return siblings

    def _reading(self, point: Point, slot: Slot) -> list[Found]:
        watch = self._watch(point)
        if not watch.is_due(slot, point):
            return []
        alarms, value = watch.take(slot, point)
        if value is not None and (group := self._group_of.get(point.id)) is not None:
            self._group(group).measure(point.id, slot.at, value)
        return [Found(point.id, alarm) for alarm in alarms]

    def _together(self, packet: Packet, values: Values) -> list[Found]:
        found, registry = list[Found](), self._registry
        for point in registry.points_of.get(packet.gateway, ()):
            parts = self._parts.get(point.id, ())
            if point.id in values and (parts or point.dry_gas or point.load or point.fuel):
                alarms = self._watch(point).together(values, point, registry, parts)
                found += [Found(point.id, alarm) for alarm in alarms]
        return found

    def _exchanged(self, packet: Packet) -> list[Found]:
        points = self._registry.points_of.get(packet.gateway, ())
        names = dict.fromkeys(self._group_of[point.id] for point in points if point.id in self._group_of)
        return [Found(*one) for name in names for one in self._group(name).take(packet.sent_at)]

    def _silent(self, packet: Packet) -> list[Found]:
        found, known = list[Found](), packet.sent_at - _SILENT_MS
        for point in self._registry.points_of.get(packet.gateway, ()):
            watch = self._points.get(point.id)
            if watch is not None and watch.stack.last is not None and watch.stack.last + watch.slot_ms <= known:
                self.changed.add(point.id)
                found += [Found(point.id, alarm) for alarm in watch.stack.pass_to(known)]
        return found
