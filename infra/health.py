"""How the pipeline stands, told to topic `pipeline.health` every few seconds: what `status` shows, kept."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from infra import runfile, watch
from infra.errors import EnvironmentFault
from infra.runfile import Member
from infra.watch import Stage
from schemas import codec, topics
from schemas.observed import Observed

EVERY = 10.0
"""Seconds from one look to the next."""
log = structlog.get_logger(__name__)


def rows(members: Iterable[Member], stages: Iterable[Stage], at_ms: int) -> Iterator[dict[str, Any]]:
    """What is told of a moment: for each process a message for every topic that its group reads, else one; and of
    each group without a process, as the committee's, one a topic."""
    read: dict[str, list[Stage]] = {}
    for stage in stages:
        read.setdefault(stage.group, []).append(stage)
    for member in members:
        about = {"process": member.process, "at": at_ms, "state": member.state, "restarts": member.restarts}
        of_group: list[Stage | None] = [*read.pop(member.group, [])] if member.group else []
        yield from (about | _figures(stage) for stage in of_group or [None])
    for group, left in read.items():
        yield from ({"process": group, "at": at_ms, "state": "", "restarts": 0} | _figures(stage) for stage in left)


def _figures(stage: Stage | None) -> dict[str, Any]:
    if stage is None:
        return {"topic": "", "waiting": None, "oldest_seconds": None, "done": None}
    return {"topic": stage.topic, "waiting": stage.waiting, "oldest_seconds": stage.oldest, "done": stage.done}


def look(client: Mapping[str, str], data: Path) -> list[dict[str, Any]]:
    """All that is told now. Raises EnvironmentFault while the broker or `up` is away."""
    members = runfile.running(data).members
    groups = {member.group for member in members if member.group}
    return list(rows(members, watch.stages(client, groups, data), time.time_ns() // 1_000_000))


def tell(client: Mapping[str, str], data: Path, stopped: Callable[[], bool], observed: Observed) -> None:
    """Look and tell until `stopped`. A look that fails is left out."""
    from confluent_kafka import Producer

    producer = Producer(dict(client))
    while not stopped():
        observed.turned()
        try:
            for row in look(client, data):
                producer.produce(topics.PIPELINE_HEALTH, codec.encode("health", row), row["process"].encode())
        except EnvironmentFault as fault:
            log.warning("health can't be told", reason=str(fault))
        producer.flush(EVERY)
        _sleep(EVERY, stopped)


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopped() and time.monotonic() < until:
        time.sleep(0.2)
