"""Meters that could have been exchanged: those of one gateway, subject, unit and scale, compared day by day."""

from collections.abc import Sequence
from typing import Any

from carbon.registry import Point, Registry
from streams.anomaly.alarm import Alarm
from streams.anomaly.point import share
from streams.anomaly.swap import HOURS, Habit, Swap, day_of
from streams.anomaly.threshold import DAY_MS
from streams.anomaly.watch import Watch

MOST = 32
"""Meters that are compared with each other; of more, the first by id. Each pair of them is compared once a day."""
_HOUR_MS = DAY_MS // HOURS
_LATE_MS = _HOUR_MS
"""How long a day waits for readings behind its end, by the gateway's clock."""


def groups(registry: Registry) -> dict[str, list[Point]]:
    """Points that could be taken for each other, two at least, by a name of their group."""
    found = dict[str, list[Point]]()
    for gateway, points in registry.points_of.items():
        for point in points:
            kind = "value" if point.counter is None else "register"
            name = f"siblings {gateway} {point.subject} {point.unit} {point.scale} {kind}"
            found.setdefault(name, []).append(point)
    return {name: points[:MOST] for name, points in found.items() if len(points) > 1}


class Siblings(Watch):
    """The days of some meters, hour by hour in UTC."""

    def __init__(self, names: Sequence[str], per_month: float) -> None:
        super().__init__()
        self.swap = Swap(share(per_month), tuple(names))
        self.days: dict[str, dict[str, list[Any]]] = {}
        """Of the days that are not over: sum and count of each hour, by point."""
        self.ended = -1
        self.named = ""
        """Of which meter the alarm that holds was told."""

    def follow(self, names: Sequence[str]) -> None:
        """Compare these from now on; what is known of a meter stays."""
        self.swap.habits = {name: self.swap.habits.get(name) or Habit() for name in names}

    def measure(self, name: str, at: int, value: int) -> None:
        """A reading of a meter, or of a register what it counted."""
        day, rest = divmod(at, DAY_MS)
        if day > self.ended and name in self.swap.habits:
            hours = self.days.setdefault(str(day), {}).setdefault(name, [[0, 0] for _ in range(HOURS)])
            hour = hours[rest // _HOUR_MS]
            hour[0] += value
            hour[1] += 1

    def take(self, now: int) -> list[tuple[str, Alarm]]:
        """Time has come to `now`, ms UTC: what the days tell that are over, and of which meter."""
        found = list[tuple[str, Alarm]]()
        for day in sorted(int(day) for day in self.days):
            end = (day + 1) * DAY_MS
            if end + _LATE_MS > now:
                break
            hourly, self.ended = self.days.pop(str(day)), day
            whole = {name: hours for name, hours in hourly.items() if all(count for _, count in hours)}
            known = {name: day_of([total / count for total, count in hours]) for name, hours in whole.items()}
            alarm = self.swap.take(end, known)
            if alarm is not None:
                self.named = self.named if alarm.resolved else self.swap.pair.partition(" & ")[0]
                found.append((self.named, alarm))
        return found
