"""What `up` shows to Prometheus of the pipeline as a whole: the stages of `carbonledger status`, asked when scraped."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.errors import EnvironmentFault
from infra.plan import State
from infra.watch import Stage
from schemas.metrics import (
    BOOKS_HEIGHT,
    BROKER_UP,
    DIFFERENCE,
    HELD,
    OLDEST,
    POSTED,
    RESTARTS,
    WAITING,
    Figure,
)

Sums = tuple[int, Mapping[tuple[str, str], int]]
"""A height, and all debits and credits by side and unit."""


def waiting(stages: Callable[[], Iterable[Stage]], away: Callable[[], str | None] = lambda: None) -> Iterator[Figure]:
    """What waits at each stage. `stages` raises EnvironmentFault while the broker is away, `away` says so sooner."""
    try:
        found = None if away() else list(stages())
    except EnvironmentFault:
        found = None
    yield BROKER_UP.of(found is not None)
    for stage in found or ():
        yield WAITING.of(stage.waiting, stage.group, stage.topic)
        yield OLDEST.of(stage.oldest or 0.0, stage.group, stage.topic)


def balanced(sums: Callable[[], Sums | None]) -> Iterator[Figure]:
    """What the account processor posted, and that debits equal credits. `sums` is None while nothing is posted.

    The difference is taken of integers: the sums themselves are beyond a float.
    """
    found = sums()
    if found is None:
        return
    height, posted = found
    yield BOOKS_HEIGHT.of(height)
    for place, amount in posted.items():
        yield POSTED.of(amount, *place)
    for unit in sorted({unit for _, unit in posted}):
        debits, credits_ = (posted.get((side, unit), 0) for side in ("debit", "credit"))
        yield DIFFERENCE.of(debits - credits_, unit)


def supervised(data: Path, restarts: Mapping[str, int]) -> Iterator[Figure]:
    """The processes that wait for others, and how often each was started again."""
    for process, is_held in held(data).items():
        yield HELD.of(is_held, process)
    for process, count in restarts.items():
        yield RESTARTS.of(count, process)


def not_ready(states: Mapping[str, str]) -> str | None:
    """The processes that are not ready, in words; None when all are."""
    others = [f"{process} is {state}" for process, state in states.items() if state != State.READY]
    return ", ".join(others) or None


def reports(data: Path) -> dict[str, dict[str, Any]]:
    """What members, workers and gateways last wrote about themselves; who has written nothing yet is left out."""
    found = {f"member-{path.parent.name}": path for path in (data / "members").glob("*/status.json")}
    found |= {path.parent.name: path for path in (data / "stores").glob("*/*.health.json")}
    found |= {f"gateway-{path.parent.name}": path for path in (data / "gateways").glob("*/progress.json")}
    return {process: json.loads(path.read_text()) for process, path in found.items()}


def held(data: Path) -> dict[str, bool]:
    """The processes that wait for others, and whether they do so now."""
    return {process: report["held"] for process, report in reports(data).items() if "held" in report}
