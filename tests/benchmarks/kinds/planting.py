"""Kinds of fraud and fault as `anomalies.json` of the domain models them, planted in a stretch of a clean series.

A planted series is what a gateway would have been told: the same steps with other values, times, flags or lags.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.kinds.bases import Floats, Series

AIR = 20.9


class Kind(NamedTuple):
    """One kind: severities (None: of at least 10 %), shortest and longest stretch in steps, where it stands, and
    which detectors name an invariant that it breaks."""

    name: str
    severities: tuple[float | None, ...]
    steps: tuple[int, int]
    bases: tuple[str, ...]
    told_by: frozenset[str]


_VALUES, _CEMS, _ALL = ("SimBench", "WaterFlow", "CEMS"), ("CEMS",), ("SimBench", "WaterFlow", "CEMS")
_MASS = ("mass_per_load", "mass_per_fuel")


def _kind(name: str, steps: tuple[int, int], bases: tuple[str, ...], *told_by: str, s: tuple[float, ...] = ()) -> Kind:
    return Kind(name, s or (None,), steps, bases, frozenset(told_by))


KINDS = (
    _kind("stuck", (8, 672), _VALUES, "stuck"),
    _kind("stuck, jitter", (8, 672), _VALUES, "stuck"),
    _kind("clip", (96, 2_880), _VALUES, "clip"),
    _kind("spike", (96, 672), _VALUES, "spike", s=(0.025, 0.05, 0.1)),
    _kind("gap, dropped", (4, 672), _ALL, "gap"),
    _kind("gap, not a number", (4, 672), _ALL, "gap"),
    _kind("gap, last good", (4, 672), _ALL, "stuck"),
    _kind("gap, zero", (4, 672), _ALL, "zero"),
    _kind("gap, selective", (4, 672), _ALL, "gap"),
    _kind("clock, step", (1_344, 1_344), _ALL, "clock"),
    _kind("clock, slew", (1_344, 1_344), _ALL, "clock"),
    _kind("replay, a day", (48, 672), _ALL, "replay"),
    _kind("replay, a week", (48, 672), _ALL, "replay"),
    _kind("rollback", (96, 96), _ALL, "rollback"),
    _kind("round", (96, 672), _VALUES, "round"),
    _kind("multiple", (672, 2_880), _VALUES, "multiple"),
    _kind("swap", (1_344, 1_344), ("SimBench",), "swap"),
    _kind("drift", (672, 8_640), _CEMS, "line", *_MASS, s=(0.025, 0.05, 0.1)),
    _kind("scale", (672, 8_640), _CEMS, *_MASS, s=(0.025, 0.05, 0.1, 0.2)),
    _kind("calgas, as measured", (192, 2_880), _CEMS, "calgas", "line"),
    _kind("calgas, flag C", (192, 2_880), _CEMS, "flag"),
    _kind("dilute", (672, 8_640), _CEMS, *_MASS, s=(0.02, 0.05, 0.1)),
    _kind("night", (672, 2_880), _CEMS, "night", *_MASS, s=(0.025, 0.05, 0.1)),
)


@dataclass
class Told:
    """What is told from step `first` on: time and lag of each reading, values, flags, and a stack's channels."""

    first: int
    end: int
    """The step at which the planted stretch ends."""
    at: NDArray[np.int64]
    lag: NDArray[np.int64]
    value: Floats
    flag: list[str]
    arrived: NDArray[np.bool_]
    channels: dict[str, Floats] = field(default_factory=dict)
    register: Floats | None = None
    other: Floats | None = None
    """The values of the point that was exchanged with this one."""


def honest(series: Series, first: int, last: int, end: int) -> Told:
    """The steps [first, last) as they are."""
    part = slice(first, last)
    value = series.value[part].copy()
    channels = {name: of[part].copy() for name, of in series.channels.items()}
    at = np.array([series.at(place) for place in range(first, last)], np.int64)
    return Told(first, end, at, series.lag[part].copy(), value, ["N"] * len(value), ~np.isnan(value), channels)


def plant(
    kind: Kind, s: float | None, series: Series, first: int, end: int, last: int, rng: np.random.Generator
) -> Told:
    """The steps [first, last) with a kind in [first, end)."""
    told = honest(series, first, last, end)
    _PLANT[kind.name](told, end - first, s or 0.0, series, rng)
    return told


def _stuck(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n] = _usable(series, told.first)


def _jitter(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n] = _usable(series, told.first) + rng.integers(-1, 2, n)


def _usable(series: Series, place: int) -> float:
    """The last value before a step."""
    before = series.value[:place]
    return float(before[~np.isnan(before)][-1])


