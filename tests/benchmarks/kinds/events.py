"""Which stretches of which series get which kind: the same for every detector that is compared."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tests.benchmarks.kinds.bases import Series
from tests.benchmarks.kinds.planting import Kind, Told, plant

STARTS = {"SimBench": (42, 140, 260), "WaterFlow": (24, 28, 32, 36), "CEMS": (60, 75, 90)}
"""The days at which stretches begin, after so many of honest past."""
LONGEST = {"SimBench": 28, "WaterFlow": 14, "CEMS": 90}
"""Days."""


class Event(NamedTuple):
    """One planted stretch: which series, kind and severity, steps [first, end)."""

    series: int
    kind: Kind
    s: float | None
    first: int
    end: int
    seed: int


def events(base: str, series: list[Series], kind: Kind, seeds: int) -> Iterator[Event]:
    """The stretches of a kind on a base: at every start of every series, `seeds` of each severity."""
    for number, one in enumerate(series):
        for day in STARTS[base]:
            for seed in range(seeds):
                rng = np.random.default_rng([number, day, seed, len(kind.name)])
                first = day * one.day + int(rng.integers(0, 96)) * one.day // 96
                while one.copied is not None and one.copied[first - 2 * one.day : first + one.day].any():
                    first += one.day
                low, high = kind.steps
                high = max(low, min(high, LONGEST[base] * one.day))
                length = int(np.exp(rng.uniform(np.log(low), np.log(high + 0.5))))
                if kind.name == "swap" or not _bites(kind, one, first, length):
                    continue
                for s in kind.severities:
                    yield Event(number, kind, s, first, min(first + length, len(one.value) - 1), seed)


def tell(event: Event, series: Series) -> Told:
    """What is told from the stretch's beginning to a day after its end."""
    rng = np.random.default_rng([event.series, event.first, event.seed])
    last = min(event.end + series.day, len(series.value))
    return plant(event.kind, event.s, series, event.first, event.end, last, rng)


def swaps(meters: int, seeds: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Which two meters are exchanged, and on which day."""
    rng = np.random.default_rng(9)
    for day in STARTS["SimBench"]:
        for _ in range(6 * seeds):
            one, other = rng.choice(meters, 2, replace=False).tolist()
            yield (one, other), day


def _bites(kind: Kind, series: Series, first: int, length: int) -> bool:
    """Whether a stretch takes anything: one that is left out at high load only needs as much of it as a gap is long."""
    if kind.name not in ("gap, selective", "calgas, flag C"):
        return True
    load = series.channels.get("load", series.value)
    high = load[first : first + length] > np.nanquantile(load[first - 10 * series.day : first], 0.8)
    return int(high.sum()) >= 4
