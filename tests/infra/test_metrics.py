"""What `up` shows of the whole: the stages, who is held, who was restarted, and the sums of the books."""

import json
from collections.abc import Iterable
from pathlib import Path

from infra import metrics, roles
from infra.errors import EnvironmentFault
from infra.plan import State
from infra.watch import Stage
from schemas.metrics import (
    BOOKS_HEIGHT,
    BROKER_UP,
    COMMIT_AGE,
    DIFFERENCE,
    HELD,
    LAG,
    OLDEST,
    RESTARTS,
    WAITING,
    Figure,
)


def values(figures: Iterable[Figure]) -> dict[tuple[str, ...], float]:
    return {(figure.metric.name, *figure.labels): figure.value for figure in figures}


def test_prometheus_is_given_what_status_shows() -> None:
    found = values(metrics.waiting(lambda: [Stage("carbon.ingest", "meter.readings", 7, 2.5)]))
    place = "carbon.ingest", "meter.readings"
    assert found == {(WAITING.name, *place): 7, (OLDEST.name, *place): 2.5, (BROKER_UP.name,): 1}


def test_without_a_broker_nothing_is_said_to_wait() -> None:
    def away() -> list[Stage]:
        raise EnvironmentFault("away")

    assert values(metrics.waiting(away)) == {(BROKER_UP.name,): 0}


def test_who_is_held_and_who_was_restarted(tmp_path: Path) -> None:
    for name, held in (("ingest", True), ("aggregate", False)):
        path = tmp_path / "stores" / name / f"{name}.health.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"held": held}))
    found = values(metrics.supervised(tmp_path, {"ingest": 2}))
    assert found == {(HELD.name, "ingest"): 1, (HELD.name, "aggregate"): 0, (RESTARTS.name, "ingest"): 2}


def test_who_is_not_ready_is_named() -> None:
    assert metrics.not_ready({"ingest": State.READY, "sink": State.STARTING}) == "sink is starting"
    assert metrics.not_ready({"ingest": State.READY}) is None


def test_whoever_reads_for_a_group_shows_its_lag_and_when_it_last_kept_its_place() -> None:
    readers = {role.name for role in roles._EVERYWHERE if role.group}
    assert len(readers) > 6 and readers <= set(LAG.shown_by) & set(COMMIT_AGE.shown_by)


def test_debits_less_credits_are_taken_of_integers() -> None:
    """A float has 53 bits: of sums beyond them the last grams would be lost."""
    sums = {("debit", "g"): 2**60 + 1, ("credit", "g"): 2**60, ("debit", "t"): 5, ("credit", "t"): 5}
    found = values(metrics.balanced(lambda: (7, sums)))
    assert (found[DIFFERENCE.name, "g"], found[DIFFERENCE.name, "t"], found[BOOKS_HEIGHT.name,]) == (1, 0, 7)
    assert not values(metrics.balanced(lambda: None))
