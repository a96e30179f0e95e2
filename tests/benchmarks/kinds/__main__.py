"""Kinds of fraud and fault planted in clean series: what is found, how late, and what is told without cause.

    python -m tests.benchmarks.kinds [--seeds 2] [--write]

Streaming and train-free: every detector sees each series once from its first step, and a stretch begins after some
weeks of honest past. With --write the tables go to docs/anomalies.md.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks.kinds import baselines, watching
from tests.benchmarks.kinds.baselines import HalfSpaceTrees, alarms, limit_for, windowed_gaussian
from tests.benchmarks.kinds.bases import Series, everything
from tests.benchmarks.kinds.events import Event, events, swaps, tell
from tests.benchmarks.kinds.planting import KINDS, honest

DOCUMENT = Path(__file__).parents[3] / "docs" / "anomalies.md"
START, END = "<!-- measured -->\n", "<!-- end -->\n"
SINCE = {"SimBench": 21, "WaterFlow": 14, "CEMS": 40}
"""The days of a clean series from which alarms without cause count."""
WHO = ("ours", "Gaussian", "trees")


class Outcome(NamedTuple):
    """What one detector made of one event: the delay in hours where it was found."""

    event: Event
    base: str
    delay: dict[str, float | None]
    chance: float
    """The chance that one alarm a month falls into a stretch of this length."""


class Base:
    """One base with the detectors that have seen it clean."""

    def __init__(self, name: str, series: list[Series], seeds: int) -> None:
        self.name, self.series = name, series
        self.events = [e for kind in KINDS if name in kind.bases for e in events(name, series, kind, seeds)]
        since = [SINCE[name] * one.day for one in series]
        began = time.process_time()
        self.warm = [
            watching.warm(one, {e.first for e in self.events if e.series == place}, since[place])
            for place, one in enumerate(series)
        ]
        self.cpu_us = (time.process_time() - began) / sum(len(one.value) for one in series) * 1e6
        self.months = sum(one.months for one in self.warm)
        whole = [honest(one, 0, len(one.value), 0) for one in series]
        gaussian = [windowed_gaussian(one, told)[begin:] for one, told, begin in zip(series, whole, since, strict=True)]
        self.trees = {place: self._trees(place) for place in range(len(series))}
        last = [self.trees[place][len(one.value)].scores for place, one in enumerate(series)]
        trees = [np.array(scores[begin:]) for scores, begin in zip(last, since, strict=True)]
        of = lambda clean: limit_for(list(zip(clean, series, strict=True)), self.months)  # noqa: E731
        self.limits = {"Gaussian": of(gaussian), "trees": of(trees)}

    def _trees(self, place: int) -> dict[int, HalfSpaceTrees]:
        """Models by how much of the series they have seen: up to each event, and all of it."""
        one = self.series[place]
        wanted = sorted({e.first for e in self.events if e.series == place})
        return HalfSpaceTrees.along(one, [*wanted, len(one.value)])

    def outcome(self, event: Event) -> Outcome:
        """Everyone's."""
        series = self.series[event.series]
        told = tell(event, series)
        hours, length = series.step_ms / 3_600_000, event.end - event.first
        found = watching.first_told(series, self.warm[event.series].states[event.first], told, event.kind)
        delay: dict[str, float | None] = {"ours": None if found is None else found[0] * hours}
        scores = {
            "Gaussian": windowed_gaussian(series, told),
            "trees": self.trees[event.series][event.first].go_on(told),
        }
        for who, those in scores.items():
            begun = [step for step in alarms(those, self.limits[who], series.day) if step <= length]
            delay[who] = begun[0] * hours if begun else None
        return Outcome(event, self.name, delay, 1 - float(np.exp(-baselines.months(series, length))))


def swapped(series: list[Series], seeds: int) -> tuple[list[Outcome], Counter[str]]:
    """Two meters of a group exchanged, by day; and what is told of the group without that."""
    outcomes = list[Outcome]()
    kind = next(kind for kind in KINDS if kind.name == "swap")
    last = len(series[0].value) // series[0].day
    clean = [day for day, _ in watching.watch_swap(series, None, last, last) if day >= SINCE["SimBench"]]
    for (one, other), day in swaps(len(series), seeds):
        found = watching.watch_swap(series, (one, other), day, day + 14)
        names = {series[one].name, series[other].name}
        right = [d for d, alarm in found if d >= day and set(str(alarm.figures["points"]).split(" & ")) == names]
        delay = 24.0 * (right[0] + 1 - day) if right else None
        event = Event(one, kind, None, 96 * day, 96 * (day + 14), 0)
        outcomes.append(Outcome(event, "SimBench", {"ours": delay}, 1 - float(np.exp(-14 / 30))))
    return outcomes, Counter(swap=len(clean))