def _clip(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    recent = series.value[told.first - 10 * series.day : told.first]
    limit = np.round(np.nanquantile(recent, rng.uniform(0.6, 0.9)))
    told.value[:n] = np.minimum(told.value[:n], limit)


def _spike(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    for _ in range(max(1, n // 24)):
        place, length = int(rng.integers(0, n - 2)), int(rng.integers(1, 4))
        factor = 1 + rng.choice((-1, 1)) * rng.uniform(3, 10) * 2 * s
        told.value[place : place + length] = np.round(np.maximum(0, told.value[place : place + length] * factor))


def _dropped(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n], told.arrived[:n] = np.nan, False


def _not_a_number(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n] = np.nan


def _zero(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n] = 0


def _selective(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    high = told.value[:n] > np.nanquantile(series.value[told.first - 10 * series.day : told.first], 0.8)
    told.value[:n][high], told.arrived[:n][high] = np.nan, False


def _clock_step(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    by = int(rng.integers(1, 97)) * 900_000 * int(rng.choice((-1, 1)))
    by = by // series.step_ms * series.step_ms or series.step_ms
    told.at += by
    told.lag -= by


def _clock_slew(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    ppm = rng.uniform(50, 500) * rng.choice((-1, 1))
    off = (np.arange(len(told.at)) * series.step_ms * ppm / 1e6).astype(np.int64)
    told.at += off
    told.lag -= off


def _replay(days: int) -> Callable[[Told, int, float, Series, np.random.Generator], None]:
    def planted(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
        noise = rng.uniform(0, 0.0005)
        back = days * series.day
        # of what was told, so that a week of one day's replay is that day seven times
        told.value[:n] = _again(series.value, told.first, n, back)
        told.value[:n] = np.round(told.value[:n] * (1 + rng.normal(0, noise, n)))
        for of, source in (
            (told.channels.get(name), series.channels[name])
            for name in ("co2", "o2", "flow")[: 3 * bool(told.channels)]
        ):
            assert of is not None
            of[:n] = np.round(_again(source, told.first, n, back) * (1 + rng.normal(0, noise, n)))
        told.arrived[:n] = ~np.isnan(told.value[:n])

    return planted


def _again(source: Floats, first: int, n: int, back: int) -> Floats:
    out = source[first - back : first - back + n].copy()
    for place in range(back, n):
        out[place] = out[place - back]
    return out


def register(series: Series, first: int, last: int) -> Floats:
    """The register of a series at the steps [first, last)."""
    counted: Floats = np.nancumsum(series.value[:last])[first:]
    return counted


def _rollback(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    """The register falls by half of a day's, at once."""
    told.register = register(series, told.first, told.first + len(told.value))
    told.register -= np.round(0.5 * np.nansum(series.value[told.first - series.day : told.first]))


def _round(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    digits = int(rng.integers(1, 3))
    part = told.value[:n]
    size = 10.0 ** (np.floor(np.log10(np.maximum(1, part))) + 1 - digits)
    told.value[:n] = np.round(np.round(part / size) * size)


def _multiple(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.value[:n] = np.round(told.value[:n] * rng.choice((1 / 3, 1 / 2, 2 / 3, 10)))


def _drift(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.channels["co2"][:n] *= 1 - 2 * s * np.linspace(0, 1, n)


def _scale(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    told.channels["flow"][:n] *= 1 - s


def _calgas(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    recent = series.channels["co2"][told.first - 960 : told.first]
    gas = rng.choice((0.5, 0.8)) * float(np.nanmedian(recent))
    told.channels["co2"][:n][np.arange(n) % 16 < 4] = np.round(gas)


def _calgas_flag(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    load = series.channels["load"]
    high = told.channels["load"][:n] > np.nanquantile(load[told.first - 960 : told.first], 0.8)
    for place in np.flatnonzero(high):
        told.flag[int(place)] = "C"


def _dilute(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    co2, o2 = told.channels["co2"], told.channels["o2"]
    co2[:n] *= 1 - s
    o2[:n] += s * (AIR * 1_000 - o2[:n])


def _night(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    hours = told.at[:n] // 3_600_000 % 24
    told.channels["flow"][:n][(hours >= 22) | (hours < 5)] *= 1 - 3 * s


def _swap(told: Told, n: int, s: float, series: Series, rng: np.random.Generator) -> None:
    """Done where both meters are at hand."""


_PLANT: dict[str, Callable[[Told, int, float, Series, np.random.Generator], None]] = {
    "stuck": _stuck,
    "stuck, jitter": _jitter,
    "clip": _clip,
    "spike": _spike,
    "gap, dropped": _dropped,
    "gap, not a number": _not_a_number,
    "gap, last good": _stuck,
    "gap, zero": _zero,
    "gap, selective": _selective,
    "clock, step": _clock_step,
    "clock, slew": _clock_slew,
    "replay, a day": _replay(1),
    "replay, a week": _replay(7),
    "rollback": _rollback,
    "round": _round,
    "multiple": _multiple,
    "swap": _swap,
    "drift": _drift,
    "scale": _scale,
    "calgas, as measured": _calgas,
    "calgas, flag C": _calgas_flag,
    "dilute": _dilute,
    "night": _night,
}
