"""Readings saved against the error of daily totals, and what a forecast costs and misses by.

    python -m tests.benchmarks.sampling [--write]

Loads are SimBench's, industry and trade (profiles BL, G) apart from households (H0): twelve units of each, drawn once,
eight weeks of quarter hours, read at least every hour. The water flow is River's WaterFlow (hours, at
least every three), the CEMS is synthetic: a day of seconds, a boiler's load that walks and steps times a flow that
flickers, read at least every five seconds. With --write the tables go to docs/sampling.md.
"""

import csv
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import linear_model, optim, preprocessing, time_series
from river.datasets import WaterFlow

from streams.edge import port
from streams.edge.sampling import DAY_MS, Bounds, Rule
from streams.edge.sources import simbench

DOCUMENT = Path(__file__).parents[2] / "docs" / "sampling.md"
START, END = "<!-- measured -->\n", "<!-- end -->\n"
UNITS, DAYS = 12, 56
DEFAULT = Rule.tolerance
TOLERANCES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)

Series = NDArray[np.float64]


class Data(NamedTuple):
    """Series of one kind: values at every step of `step` ms, and the slowest that they may be read, in steps."""

    name: str
    series: list[Series]
    step: int
    slowest: int

    @property
    def day(self) -> int:
        return DAY_MS // self.step

    def rule(self, tolerance: float) -> Rule:
        bounds = Bounds(self.step, self.slowest * self.step)
        return Rule(self.step, bounds, bounds, tolerance)


def data() -> list[Data]:
    water = [np.array([float(value) for _, value in WaterFlow()])]
    return [
        Data("industry and trade", loads("BL", "G"), 900_000, 4),
        Data("households", loads("H0"), 900_000, 4),
        Data("River's WaterFlow", water, 3_600_000, 3),
        Data("CEMS (synthetic)", [cems()], 1_000, 5),
    ]


def loads(*profiles: str, days: int = DAYS, count: int = UNITS) -> list[Series]:
    """Units of SimBench's Load table with a profile of that class, in Wh a quarter hour."""
    fitting = [unit for unit in simbench.units("Load").values() if unit.column.startswith(profiles)]
    units = random.Random(1).sample(sorted(fitting), count)
    with simbench.path("LoadProfile").open(newline="") as file:
        rows = csv.reader(file, delimiter=";")
        places = {name: place for place, name in enumerate(next(rows))}
        wanted = [places[unit.column] for unit in units]
        table = [[float(row[place]) for place in wanted] for row in islice(rows, days * 96)]
    columns = np.array(table).T
    return [column * float(unit.rating) * simbench.WH_PER_MW_STEP for unit, column in zip(units, columns, strict=True)]


def cems(seconds: int = 86_400, seed: int = 7) -> Series:
    """Kilograms of CO2 an hour of a made-up boiler, each second: a load that walks, now and then steps, and noise."""
    rng = random.Random(seed)
    load, target, out = 0.8, 0.8, []
    for _ in range(seconds):
        if rng.random() < 1 / 7_200:
            target = rng.uniform(0.4, 1.0)
        load += (target - load) / 120 + rng.gauss(0, 0.0004)
        out.append(250_000 * load * (1 + rng.gauss(0, 0.004)))
    return np.array(out)


class Run(NamedTuple):
    """The steps at which a series was sampled, and the CPU time of one sample in microseconds."""

    places: NDArray[np.int64]
    cpu_us: float