def rows(outcomes: list[Outcome]) -> Iterator[str]:
    """A row for each kind, severity and base."""
    yield "| kind | s | base | found | delay, h: median | Gaussian | trees | by chance |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    grouped = defaultdict[tuple[str, float | None, str], list[Outcome]](list)
    for one in outcomes:
        grouped[one.event.kind.name, one.event.s, one.base].append(one)
    for (kind, s, base), those in grouped.items():
        delays = [one.delay["ours"] for one in those if one.delay["ours"] is not None]
        late = f"{np.median(delays):.1f}" if delays else "–"
        chance = 100 * float(np.mean([one.chance for one in those]))
        others = " | ".join(_rate(those, who) for who in WHO[1:])
        size = "" if s is None else f"{100 * s:g} %"
        found = f"{_rate(those, 'ours')} of {len(those)}"
        yield f"| {kind} | {size} | {base} | {found} | {late} | {others} | {chance:.0f} % |"


def _rate(those: list[Outcome], who: str) -> str:
    if who not in those[0].delay:
        return "–"
    return f"{100 * sum(one.delay[who] is not None for one in those) / len(those):.0f} %"


def _together(outcomes: list[Outcome]) -> Iterator[str]:
    """Over all kinds, each kind and base weighing as much as its events."""
    yield "| severity | events | found | Gaussian | trees |"
    yield "| --- | --- | --- | --- | --- |"
    wanted = {"10 % and above, or none": lambda s: s is None or s >= 0.1, "5 %": lambda s: s == 0.05}
    for name, fits in (wanted | {"2 and 2.5 %": lambda s: s is not None and s < 0.05}).items():
        those = [one for one in outcomes if fits(one.event.s)]
        compared = [one for one in those if "trees" in one.delay]
        others = " | ".join(_rate(compared, who) for who in WHO[1:])
        yield f"| {name} | {len(those)} | {_rate(those, 'ours')} | {others} |"
    kinds = defaultdict[str, list[Outcome]](list)
    for one in outcomes:
        if one.event.s is None or one.event.s >= 0.1:
            kinds[one.event.kind.name].append(one)
    rates = {kind: np.mean([one.delay["ours"] is not None for one in those]) for kind, those in kinds.items()}
    worst = min(rates, key=lambda kind: rates[kind])
    mean, least = 100 * float(np.mean(list(rates.values()))), 100 * rates[worst]
    yield f"\nMean over the {len(kinds)} kinds at 10 % and above: {mean:.0f} %; least {least:.0f} % ({worst})."


def _untrue(found: list[Base], swaps_told: Counter[str]) -> Iterator[str]:
    yield "| base | point-months | false alarms a point-month | of which | CPU µs a step |"
    yield "| --- | --- | --- | --- | --- |"
    for base in found:
        kinds = Counter(alarm.kind for one in base.warm for alarm in one.alarms)
        kinds += swaps_told if base.name == "SimBench" else Counter()
        named = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        yield f"| {base.name} | {base.months:.1f} | {kinds.total() / base.months:.2f} | {named} | {base.cpu_us:.0f} |"


def lines(seeds: int) -> Iterator[str]:
    """All tables."""
    found = [Base(name, series, seeds) for name, series in everything().items()]
    outcomes = [base.outcome(event) for base in found for event in base.events]
    exchanged, told = swapped(found[0].series, seeds)
    yield from _together(outcomes + exchanged)
    yield ""
    yield from _untrue(found, told)
    yield ""
    yield from rows(
        sorted(outcomes + exchanged, key=lambda one: [kind.name for kind in KINDS].index(one.event.kind.name))
    )


def main() -> None:
    """Measure, print, and with --write keep."""
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 2
    made = []
    for line in lines(seeds):
        print(line, flush=True)
        made.append(line)
    if "--write" in sys.argv:
        head, _, rest = DOCUMENT.read_text().partition(START)
        DOCUMENT.write_text(head + START + "\n".join(made) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
