"""Clean series in which kinds of fraud and fault are planted: SimBench loads, River's WaterFlow, and a made-up CEMS.

Every series has what an honest one has too: here and there a reading that never arrives, a network that takes its time
and now and then stores readings for hours.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from river.datasets import WaterFlow

from streams.edge.sources import simbench
from tests.benchmarks.sampling import loads

Floats = NDArray[np.float64]
STEP_MS, DAY_MS = simbench.STEP_MS, 86_400_000
LOST = 0.002
"""The share of readings that honestly never arrive."""
UNITS = 12
CEMS_DAYS = 200


@dataclass
class Series:
    """One point's honest series: `value` in scaled integers, NaN where nothing arrived; `lag` in ms."""

    name: str
    base: str
    step_ms: int
    value: Floats
    lag: NDArray[np.int64]
    copied: NDArray[np.bool_] | None = None
    """Where a data set repeats itself: steps within a day of half a day that equals a day, a week or two before."""
    channels: dict[str, Floats] = field(default_factory=dict)
    """Of a stack: CO2, O2 in vol%, flow, load and fuel; `value` is one of them."""

    @property
    def day(self) -> int:
        """Steps of a day."""
        return DAY_MS // self.step_ms

    def at(self, place: int) -> int:
        """The time of a step, ms UTC."""
        return simbench.FIRST_MS + place * self.step_ms


