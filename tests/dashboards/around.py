"""What stands around the recorded ledger: how the pipeline stood, a change of the view, faults, deliveries to webhooks.

All of it just now: the tables keep none of it for ever.
"""

import time
from collections.abc import Iterator, Mapping

from carbon import coding
from consensus.simulator import Scenario
from consensus.simulator.world import World as Committee
from infra import health
from infra.faults import Faults
from infra.runfile import Member
from infra.watch import Stage
from schemas import codec, topics
from streams.rejections import Rejections
from tests.small import HOUR, World

MEMBERS, LOOKS, LOOK_MS = 7, 6, 1_500
"""Looks at the committee are so far apart in its own time; they are told as if it were ten seconds."""


def around(alert: str) -> Iterator[tuple[str, str, bytes]]:
    """How the pipeline stood, and what became of an alert at two webhooks, of which one is dead: topic, key, value."""
    now = time.time_ns() // 1_000_000 - HOUR
    yield from _health(now)
    yield from _faults(now)
    yield from _deliveries(alert, now)


def committee_without_its_primary() -> Iterator[dict[str, dict[str, int]]]:
    """What seven members say of themselves, look by look: that of view 0 is down, and the others go on without it."""
    world = Committee(Scenario(seed=1, members=MEMBERS, silenced=(0,)))
    world._schedule()
    for look in range(LOOKS):
        while world.now < look * LOOK_MS:
            world.step()
        views = {f"member-{one.number}": one.replica.view for one in world.honest(up=True)}
        yield {name: {"epoch": 0, "view": view} for name, view in views.items()}


def _health(now: int) -> Iterator[tuple[str, str, bytes]]:
    processes = [Member("ingest", "ready", 7, 1.0, 0, 3.0, None, "carbon.ingest")]
    processes += [Member("sink", "ready", 8, 1.0, 0, 3.0, None, "carbon.clickhouse")]
    processes += [Member(f"member-{place}", "ready", 9, 1.0, 0, 3.0, None, None) for place in range(MEMBERS)]
    for look, reports in enumerate(committee_without_its_primary()):
        stages = [Stage("carbon.ingest", topics.METER_READINGS, 5 - look, 0.5, 100 * look)] if look else []
        stages += [Stage("carbon.clickhouse", topics.LEDGER_BLOCKS, 5 - look, 0.5, 100 * look)]
        for row in health.rows(processes, stages, reports, now + look * 10_000):
            yield topics.PIPELINE_HEALTH, row["process"], codec.encode("health", row)


def _faults(now: int) -> Iterator[tuple[str, str, bytes]]:
    """What is told of a process that stays away for half an hour and one that comes back, and of forged messages."""
    faults, rejections = Faults(), Rejections()
    registry = World.make().registry
    forged = {
        "gateway": None,
        "items": [coding.whole("wrong_signature", "not the gateway's") | {"point": None, "code": None}],
    }
    told = [one for second in range(3) for one in rejections.take(forged, now + 1_000 * second, registry)]
    for look in range(180):
        states = {"forecast": "waiting", "webhooks": "ready" if look > 30 else "starting"}
        rows = [{"process": name, "topic": "", "state": state, "restarts": 0} for name, state in states.items()]
        told += faults.take(rows, now + look * 10_000)
    for alert in told:
        yield topics.ALERTS, alert["id"], codec.encode("alert", alert)


def _deliveries(alert: str, now: int) -> Iterator[tuple[str, str, bytes]]:
    for subscription, outcomes in (("desk", ["delivered"]), ("gone", ["failed", "failed", "dead"])):
        for attempt, outcome in enumerate(outcomes, 1):
            about = {"subscription": subscription, "event": alert, "kind": "two_verdicts", "key": alert}
            told = {"attempt": attempt, "at": now + 10_000 * attempt, "outcome": outcome, "duration_ms": 12}
            answer: Mapping[str, object] = {"status": None, "reason": "refused"}
            if outcome == "delivered":
                answer = {"status": 200, "reason": None}
            value = codec.encode("delivery", about | told | answer | {"next_at": None})
            yield topics.ALERTS_DELIVERIES, subscription, value
