"""Which points a point belongs together with, for those who watch them: no record hangs on it.

`load` and `fuel` are measured beside the mass of a stack's CO2, `parent_meter` counts what a sub-meter counts too. All
are of one gateway and subject, so that one packet tells of them at the same instants.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from carbon.quantity import QuantityError, ratio

if TYPE_CHECKING:
    from carbon.registry import Point

LOADS = ("Wh", "Wh/h", "t", "t/h")
"""Energy, and steam, of a step or an hour."""
POWERS = ("W", "kW", "MW", "GW")
FUELS = ("t", "t/h", "m3", "m3/h", "Nm3", "Nm3/h")
MOST_PARTS = 32
"""Sub-meters of one meter."""


def fault(points: Mapping[str, "Point"]) -> str | None:
    """The first thing that is wrong with what points say of others, with whose it is; None if nothing is."""
    for point in points.values():
        if wrong := _beside(point, points) or _below(point, points):
            return f"{point.id}: {wrong}"
    parts = Counter(point.parent_meter for point in points.values() if point.parent_meter is not None)
    crowded = (f"{name}: at most {MOST_PARTS} sub-meters" for name, count in parts.items() if count > MOST_PARTS)
    return next(crowded, None)


def _beside(point: "Point", points: Mapping[str, "Point"]) -> str | None:
    for field, name, units in (("load", point.load, LOADS), ("fuel", point.fuel, FUELS)):
        if name is None:
            continue
        if not point.is_mass or point.emission.gas != "CO2":
            return f"its {field} is beside the mass of a stack's CO2"
        if wrong := _other(point, name, points):
            return wrong
        other = points[name]
        if other.counter is not None or other.time != point.time or point.step_seconds % other.step_seconds:
            return f"its {field} has its kind of time, a step that its own is filled by, and is no counter"
        if not (_measured_in(other.unit, units) or (field == "load" and other.unit in POWERS)):
            return f"a {field} is not measured in {other.unit}"
    return None


def _other(point: "Point", name: object, points: Mapping[str, "Point"]) -> str | None:
    other = points.get(name) if isinstance(name, str) else None
    if other is None or other is point or (other.gateway, other.subject) != (point.gateway, point.subject):
        return f"{name!r} is no other point of its gateway and subject"
    return None


def _below(point: "Point", points: Mapping[str, "Point"]) -> str | None:
    """What is wrong with its parent meter."""
    if point.parent_meter is None:
        return None
    if wrong := _other(point, point.parent_meter, points):
        return wrong
    parent = points[point.parent_meter]
    steps = [(one.step_seconds, one.time, one.counter is None) for one in (point, parent)]
    if steps[0] != steps[1] or not _measured_in(point.unit, [parent.unit]):
        return f"its parent meter has its step, kind of time and of count, and a unit like {point.unit}"
    seen, above = {point.id}, point.parent_meter
    while above not in seen:
        seen.add(above)
        higher = points[above].parent_meter
        if higher is None or higher not in points:
            return None
        above = higher
    return "a meter is not below itself"


def _measured_in(unit: str, bases: Sequence[str]) -> bool:
    for base in bases:
        try:
            ratio(unit, base)
            return True
        except QuantityError:
            continue
    return False
