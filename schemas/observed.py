"""What a process says of itself to whoever watches it: figures, whether its loop turns, why it isn't ready.

Figures are asked for when they are scraped. What is told while the process works costs a look at the clock, or an
addition. Parts of a process are told apart by name: a part that is shown again takes the place of the one before.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from schemas.metrics import COMMIT_AGE, LAG, READY, TURN_AGE, Figure, Kind, Metric, shown_by

TURNS_WITHIN = 60.0
"""Seconds without a turn from which a loop counts as dead."""
LOOK_EVERY = 1.0
CAUGHT_UP = 2_000
"""Messages of a topic that may wait for a process that is ready: as many as hold back who writes them."""
Figures = Callable[[], Iterable[Figure]]
Reason = Callable[[], str | None]

_log = structlog.get_logger(__name__)


class Observed:
    """One process, watched. Told by its own threads, asked by that of the endpoints."""

    def __init__(self, kind: str = "") -> None:
        """`kind` is a role's name without its number or gateway: its metrics are named even without a value."""
        self.kind = kind
        self._parts: dict[str, Figures] = {}
        self._reasons: dict[str, Reason] = {}
        self._counts: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self._histograms: dict[str, Histogram] = {}
        self._turned: float | None = None
        self._committed: float | None = None
        self._look_at = 0.0
        self._asking, self._judging = Lock(), Lock()
        self._registry = CollectorRegistry()
        self._registry.register(_Asked(self._families))
        ProcessCollector(registry=self._registry)

    # -- told by the process

    def turned(self) -> bool:
        """Its loop has turned once more; without a first turn it is starting.

        Whether it is time to look again at what may be looked at by the loop's own thread only: once a second.
        """
        self._turned = now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY
        return True

    def committed(self) -> None:
        """Where it stands was kept."""
        self._committed = time.monotonic()

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        place = metric, labels
        self._counts[place] = self._counts.get(place, 0) + by

    def timing(self, metric: Metric) -> Callable[[float], None]:
        """What takes the times of a histogram, in seconds."""
        if metric.name not in self._histograms:
            made = Histogram(metric.name, metric.text, buckets=metric.buckets, registry=self._registry)
            self._histograms[metric.name] = made
        return self._histograms[metric.name].observe

    def shows(self, part: str, figures: Figures) -> None:
        """Ask this part for figures, in another thread than its own."""
        with self._asking:
            self._parts[part] = figures

    def needs(self, what: str, reason: Reason) -> None:
        """Ask this for the reason why the process isn't ready; None when it is."""
        with self._judging:
            self._reasons[what] = reason

    def forget(self, part: str) -> None:
        """Ask this part no more, not even now: it is about to be closed."""
        with self._asking, self._judging:
            self._parts.pop(part, None)
            self._reasons.pop(part, None)

    # -- asked by whoever watches

    @property
    def turn_age(self) -> float | None:
        """Seconds since the loop has turned; None before the first time."""
        return None if self._turned is None else time.monotonic() - self._turned

    def is_live(self) -> bool:
        """Whether the loop turns, or is yet to begin."""
        return (self.turn_age or 0.0) <= TURNS_WITHIN

    def reasons(self) -> list[str]:
        """Why it is not ready; nothing when it is."""
        reads = not self.kind or LAG in shown_by(self.kind)
        return self._reasons_by(self._figures() if reads else ())

    def exposition(self) -> bytes:
        """All its metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def _reasons_by(self, figures: Iterable[Figure]) -> list[str]:
        behind = [figure for figure in figures if figure.metric is LAG and figure.value > CAUGHT_UP]
        found = ["it is starting"] if self._turned is None else []
        found += [f"{figure.value:.0f} messages of {figure.labels[0]} wait for it" for figure in behind]
        with self._judging:
            return found + [reason for ask in self._reasons.values() if (reason := ask()) is not None]

    def _figures(self) -> list[Figure]:
        found: list[Figure] = []
        with self._asking:
            for part, ask in self._parts.items():
                try:
                    found += ask()
                except Exception as error:
                    # a part that is in the middle of something, or away, has no figures now; the others have
                    _log.info("no figures", part=part, error=repr(error))
        return found

    def _families(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        figures = self._figures()
        figures += [READY.of(not self._reasons_by(figures))]
        figures += [Figure(metric, value, labels) for (metric, labels), value in self._counts.copy().items()]
        figures += [] if self.turn_age is None else [TURN_AGE.of(self.turn_age)]
        figures += [] if self._committed is None else [COMMIT_AGE.of(time.monotonic() - self._committed)]
        by_metric: defaultdict[Metric, dict[tuple[str, ...], float]] = defaultdict(dict)
        for figure in figures:
            by_metric[figure.metric][figure.labels] = figure.value
        for metric in shown_by(self.kind):
            if metric.kind is Kind.COUNTER and not metric.labels:
                by_metric[metric].setdefault((), 0)
        for metric in {**dict.fromkeys(shown_by(self.kind)), **dict.fromkeys(by_metric)}:
            if metric.kind is not Kind.HISTOGRAM:
                yield _family(metric, by_metric.get(metric, {}))


def _family(metric: Metric, samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily | CounterMetricFamily:
    made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family: GaugeMetricFamily | CounterMetricFamily = made(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


class _Asked(Collector):
    """Families that are made when they are scraped, and not before."""

    def __init__(self, families: Callable[[], Iterable[Any]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families()

    def describe(self) -> Iterable[Any]:
        return ()


PROCESS = Observed()
"""This process, as its role is run."""
