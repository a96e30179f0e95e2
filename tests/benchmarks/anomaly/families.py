"""Made-up streams without anomalies, a family a source: what each does on ordinary days, its oddities included.

A family gives values at even steps and says its step in seconds and its period in steps (0: none). Tuning may look at
`TUNED` only; `HELD` is for the last word.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from river.datasets import WaterFlow

from tests.benchmarks.sampling import loads

Series = NDArray[np.float64]
Rng = np.random.Generator


class Base(NamedTuple):
    """One stream before anything is planted."""

    values: Series
    step: int
    period: int
    floor: float = -np.inf


Family = Callable[[Rng], Base]


def ar(rng: Rng, n: int, phi: float) -> Series:
    """An autoregression of order one with unit variance."""
    out, last = np.empty(n), 0.0
    noise = rng.normal(0, np.sqrt(1 - phi * phi), n)
    for i in range(n):
        last = phi * last + noise[i]
        out[i] = last
    return out


def cycle(n: int, period: int, rng: Rng, harmonics: int = 3) -> Series:
    """A smooth daily course of unit amplitude."""
    t = 2 * np.pi * np.arange(n) / period
    parts = [rng.normal() / k * np.sin(k * t + rng.uniform(0, 6.3)) for k in range(1, harmonics + 1)]
    total = np.sum(parts, axis=0)
    return np.asarray(total / np.abs(total).max())


def server(rng: Rng) -> Base:
    """Processor load: noise around a level, short bursts of its own every few hours."""
    n = int(rng.integers(2500, 5000))
    values = rng.uniform(5, 50) + rng.uniform(0.5, 4) * ar(rng, n, rng.uniform(0, 0.9))
    for at in np.flatnonzero(rng.random(n) < rng.uniform(0, 0.01)):
        values[at : at + int(rng.integers(1, 4))] += rng.uniform(3, 15)
    return Base(np.clip(values, 0, 100), 300, 0, 0)


def jobs(rng: Rng) -> Base:
    """Disk writes: quiet, and a job at even intervals that are not quite even."""
    n, every = int(rng.integers(3000, 5000)), int(rng.integers(30, 300))
    values = rng.gamma(2, rng.uniform(1, 5), n)
    for at in range(every, n, every):
        begin = at + int(rng.integers(-2, 3))
        values[begin : begin + int(rng.integers(2, 6))] += rng.uniform(80, 160)
    return Base(values, 300, every, 0)


def daily(rng: Rng) -> Base:
    """A smooth daily course with little noise."""
    n, period = int(rng.integers(3000, 5000)), 288
    values = (
        rng.uniform(20, 100) + rng.uniform(5, 20) * cycle(n, period, rng) + rng.uniform(0.05, 2) * rng.normal(0, 1, n)
    )
    return Base(values, 300, period)


def blocks(rng: Rng) -> Base:
    """Two levels a day, as a machine in shifts."""
    n, period = int(rng.integers(3000, 4500)), 288
    begin, end = sorted(rng.integers(20, 268, 2))
    t = np.arange(n) % period
    values = np.where((t >= begin) & (t < end + 20), rng.uniform(60, 90), rng.uniform(10, 30))
    return Base(values + rng.uniform(0, 3) * rng.uniform(-1, 1, n), 300, period)


def machine(rng: Rng) -> Base:
    """A machine's temperature: it wanders slowly, and stands now and then."""
    n = int(rng.integers(6000, 12000))
    values = 80 + 8 * ar(rng, n, 0.998) + 2 * ar(rng, n, 0.9) + 2 * cycle(n, 288, rng)
    for at in rng.integers(0, n, 3):
        values[at : at + 40] -= rng.uniform(5, 15) * np.hanning(40)[: n - at]
    return Base(values, 300, 288)


