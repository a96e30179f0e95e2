"""Faults of the pipeline: told when they last, over when health has held, one however it flaps."""

import json
from typing import Any

import pytest

from carbon.alert import Alert
from infra.faults import Bounds, Faults
from schemas import codec

BOUNDS = Bounds()
START, LOOK = 1_700_000_000_000, 10_000
PATIENCE, CALM = BOUNDS.patience_ms // LOOK, BOUNDS.calm_ms // LOOK
"""In looks."""


def row(process: str = "sink", topic: str = "", **more: Any) -> dict[str, Any]:
    about = {"process": process, "topic": topic, "state": "ready", "restarts": 0}
    return about | {"waiting": None, "oldest_seconds": None} | more


def looked(faults: Faults, looks: list[list[dict[str, Any]]], first: int = 0) -> list[tuple[int, Alert]]:
    """What is told at which look."""
    return [
        (first + number, alert)
        for number, rows in enumerate(looks)
        for alert in faults.take(rows, START + (first + number) * LOOK)
    ]


def down(state: str = "waiting", restarts: int = 0) -> list[dict[str, Any]]:
    return [row(state=state, restarts=restarts), row("accounts")]


UP = [row(), row("accounts")]


def test_a_process_that_is_not_ready_is_told_after_some_time_and_its_end_too() -> None:
    found = looked(Faults(), [*[down()] * 40, *[UP] * 40])
    assert [(look, alert["id"], alert["resolved"], alert["severity"]) for look, alert in found] == [
        (PATIENCE, f"process_down/sink/{START}", False, "critical"),
        (40 + CALM, f"process_down/sink/{START}/over", True, "info"),
    ]
    (_, raised), (_, over) = found
    assert raised["key"] == over["key"] == "process_down/sink" and raised["since"] == START
    assert raised["text"] == "sink is waiting" and over["text"] == "sink is ready"
    assert codec.decode("alert", codec.encode("alert", raised)) == raised


def test_a_start_in_time_is_no_fault() -> None:
    assert looked(Faults(), [*[down("starting")] * PATIENCE, *[UP] * 100]) == []


def test_who_dies_every_half_minute_is_one_fault_though_it_is_ready_at_most_looks() -> None:
    looks = [down("ready", restarts=number // 3) for number in range(100)]
    ((look, alert),) = looked(Faults(), looks)
    assert look == 3 + PATIENCE and alert["text"] == "sink is ready, started again 5 times"


def test_restarts_with_long_health_between_are_none() -> None:
    assert looked(Faults(), [down("ready", restarts=number // (CALM + 2)) for number in range(200)]) == []


def waits(seconds: float | None, waiting: int = 9) -> list[dict[str, Any]]:
    return [row("sink", "alerts", waiting=waiting, oldest_seconds=seconds)]


def test_messages_that_wait_are_told_and_half_as_long_is_not_yet_the_end() -> None:
    bound = BOUNDS.oldest_seconds
    looks = [*[waits(bound)] * 50, *[waits(bound + 1)] * 50, *[waits(bound / 2 + 1)] * 50, *[waits(bound / 2)] * 50]
    found = looked(Faults(), looks)
    assert [(look, alert["resolved"]) for look, alert in found] == [(50 + PATIENCE, False), (150 + CALM, True)]
    raised = found[0][1]
    assert raised["key"] == "messages_wait/sink/alerts" and raised["severity"] == "warning"
    assert raised["text"] == "9 messages of alerts wait for sink, the oldest for 301 s"
    assert {figure["name"]: figure["value"] for figure in raised["figures"]} == {
        "waiting": "9",
        "oldest_seconds": "301.0",
    }


def test_what_swings_around_the_bound_is_told_once() -> None:
    swings = [waits(BOUNDS.oldest_seconds + (20 if number % 4 else -20)) for number in range(200)]
    assert len(looked(Faults(), swings)) == 1


def test_a_look_that_cannot_tell_changes_nothing() -> None:
    """Messages wait, and the broker did not say in time how long."""
    high, unknown = waits(400.0), waits(None)
    found = looked(Faults(), [high, *[unknown] * PATIENCE, high, *[unknown] * 100])
    assert [(look, alert["resolved"]) for look, alert in found] == [(PATIENCE + 1, False)]
    assert looked(Faults(), [*[high] * 20, *[waits(None, 0)] * (CALM + 1)])[-1][1]["resolved"], "nothing waits"


def test_what_is_no_part_of_the_pipeline_any_more_is_over() -> None:
    found = looked(Faults(), [*[down()] * 20, *[[row("accounts")]] * 20])
    assert [alert["resolved"] for _, alert in found] == [False, True]
    assert found[1][1]["text"] == "is no part of the pipeline any more"


@pytest.mark.parametrize("after", [0, 5])
def test_who_starts_again_tells_the_end_of_what_it_told_and_nothing_twice(after: int) -> None:
    first = Faults()
    ((_, raised),) = looked(first, [down()] * 20)
    second = Faults(kept=json.loads(json.dumps(first.dump())))
    found = looked(second, [*[down()] * after, *[UP] * 30], first=1_000)
    assert [(look, alert["id"]) for look, alert in found] == [(1_000 + after + CALM, f"{raised['id']}/over")]
    assert second.dump() == {}


def test_who_starts_again_waits_again_for_what_it_had_not_told() -> None:
    first = Faults()
    assert looked(first, [down()] * PATIENCE) == [] and first.dump() == {}
    ((look, _),) = looked(Faults(kept=first.dump()), [down()] * 40)
    assert look == PATIENCE
