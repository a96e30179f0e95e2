"""`/metrics` for Prometheus, served by `up`: the stages that `carbonledger status` shows, asked when they are scraped.

All metric names stand here.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from infra.errors import EnvironmentFault
from infra.ports import LOOPBACK
from infra.watch import Stage

WAITING = "carbonledger_waiting"
OLDEST = "carbonledger_waiting_oldest_seconds"
HELD = "carbonledger_held"
UP = "carbonledger_broker_up"
POSTED = "carbonledger_books_posted"
DIFFERENCE = "carbonledger_books_difference"
HEIGHT = "carbonledger_books_height"


class Stages(Collector):
    """The stages as gauges. `stages` raises EnvironmentFault while the broker is away; `held` says who waits."""

    def __init__(self, stages: Callable[[], Iterable[Stage]], held: Callable[[], Mapping[str, bool]]) -> None:
        self._stages, self._held = stages, held

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What Prometheus is given."""
        waiting = GaugeMetricFamily(WAITING, "Messages of a topic that a group has not done", labels=("group", "topic"))
        oldest = GaugeMetricFamily(OLDEST, "Age of the oldest of them, in seconds", labels=("group", "topic"))
        held = GaugeMetricFamily(HELD, "1 while a process takes nothing, for what is behind it", labels=("process",))
        up = GaugeMetricFamily(UP, "Whether the broker answered")
        try:
            for stage in self._stages():
                waiting.add_metric((stage.group, stage.topic), stage.waiting)
                oldest.add_metric((stage.group, stage.topic), stage.oldest or 0.0)
            up.add_metric((), 1)
        except EnvironmentFault:
            up.add_metric((), 0)
        for process, is_held in self._held().items():
            held.add_metric((process,), is_held)
        yield from (waiting, oldest, held, up)

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is asked of the broker before the first scrape."""
        return []


Sums = tuple[int, Mapping[tuple[str, str], int]]
"""A height, and all debits and credits by side and unit."""


class Balanced(Collector):
    """What the account processor posted, and that debits equal credits. `sums` is None while nothing is posted."""

    def __init__(self, sums: Callable[[], Sums | None]) -> None:
        self._sums = sums

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What Prometheus is given. The difference is taken of integers: the sums themselves are beyond a float."""
        posted = GaugeMetricFamily(POSTED, "All debits and all credits of the books", labels=("side", "unit"))
        difference = GaugeMetricFamily(DIFFERENCE, "Debits less credits: 0", labels=("unit",))
        height = GaugeMetricFamily(HEIGHT, "Height at which the books stand")
        found = self._sums()
        if found is not None:
            height.add_metric((), found[0])
            for place, amount in found[1].items():
                posted.add_metric(place, amount)
            for unit in sorted({unit for _, unit in found[1]}):
                debits, credits_ = (found[1].get((side, unit), 0) for side in ("debit", "credit"))
                difference.add_metric((unit,), debits - credits_)
        yield from (posted, difference, height)

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is read before the first scrape."""
        return []


def reports(data: Path) -> dict[str, dict[str, Any]]:
    """What members, workers and gateways last wrote about themselves; who has written nothing yet is left out."""
    found = {f"member-{path.parent.name}": path for path in (data / "members").glob("*/status.json")}
    found |= {path.parent.name: path for path in (data / "stores").glob("*/*.health.json")}
    found |= {f"gateway-{path.parent.name}": path for path in (data / "gateways").glob("*/progress.json")}
    return {process: json.loads(path.read_text()) for process, path in found.items()}


def held(data: Path) -> dict[str, bool]:
    """The processes that wait for others, and whether they do so now."""
    return {process: report["held"] for process, report in reports(data).items() if "held" in report}


def serve(port: int, *collectors: Collector) -> Callable[[], None]:
    """Serve on loopback until the returned function is called. Raises EnvironmentFault for a port that is taken."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise EnvironmentFault(f"/metrics can't be served on port {port}: {error.strerror}") from error

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end
