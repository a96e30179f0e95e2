"""Anomalies planted into made-up streams, and the windows in which a detector should say so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from tests.benchmarks.anomaly.families import Base, Family, Rng, Series

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
PROBATION = 0.15
LABELLED = 0.1
"""The share of a stream that its windows take together."""

Window = tuple[int, int]
"""First index and the one behind the last."""


class Stream(NamedTuple):
    """One labelled stream."""

    family: str
    kinds: tuple[str, ...]
    times: list[datetime]
    values: list[float]
    windows: list[Window]


Kind = Callable[[Series, int, int, float, Rng, int], None]
"""Changes values in place from an index on, for so many steps, by a size in the stream's own terms; last the period."""


def spike(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """One to four values far off."""
    values[at : at + int(rng.integers(1, 5))] += size * rng.choice([-1, 1, 1]) * rng.uniform(1, 2)


def burst(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """Many spikes at once, each of a usual size."""
    span = values[at : at + length]
    span += (rng.random(len(span)) < 0.3) * size * rng.uniform(0.4, 1, len(span))


def shift(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """Another level from here on."""
    values[at:] += rng.choice([-1, 1]) * size * rng.uniform(0.5, 1)


def bump(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """Another level for a while."""
    values[at : at + length] += rng.choice([-1, 1]) * size * rng.uniform(0.5, 1)


def noise(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """More noise for a while."""
    span = values[at : at + length]
    span += rng.normal(0, size / 2, len(span))


def flat(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """The value stands."""
    values[at : at + length] = values[at]


def dropout(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """Next to nothing for a while."""
    values[at : at + max(3, length // 2)] = min(0.0, float(values.min()))


def ramp(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """A slow rise or fall, then back."""
    span = values[at : at + length]
    span += rng.choice([-1, 1]) * size * np.linspace(0, 1, len(span))


def weaker(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """The day's course is weaker, or stronger, for a day or so."""
    span = values[at : at + max(length, period)]
    middle = span.mean()
    span[:] = middle + (span - middle) * rng.choice([0.3, 1.8])


def shifted(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """The day's course comes at another time."""
    span = values[at : at + max(length, period)]
    span[:] = np.roll(span, period // 3)


def faster(values: Series, at: int, length: int, size: float, rng: Rng, period: int) -> None:
    """The period is shorter for a while."""
    span = values[at : at + max(length, 2 * period)]
    places = np.minimum(np.arange(len(span)) * 1.6 % len(span), len(span) - 1)
    span[:] = span[places.astype(int)]


ANY: tuple[Kind, ...] = (spike, spike, burst, shift, bump, noise, flat, dropout, ramp)
PERIODIC: tuple[Kind, ...] = (weaker, shifted, faster)


def plant(base: Base, name: str, rng: Rng) -> Stream:
    """A stream with one to four anomalies behind its probation; times jitter or leave holes in one of three."""
    values, n = base.values.copy(), len(base.values)
    count = int(rng.choice([1, 1, 2, 2, 3, 4]))
    half = max(4, int(LABELLED * n / count / 2))
    size = 4 * float(np.std(np.diff(values))) + 2.5 * float(np.std(values))
    kinds, windows = [], []
    for place in _places(n, count, half, rng):
        kind = (ANY + PERIODIC if base.period else ANY)[
            int(rng.integers(len(ANY) + (len(PERIODIC) if base.period else 0)))
        ]
        length = int(half * rng.uniform(0.2, 1))
        kind(values, place, length, size * rng.uniform(0.5, 2.5), rng, base.period or 48)
        kinds.append(kind.__name__)
        windows.append((place - half, min(n, place + half)))
    values = np.maximum(values, base.floor)
    return Stream(name, tuple(kinds), *_timed(values, base.step, windows, rng))


def _places(n: int, count: int, half: int, rng: Rng) -> list[int]:
    first, last = int(PROBATION * n) + half + 1, n - half
    edges = np.linspace(first, last, count + 1)
    room = edges[1] - edges[0] - 2 * half
    return [int(edge + half * (i > 0) + rng.uniform(0, max(1.0, room))) for i, edge in enumerate(edges[:-1])]


def _timed(
    values: Series, step: int, windows: list[Window], rng: Rng
) -> tuple[list[datetime], list[float], list[Window]]:
    way, n = rng.integers(6), len(values)
    keep = np.ones(n, bool)
    seconds = np.arange(n) * float(step)
    if way == 0:
        keep = rng.random(n) > 0.1
        seconds += np.round(rng.uniform(0, step * 0.8, n))
    elif way == 1:
        hole = int(rng.integers(n // 4, n - 60))
        keep[hole : hole + int(rng.integers(5, 60))] = False
    index = np.concatenate([[0], np.cumsum(keep)])
    moved = [(int(index[a]), int(index[b])) for a, b in windows]
    return [FIRST + timedelta(seconds=float(s)) for s in seconds[keep]], values[keep].tolist(), moved


def streams(families: dict[str, Family], each: int, seed: int) -> list[Stream]:
    """So many streams of each family, the same for the same seed."""
    made = []
    for name, family in families.items():
        for i in range(each):
            rng = np.random.default_rng([seed, i, *name.encode()])
            made.append(plant(family(rng), name, rng))
    return made
