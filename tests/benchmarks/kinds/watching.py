"""Our detectors over a series: what they told, train-free, from a state that was kept before the planted stretch."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from streams.anomaly.alarm import Alarm, Slot
from streams.anomaly.kept import Kept
from streams.anomaly.point import PointStack, StackGas, share
from streams.anomaly.register import Rollback
from streams.anomaly.swap import HOURS, Swap, day_of
from tests.benchmarks.kinds.bases import CHANNELS, DAY_MS, Series
from tests.benchmarks.kinds.planting import Kind, Told, honest, register

PER_MONTH = 1.0


class Watch(Kept):
    """All that watches one series: the point's stack, its register, and the stack's gas where there is one."""

    def __init__(self, series: Series) -> None:
        self.point = PointStack(series.step_ms, PER_MONTH)
        self.register = Rollback(share(PER_MONTH))
        self.gas = StackGas(PER_MONTH)

    def run(self, told: Told) -> Iterator[list[Alarm]]:
        """The alarms of each step, in the order of arrival."""
        for place, value in enumerate(told.value.tolist()):
            at = int(told.at[place])
            if told.arrived[place]:
                known = None if value != value else int(value)
                alarms = self.point.take(Slot(at, known, told.flag[place], True, int(told.lag[place])))
            else:
                alarms = self.point.pass_to(at)
            if told.channels and told.flag[place] == "N":
                row = {name: float(of[place]) / CHANNELS[name] for name, of in told.channels.items()}
                if row["co2"] == row["co2"]:
                    alarms += self.gas.take(at, **row)
            if told.register is not None and (one := self.register.take(Slot(at, int(told.register[place])))):
                alarms.append(one)
            yield alarms


class Warm(NamedTuple):
    """What was told of a clean series as a whole, and the state at some steps of it."""

    alarms: list[Alarm]
    states: dict[int, str]
    months: float


def warm(series: Series, places: Iterable[int], since: int) -> Warm:
    """Run a clean series; alarms count from step `since` on."""
    watch, alarms, states = Watch(series), list[Alarm](), dict[int, str]()
    wanted, told = set(places), honest(series, 0, len(series.value), 0)
    for place, found in enumerate(watch.run(told)):
        alarms += [
            alarm for alarm in found if not alarm.resolved and place >= since and not _true(alarm, place, series)
        ]
        if place + 1 in wanted:
            states[place + 1] = json.dumps(watch.state())
    return Warm(alarms, states, (len(told.value) - since) * series.step_ms / DAY_MS / 30)


def _true(alarm: Alarm, place: int, series: Series) -> bool:
    """Whether an alarm on a clean series is right: the data set does repeat itself, or lacks readings for hours."""
    if alarm.kind == "replay" and series.copied is not None:
        return bool(series.copied[place])
    recent = series.value[max(0, place - 96) : place + 4]
    return alarm.kind == "gap" and series.base == "WaterFlow" and bool(np.isnan(recent).sum() > 2)


def first_told(series: Series, state: str, told: Told, kind: Kind) -> tuple[int, Alarm] | None:
    """The step of the stretch at which an alarm of a right kind was raised, and that alarm."""
    watch = Watch(series)
    watch.restore(json.loads(state))
    if told.register is not None:
        for place, count in enumerate(register(series, told.first - 200, told.first)):
            watch.register.take(Slot(series.at(told.first - 200 + place), int(count)))
    for place, alarms in enumerate(watch.run(told)):
        for alarm in alarms:
            if not alarm.resolved and alarm.kind in kind.told_by:
                return place, alarm
    return None


def days(series: Series, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[list[float] | None]:
    """Whole days as the swap detector takes them."""
    hourly = values[: len(values) // series.day * series.day].reshape(-1, HOURS, series.day // HOURS)
    counts = (~np.isnan(hourly)).sum(2)
    means = np.nansum(hourly, 2) / np.maximum(counts, 1)
    return [day_of(row.tolist()) if all(count) else None for row, count in zip(means, counts, strict=True)]


def watch_swap(
    group: list[Series], swapped: tuple[int, int] | None, first_day: int, last_day: int
) -> list[tuple[int, Alarm]]:
    """What is told of a group of meters, day by day, two of which are exchanged from a day on."""
    detector = Swap(share(PER_MONTH), tuple(series.name for series in group))
    columns = {series.name: days(series, series.value) for series in group}
    if swapped is not None:
        a, b = (group[place].name for place in swapped)
        columns[a], columns[b] = (
            columns[a][:first_day] + columns[b][first_day:],
            columns[b][:first_day] + columns[a][first_day:],
        )
    found = list[tuple[int, Alarm]]()
    for day in range(last_day):
        known = {name: one for name, of in columns.items() if (one := of[day]) is not None}
        alarm = detector.take(group[0].at((day + 1) * group[0].day), known)
        if alarm is not None and not alarm.resolved:
            found.append((day, alarm))
    return found