def _lags(count: int, step_ms: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A second or so, wandering by tenths; every twenty days or so the readings of some hours arrive together."""
    wander = 200 * np.sin(np.arange(count) / 700 + rng.uniform(0, 6))
    lags = (800 + wander + rng.exponential(1_000, count)).astype(np.int64)
    for begin in np.flatnonzero(rng.random(count) < step_ms / (20 * DAY_MS)):
        end = min(count, int(begin + rng.integers(4, 25)))
        lags[begin:end] += (end - np.arange(begin, end)) * step_ms
    return lags


def _lose(value: Floats, rng: np.random.Generator) -> Floats:
    out = np.round(value)
    out[rng.random(len(out)) < LOST] = np.nan
    return out


def _copied(value: Floats, day: int) -> NDArray[np.bool_]:
    """Half a day of readings in a row that are those of 1, 7 or 14 days before, to the last digit; and a day around."""
    marked = np.zeros(len(value), bool)
    for back in (day, 7 * day, 14 * day):
        same = np.zeros(len(value), bool)
        same[back:] = value[back:] == value[:-back]
        runs = np.convolve(same, np.ones(day // 2), "valid") == day // 2
        for begin in np.flatnonzero(runs):
            marked[begin : begin + day // 2 + day] = True
    return marked


@cache
def simbench_loads() -> list[Series]:
    """Four units each of industry and trade, of households, and of whole low- and medium-voltage areas, a year long.

    Each in Wh or such a part of one that its mean has four digits, as a meter of fitting size would count.
    """
    made, rng = list[Series](), np.random.default_rng(5)
    for profiles in (("BL", "G"), ("H0",), ("lv", "mv", "HS")):
        for number, series in enumerate(_different(_year(*profiles))[: UNITS // 3]):
            scaled = series * 10.0 ** max(0, int(np.ceil(3 - np.log10(series.mean()))))
            name = f"{'/'.join(profiles)} {number}"
            lags, copied = _lags(len(scaled), STEP_MS, rng), _copied(series, 96)
            made.append(Series(name, "SimBench", STEP_MS, _lose(scaled, rng), lags, copied))
    return made


def _year(*profiles: str) -> list[Floats]:
    return loads(*profiles, days=simbench.ROWS // 96, count=40)


def _different(found: list[Floats]) -> list[Floats]:
    """Units of one profile differ only in size: one of each profile."""
    seen = dict[float, Floats]()
    for series in found:
        if series.any():
            seen.setdefault(round(float(series.std() / series.mean()), 6), series)
    return list(seen.values())


@cache
def water() -> list[Series]:
    """River's WaterFlow, hours; those that the data set lacks are left out here too."""
    rng = np.random.default_rng(6)
    known = [(row["Time"].timestamp() * 1000, float(value)) for row, value in WaterFlow()]
    places = [round((at - known[0][0]) / 3_600_000) for at, _ in known]
    value = np.full(places[-1] + 1, np.nan)
    for place, (_, flow) in zip(places, known, strict=True):
        value[place] = round(100 * flow)
    return [Series("WaterFlow", "WaterFlow", 3_600_000, value, _lags(len(value), 3_600_000, rng))]


def _wander(count: int, sigma: float, days: float, rng: np.random.Generator) -> Floats:
    """A slow walk around 0 of so much deviation that forgets itself in so many days."""
    keep = float(np.exp(-STEP_MS / DAY_MS / days))
    noise = rng.normal(0, sigma * np.sqrt(1 - keep**2), count)
    out = np.empty(count)
    state = rng.normal(0, sigma)
    for place in range(count):
        state = keep * state + noise[place]
        out[place] = state
    return out


CHANNELS = {"co2": 1_000, "o2": 1_000, "flow": 1, "load": 100, "fuel": 100}
"""Scaled integers of vol%, m³/h, MW and t/h."""


def plant_channels(seed: int, days: int = CEMS_DAYS) -> dict[str, Floats]:
    """A made-up 320 MW coal unit: load by day and week, O2 and heat rate by load, CO2 on the line of its coal.

    Noise of the instruments is 0.6 % (`anomalies.json`), of the load 0.2 %, of the coal feeder 1 %; heat rate, coal and
    ducts wander by 0.3 to 1 % over days.
    """
    rng, count = np.random.default_rng(seed), days * 96
    hour = np.arange(count) / 4 % 24
    weekend = np.arange(count) // 96 % 7 >= 5
    shape = 0.78 + 0.12 * np.sin((hour - 9) / 24 * 2 * np.pi) - 0.06 * weekend + _wander(count, 0.06, 0.3, rng)
    load = np.clip(shape, 0.4, 1.0)
    tonnes = 320 * load * (0.92 + 0.08 * (1 - load)) * (1 + _wander(count, 0.005, 2, rng))
    o2 = np.clip(4 + 4 * (1 - load) + _wander(count, 0.2, 0.25, rng), 2.5, 12)
    most = 18.8 * (1 + _wander(count, 0.003, 5, rng))
    noise = lambda sigma: 1 + rng.normal(0, sigma, count)  # noqa: E731
    co2 = most * (20.9 - o2) / 20.9
    flow = 1e6 * tonnes / (19.64 * co2 / 100 * 1e3) * (1 + _wander(count, 0.005, 1, rng))
    return {
        "co2": co2 * noise(0.006),
        "o2": o2 * noise(0.006),
        "flow": flow * noise(0.006),
        "load": 320 * load * noise(0.002),
        "fuel": tonnes / 2.1 * (1 + _wander(count, 0.01, 3, rng)) * noise(0.01),
    }


@cache
def stacks(count: int = 3) -> list[Series]:
    """Made-up stacks; each as the series of its flow, with all channels beside it."""
    made = list[Series]()
    for seed in range(count):
        rng = np.random.default_rng(100 + seed)
        channels = {name: np.round(of * CHANNELS[name]) for name, of in plant_channels(seed).items()}
        lost = rng.random(CEMS_DAYS * 96) < LOST
        for of in channels.values():
            of[lost] = np.nan
        lags = _lags(CEMS_DAYS * 96, STEP_MS, rng)
        made.append(Series(f"stack {seed}", "CEMS", STEP_MS, channels["flow"], lags, None, channels))
    return made


def everything() -> dict[str, list[Series]]:
    """All bases."""
    return {"SimBench": simbench_loads(), "WaterFlow": water(), "CEMS": stacks()}
