"""What a process says of itself: figures when asked, a loop that turns, reasons for not being ready."""

from threading import Thread

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas import metrics, observed
from schemas.metrics import FSYNC, HEIGHT, LAG, METRICS, REJECTIONS, VIEW, Kind
from schemas.observed import CAUGHT_UP, TURNS_WITHIN, Observed


def samples(one: Observed) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(one.exposition().decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_names_follow_prometheus_and_no_two_are_one() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("carbonledger_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert set(metric.shown_by) <= set(metrics.EVERY)
        assert not metric.name.endswith(("_ms", "_minutes", "_kilobytes"))


def test_figures_are_asked_for_and_counts_are_kept() -> None:
    one, views = Observed("member"), iter((3, 4))
    one.shows("member", lambda: [VIEW.of(next(views)), LAG.of(7, "ledger.blocks")])
    one.count(REJECTIONS, "too_old", by=2)
    one.count(REJECTIONS, "too_old")
    one.timing(FSYNC)(0.002)
    first = samples(one)
    assert first[VIEW.name,] == 3 and first[LAG.name, "ledger.blocks"] == 7
    assert first[REJECTIONS.name, "too_old"] == 3
    assert (first[f"{FSYNC.name}_count",], first[f"{FSYNC.name}_bucket", "0.0025"]) == (1, 1)
    assert samples(one)[VIEW.name,] == 4


def test_every_metric_of_its_kind_is_named_without_a_value_too() -> None:
    text = Observed("sink").exposition().decode()
    for metric in metrics.shown_by("sink"):
        assert f"# TYPE {metric.name} {metric.kind}" in text
    assert VIEW.name not in text


def test_a_part_that_fails_has_no_figures_and_the_others_have() -> None:
    one = Observed()
    one.shows("away", lambda: [VIEW.of(1 // 0)])
    one.shows("here", lambda: [HEIGHT.of(9)])
    assert samples(one)[HEIGHT.name,] == 9
    one.shows("here", lambda: [HEIGHT.of(10)])
    assert samples(one)[HEIGHT.name,] == 10, "a part that is shown again takes the place of the one before"
    one.forget("here")
    assert (HEIGHT.name,) not in samples(one)


def test_a_part_is_closed_only_once_nobody_asks_it() -> None:
    """A Kafka client that is asked while it is closed can take the whole process with it."""
    one, closed = Observed(), list[bool]()
    closing = Thread(target=lambda: (one.forget("client"), closed.append(True)))

    def asked() -> list[metrics.Figure]:
        closing.start()
        closing.join(0.05)
        assert not closed
        return [VIEW.of(1)]

    one.shows("client", asked)
    assert samples(one)[VIEW.name,] == 1
    closing.join()
    assert closed and (VIEW.name,) not in samples(one)


def test_live_is_a_loop_that_turns_and_ready_has_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(observed.time, "monotonic", lambda: now[0])
    one, lag = Observed(), [CAUGHT_UP]
    one.shows("reader", lambda: [LAG.of(lag[0], "ledger.blocks")])
    assert one.is_live() and one.reasons() == ["it is starting"]
    one.turned()
    assert one.is_live() and one.reasons() == []
    lag[0] += 1
    assert one.reasons() == [f"{CAUGHT_UP + 1} messages of ledger.blocks wait for it"]
    lag[0] = 0
    one.needs("broker", lambda: "no broker")
    assert one.reasons() == ["no broker"] and samples(one)["carbonledger_ready",] == 0
    one.forget("broker")
    assert samples(one)["carbonledger_ready",] == 1
    now[0] += TURNS_WITHIN
    assert one.is_live()
    now[0] += 0.1
    assert not one.is_live() and samples(one)["carbonledger_turn_age_seconds",] == pytest.approx(TURNS_WITHIN + 0.1)


def test_the_age_of_the_last_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(observed.time, "monotonic", lambda: now[0])
    one = Observed("sink")
    assert ("carbonledger_commit_age_seconds",) not in samples(one)
    one.committed()
    now[0] += 2.5
    assert samples(one)["carbonledger_commit_age_seconds",] == 2.5