def visits(rng: Rng) -> Base:
    """Requests counted: days and weeks, Poisson noise, days that are busier than others."""
    step = int(rng.choice([300, 900, 1800]))
    period, n = 86_400 // step, int(rng.integers(3000, 7000))
    t = np.arange(n)
    rate = np.exp(rng.uniform(2, 5) + rng.uniform(0.4, 1.2) * cycle(n, period, rng))
    rate *= (
        np.where(t // period % 7 >= 5, rng.uniform(0.5, 1.1), 1)
        * np.exp(0.1 * rng.normal(0, 1, n // period + 1))[t // period]
    )
    return Base(rng.poisson(rate).astype(float), step, period, 0)


def mentions(rng: Rng) -> Base:
    """Mentions counted: few, in bursts that die out, with a weak day."""
    n, period = int(rng.integers(6000, 12000)), 288
    rate = np.exp(rng.uniform(0, 3) + 0.4 * cycle(n, period, rng))
    for at in np.flatnonzero(rng.random(n) < rng.uniform(0.001, 0.01)):
        long = min(n - at, 40)
        rate[at : at + long] *= 1 + rng.pareto(2.5) * np.exp(-np.arange(long) / 6)
    return Base(rng.negative_binomial(3, 3 / (3 + rate)).astype(float), 300, period, 0)


def regimes(rng: Rng) -> Base:
    """Network traffic: log-normal around levels that change by themselves every day or so."""
    n = int(rng.integers(2500, 5000))
    level, out = 0.0, np.empty(n)
    for i in range(n):
        if rng.random() < 1 / 250:
            level = rng.normal(0, 0.5)
        out[i] = level
    return Base(np.exp(rng.uniform(3, 12) + out + rng.uniform(0.1, 0.6) * rng.normal(0, 1, n)), 300, 0, 0)


def taxi(rng: Rng) -> Base:
    """Rides in half hours: a strong week, noise in proportion."""
    n, period = int(rng.integers(5000, 9000)), 48
    t = np.arange(n)
    week = np.array([1, 1.02, 1.05, 1.1, 1.15, 1.1, 0.9])[t // period % 7]
    rate = 15_000 * (1 + 0.6 * cycle(n, period, rng)) * week * (1 + 0.04 * ar(rng, n, 0.95))
    return Base(rate + np.sqrt(np.abs(rate)) * 3 * rng.normal(0, 1, n), 1800, period, 0)


def road(rng: Rng) -> Base:
    """Speed or occupancy of a road: two rush hours, skewed noise, values that repeat."""
    n, period = int(rng.integers(1100, 2600)), int(rng.choice([96, 144]))
    t = np.arange(n) % period / period
    rush = np.exp(-(((t - 0.33) / 0.04) ** 2)) + 0.8 * np.exp(-(((t - 0.73) / 0.06) ** 2))
    rush *= np.where(np.arange(n) // period % 7 < 5, 1, 0.2)
    values = rng.uniform(55, 80) - rng.uniform(5, 30) * rush - rng.gamma(2, rng.uniform(0.5, 3), n)
    return Base(np.round(values), 86_400 // period, period, 0)


def clicks(rng: Rng) -> Base:
    """What a click costs, hourly: heavy tails and little else."""
    n = int(rng.integers(1500, 1800))
    values = rng.uniform(0.1, 2) * np.exp(0.2 * cycle(n, 24, rng) + rng.uniform(0.15, 0.5) * rng.standard_t(4, n))
    return Base(np.minimum(values, np.median(values) * 12), 3600, 24, 0)


def latency(rng: Rng) -> Base:
    """A service's latency: gamma, with single slow answers."""
    n = int(rng.integers(3000, 5000))
    values = rng.uniform(20, 60) + rng.gamma(3, rng.uniform(1, 4), n) + 2 * ar(rng, n, 0.97)
    slow = rng.random(n) < rng.uniform(0, 0.004)
    return Base(values + slow * rng.gamma(2, 15, n), 300, 0, 0)


def memory(rng: Rng) -> Base:
    """Memory in use: it grows until a restart or a collection, in whole megabytes."""
    n, level, out = int(rng.integers(3000, 5000)), 500.0, []
    grow, top = rng.uniform(0.5, 5), rng.uniform(900, 1500)
    for _ in range(n):
        level = level + rng.gamma(1, grow) if level < top + rng.normal(0, 30) else 500 + rng.normal(0, 10)
        out.append(level)
    return Base(np.round(out), 300, 0, 0)


def steps(rng: Rng) -> Base:
    """A setting: nearly constant, with a change every other day and a little noise, or none."""
    n, level, out = int(rng.integers(2500, 5000)), 40.0, []
    noise = rng.choice([0.0, 0.2, 1.0])
    for _ in range(n):
        if rng.random() < 1 / 600:
            level = rng.uniform(30, 50)
        out.append(level + noise * rng.normal())
    return Base(np.array(out), 300, 0)


def office(rng: Rng) -> Base:
    """An office's temperature, hourly: the season's slow course, the day's, a weekend without heating."""
    n, period = int(rng.integers(4000, 7500)), 24
    t = np.arange(n)
    values = 70 + 4 * np.sin(2 * np.pi * t / 8760) + 2 * cycle(n, period, rng) + 0.8 * ar(rng, n, 0.95)
    return Base(values - 2 * (t // period % 7 >= 5), 3600, period)


def simbench(rng: Rng) -> Base:
    """A unit of SimBench's loads, real profiles, in quarter hours."""
    series = _loads()[int(rng.integers(len(_loads())))]
    return Base(series.copy(), 900, 96, 0)


def water(rng: Rng) -> Base:
    """River's WaterFlow, hourly; its own oddities stand unlabelled."""
    return Base(np.array([float(value) for _, value in WaterFlow()]), 3600, 24, 0)


def _loads(kept: list[Series] = []) -> list[Series]:  # noqa: B006 - read once
    if not kept:
        kept += [one for one in loads("BL", "G", "H0") if np.std(one) > 0]
    return kept


TUNED: dict[str, Family] = {f.__name__: f for f in (server, jobs, daily, machine, visits, mentions, regimes, blocks)}
HELD: dict[str, Family] = {f.__name__: f for f in (taxi, road, clicks, latency, memory, steps, office, simbench, water)}
