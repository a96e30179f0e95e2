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


def reports(data: Path) -> dict[str, dict[str, Any]]:
    """What members, workers and gateways last wrote about themselves; who has written nothing yet is left out."""
    found = {f"member-{path.parent.name}": path for path in (data / "members").glob("*/status.json")}
    found |= {path.parent.name: path for path in (data / "stores").glob("*/*.health.json")}
    found |= {f"gateway-{path.parent.name}": path for path in (data / "gateways").glob("*/progress.json")}
    return {process: json.loads(path.read_text()) for process, path in found.items()}


def held(data: Path) -> dict[str, bool]:
    """The processes that wait for others, and whether they do so now."""
    return {process: report["held"] for process, report in reports(data).items() if "held" in report}


def serve(port: int, collector: Stages) -> Callable[[], None]:
    """Serve on loopback until the returned function is called. Raises EnvironmentFault for a port that is taken."""
    registry = CollectorRegistry()
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