def run(series: Sequence[float] | Series, rule: Rule, forecaster: Callable[[], port.Forecaster] = port.trend) -> Run:
    """Sample a series from its beginning, each time when it is due."""
    one, places, at = port.Port(rule, forecaster), [], 0
    values = [float(value) for value in series]
    began = time.process_time()
    while (place := at // rule.step) < len(values):
        places.append(place)
        at = one.sample(at, values[place], at)
    return Run(np.array(places), (time.process_time() - began) / len(places) * 1e6)


def run_register(power: Series, rule: Rule) -> Run:
    """The same for the register that adds the energies up: what is forecast is the mean energy of a step."""
    register = [0.0, *accumulate(float(value) for value in power)]
    one, places, at, last = port.Port(rule), [0], rule.step, 0
    began = time.process_time()
    while (place := at // rule.step) < len(register):
        mean = (register[place] - register[last]) / (place - last)
        places.append(place)
        at, last = one.sample(at, mean, at), place
    return Run(np.array(places), (time.process_time() - began) / len(places) * 1e6)


def held(series: Series, places: NDArray[np.int64]) -> Series:
    """The series by straight lines between its samples, whose sums are the trapezoid's."""
    return np.interp(np.arange(len(series)), places, series[places])


def day_errors(true: Series, made: Series, day: int) -> Series:
    """Each whole day's total, how far off in percent; days without anything are left out."""
    whole = len(true) // day * day
    totals, others = (one[:whole].reshape(-1, day).sum(axis=1) for one in (true, made))
    return 100 * np.abs(others - totals)[totals > 0] / totals[totals > 0]


def curve(one: Data) -> Iterator[str]:
    """A line a tolerance, and beside them every second and third step."""
    ways: list[tuple[str, Callable[[Series], NDArray[np.int64]]]] = [
        (f"tolerance {tolerance}", lambda s, t=tolerance: run(s, one.rule(t)).places) for tolerance in TOLERANCES
    ]
    ways += [(f"every {every} steps", lambda s, e=every: np.arange(0, len(s), e)) for every in (2, 3)]
    for name, way in ways:
        places = [way(series) for series in one.series]
        made = [held(series, at) for series, at in zip(one.series, places, strict=True)]
        saved = 100 * (1 - sum(map(len, places)) / sum(map(len, one.series)))
        errors = [day_errors(s, m, one.day) for s, m in zip(one.series, made, strict=True)]
        means = sorted(float(np.mean(e)) for e in errors)
        whole = day_errors(sum(one.series), sum(made), one.day)  # type: ignore[arg-type]
        yield (
            f"| {one.name} | {name} | {saved:.0f} | {np.mean(means):.2f} | {means[len(means) // 2]:.2f} |"
            f" {np.percentile(np.concatenate(errors), 95):.2f} | {np.mean(whole):.2f} |"
        )


def hindsight(one: Data) -> Iterator[str]:
    """What the best fixed schedule saves and misses that knew its own eight weeks: an interval for every slot.

    Of each slot the interval of the least squared error of what lies between two samples, and so much for each sample.
    """
    slots = {"hour of the day": (24, 4), "hour of the week": (168, 4), "quarter hour of the week": (672, 1)}
    for name, (count, length) in slots.items():
        for weight in (0.01, 0.03, 0.1):
            saved, errors = [], []
            for series in one.series:
                slot = np.arange(len(series)) // length % count
                places = _scheduled(series, slot, one.slowest, weight * float(np.mean(series)) ** 2)
                saved.append(100 * (1 - len(places) / len(series)))
                errors.append(np.mean(day_errors(series, held(series, places), one.day)))
            yield f"| {one.name} | {name} | {np.mean(saved):.0f} | {np.mean(errors):.2f} |"


def _scheduled(series: Series, slot: NDArray[np.int64], slowest: int, sample: float) -> NDArray[np.int64]:
    sums, count = np.concatenate([[0.0], np.cumsum(series)]), int(slot.max()) + 1
    costs = [np.full(count, sample)]
    for steps in range(2, slowest + 1):
        begin = np.arange(len(series) - steps)
        between = sums[begin + steps] - sums[begin + 1]
        missed = (series[begin] + series[begin + steps]) / 2 * (steps - 1) - between
        squares, times = (np.bincount(slot[begin], each, count) for each in (missed**2, np.ones(len(begin))))
        costs.append((squares / times + sample) / steps)
    interval, places = np.argmin(costs, axis=0) + 1, [0]
    while (place := places[-1] + int(interval[slot[places[-1]]])) < len(series):
        places.append(place)
    return np.array(places)


def registers(one: Data) -> Iterator[str]:
    """Registers of the loads: day totals are exact, the quarter hours between readings are not."""
    for tolerance in TOLERANCES[1:]:
        saved, errors = [], []
        for series in one.series:
            register = np.concatenate([[0.0], np.cumsum(series)])
            found = run_register(series, one.rule(tolerance))
            quarters = np.diff(np.interp(np.arange(len(register)), found.places, register[found.places]))
            saved.append(100 * (1 - len(found.places) / len(register)))
            errors.append(100 * np.mean(np.abs(quarters - series)) / np.mean(series))
        yield f"| {tolerance} | {np.mean(saved):.0f} | {np.mean(errors):.1f} | {statistics.median(errors):.1f} |"


def delays(one: Data, tolerance: float = DEFAULT, tries: int = 40) -> str:
    """A step to half as much again, at some time: the steps until a sample shows it, and the interval behind it."""
    rng, waited, after = random.Random(3), [], []
    for _ in range(tries):
        series = rng.choice(one.series)
        series = series[: 12 * one.day] if one.day < 1_000 else series[:20_000]
        at = rng.randrange(len(series) // 2, len(series) - 10 * one.slowest)
        stepped = series + np.where(np.arange(len(series)) >= at, 3 * np.std(series) + np.mean(series), 0)
        places = run(stepped, one.rule(tolerance)).places
        seen = int(np.searchsorted(places, at))
        waited.append(int(places[seen]) - at)
        after.append(int(places[seen + 1] - places[seen]))
    fast = sum(interval == 1 for interval in after)
    return (
        f"| {one.name} | {np.mean(waited):.1f} | {max(waited)} | {one.slowest - 1} | {fast} of {tries} |"
        f" {one.step // 1000:,} s |"
    )


def forecasters(one: Data) -> dict[str, Callable[[], Any]]:
    """What was tried; each learns and forecasts as River's models do."""
    scaled = lambda: preprocessing.TargetStandardScaler(  # noqa: E731
        preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(0.01))
    )
    m = min(one.day, 96)
    return {
        "last value": Last,
        f"seasonal, {m} steps back": lambda: Seasonal(m),
        "Holt (level, trend)": port.trend,
        "Holt-Winters": lambda: Warm(time_series.HoltWinters(0.8, 0.1, 0.1, seasonality=m), m),
        "SNARIMAX, p 2, season 1": lambda: Warm(time_series.SNARIMAX(2, 0, 0, m, sp=1, regressor=scaled()), m),
        "linear regression, 4 lags": lambda: Warm(time_series.SNARIMAX(4, 0, 0, regressor=scaled()), 4),
    }


class Warm:
    """A model that needs some values before it can forecast; until then the last one."""

    def __init__(self, model: port.Forecaster, needs: int) -> None:
        self._model, self._needs, self._seen, self._value = model, needs, 0, 0.0

    def learn_one(self, y: float) -> None:
        self._model.learn_one(y)
        self._seen, self._value = self._seen + 1, y

    def forecast(self, horizon: int) -> list[float]:
        return self._model.forecast(horizon) if self._seen > self._needs else [self._value] * horizon


class Last:
    """The last value."""

    def learn_one(self, y: float) -> None:
        self._value = y

    def forecast(self, horizon: int) -> list[float]:
        return [self._value] * horizon


class Seasonal:
    """The value a season before, once there is one."""

    def __init__(self, season: int) -> None:
        self._season, self._values = season, []

    def learn_one(self, y: float) -> None:
        self._values = [*self._values[1 - self._season :], y]

    def forecast(self, horizon: int) -> list[float]:
        return [self._values[step % len(self._values)] for step in range(horizon)]


def accuracy(one: Data) -> Iterator[str]:
    """What each misses by, one step ahead with every step sampled; then saved and missed at the default tolerance."""
    chosen = [series[: 28 * one.day] if one.day < 1_000 else series[:20_000] for series in one.series[:6]]
    for name, forecaster in forecasters(one).items():
        missed = []
        for series in chosen:
            model, errors = forecaster(), []
            for n, value in enumerate(map(float, series)):
                if n > len(series) // 4:
                    errors.append(abs(model.forecast(horizon=1)[-1] - value))
                model.learn_one(value)
            missed.append(100 * np.mean(errors) / np.mean(series))
        runs = [run(series, one.rule(DEFAULT), forecaster) for series in chosen]
        saved = np.mean([100 * (1 - len(r.places) / len(s)) for r, s in zip(runs, chosen, strict=True)])
        off = [
            np.mean(day_errors(s, held(s, r.places), min(one.day, len(s)))) for r, s in zip(runs, chosen, strict=True)
        ]
        cpu = np.mean([r.cpu_us for r in runs])
        yield f"| {one.name} | {name} | {np.mean(missed):.2f} | {saved:.0f} | {np.mean(off):.2f} | {cpu:.0f} |"


def lines() -> Iterator[str]:
    """All tables."""
    everything = data()
    yield "| series | samples | saved, % | error of a day, %: mean | median point | 95 of 100 days | all points' sum |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in everything:
        yield from curve(one)
    yield ""
    yield "| series | best schedule afterwards, by | saved, % | error of a day, %: mean |"
    yield "| --- | --- | --- | --- |"
    for one in everything[:2]:
        yield from hindsight(one)
    yield ""
    yield "| registers of the loads, tolerance | saved, % | error of a quarter hour, %: mean | median point |"
    yield "| --- | --- | --- | --- |"
    yield from registers(everything[0])
    yield ""
    yield "| a step in | steps until seen: mean | most | bound | then at the fastest | a step is |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from map(delays, everything)
    yield ""
    yield "| series | forecaster | misses by, % of the mean | saved, % | error of a day, % | CPU µs a sample |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in everything:
        yield from accuracy(one)


def main() -> None:
    """Measure, print, and with --write keep."""
    made = []
    for line in lines():
        print(line, flush=True)
        made.append(line)
    if "--write" in sys.argv:
        head, _, rest = DOCUMENT.read_text().partition(START)
        DOCUMENT.write_text(head + START + "\n".join(made) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
