from collections.abc import Callable
from typing import Any

import pytest

from schemas import topics
from sinks.clickhouse.feed import Feed, PoisonedError
from sinks.clickhouse.health import HealthFeed
from sinks.clickhouse.rows import (
    alerts_feed,
    anomalies_feed,
    balances_feed,
    deliveries_feed,
    forecasts_feed,
    rejections_feed,
)
from tests.sinks.messages import (
    NEW_YEAR,
    Topic,
    alert,
    anomaly,
    balance,
    delivery,
    forecast,
    health,
    rejection,
    unreadable,
)


def fed(client: Any, feed: Feed, values: list[bytes]) -> None:
    """Each message in an insert of its own, so that no merge has happened yet."""
    client.command("SYSTEM STOP MERGES")
    topic = Topic(feed.topics[0])
    for value in values:
        feed.take(topic.put(value))
        feed.flush(client)


def test_a_rejection_keeps_every_field(client: Any) -> None:
    fed(client, rejections_feed(), [rejection(7)])
    row = client.query("SELECT * EXCEPT (digest, at) FROM rejections").first_item
    assert row == {
        "index": 0, "reason": "out_of_range", "detail": "too much", "stage": "ingest", "gateway": "gw-1", "run": 1,
        "sequence": 7, "point": "p-coal", "value": 7, "code": "", "source_topic": "meter.readings",
        "source_partition": 2, "source_offset": 7, "partition": 0, "offset": 0,
    }  # fmt: skip


def test_a_message_that_could_not_be_read_is_a_row_too(client: Any) -> None:
    fed(client, rejections_feed(), [unreadable(3)])
    row = client.query("SELECT `index`, gateway, run, point, at, value, reason FROM rejections").first_row
    assert row == (-1, "", None, "", None, None, "not_a_packet")


def test_the_same_rejection_twice_shows_once(client: Any) -> None:
    fed(client, rejections_feed(), [rejection(1, 3), rejection(2), rejection(1, 3)])
    assert client.query("SELECT count() FROM rejections_log").first_row == (7,)
    assert client.query("SELECT count(), uniqExact(digest, `index`, reason) FROM rejections").first_row == (4, 4)


def test_a_balance_is_the_last_one(client: Any) -> None:
    """A later height counts, also where an earlier one is read again after it."""
    fed(
        client,
        balances_feed(),
        [
            balance("emissions:a", 3, 10),
            balance("emissions:a", 5, 30, 4),
            balance("emissions:a", 4, 20),
            balance("x:b", 1),
        ],
    )
    rows = client.query(
        "SELECT account, subject, debit_g, credit_g, balance, height FROM balances ORDER BY 1"
    ).result_rows
    assert rows == [("emissions:a", "a", 30, 4, 26, 5), ("x:b", "b", 0, 0, 0, 1)]


def test_a_balance_holds_on_the_side_on_which_its_class_grows(client: Any) -> None:
    more = {"kind": "fines", "unit": "fen", "year": 2023, "detail": ""}
    due = {"kind": "due", "year": 2023}
    fed(client, balances_feed(), [balance("fines:b:2023", 1, 9, **more), balance("due:b:2023", 1, 2, 7, **due)])
    rows = client.query("SELECT kind, unit, year, balance, held FROM balances ORDER BY 1").result_rows
    assert rows == [("due", "g", 2023, -5, 5), ("fines", "fen", 2023, 9, 9)]


FEEDS: dict[Callable[[], Feed], bytes] = {
    rejections_feed: rejection(7),
    balances_feed: balance("due:b:2023", 1, 2, 7, kind="due", year=2023),
    forecasts_feed: forecast(1, levels=[{"kind": "balance_short", "level": "notice"}]),
    alerts_feed: alert("coverage/1", "coverage", "b"),
    anomalies_feed: anomaly("p-coal", "stuck", 1),
    deliveries_feed: delivery(1, "failed", reason="timeout"),
    HealthFeed: health("sink", "alerts", 1, 7),
}


@pytest.mark.parametrize("made", FEEDS, ids=lambda made: made.__name__)
def test_a_damaged_message_is_poison_or_rows_and_nothing_else(made: Callable[[], Feed]) -> None:
    feed, value = made(), FEEDS[made]
    topic, poisoned = Topic(feed.topics[0]), 0
    for place in range(len(value)):
        for flip in (1, 0x15, 0x80):
            damaged = bytes([*value[:place], value[place] ^ flip, *value[place + 1 :]])
            try:
                feed.take(topic.put(damaged))
            except PoisonedError:
                poisoned += 1
    assert poisoned > 0


def test_an_outlook_is_the_last_of_its_day_and_may_lack_a_forecast(client: Any) -> None:
    levels = [{"kind": "balance_short", "level": "notice"}]
    whole = {"year_end_g": 9, "low_80_g": 7, "exhausted_at": NEW_YEAR, "shortage_probability": 0.5, "method": "naive"}
    fed(client, forecasts_feed(), [forecast(1), forecast(2), forecast(2, levels=levels, **whole)])
    names = (
        "emitted_g, year_end_g, low_80_g, toUnixTimestamp64Milli(exhausted_at), shortage_probability, method, levels"
    )
    assert client.query(f"SELECT {names}, silent, `offset` FROM forecasts ORDER BY at").result_rows == [
        (5, None, None, None, None, "", {}, 1, 0),
        (5, 9, 7, NEW_YEAR, 0.5, "naive", {"balance_short": "notice"}, 1, 2),
    ]


def test_an_alert_shows_once_and_a_warning_says_whom_it_is_about(client: Any) -> None:
    short = alert("balance_short/plant/2016-09-01/notice/group", "balance_short", "group")
    fed(client, alerts_feed(), [alert("coverage/code", "coverage", None), short, short])
    assert client.query("SELECT kind, subject, point, height, code FROM alerts ORDER BY kind").result_rows == [
        ("balance_short", "group", "", 3, ""),
        ("coverage", "", "", 3, ""),
    ]
    assert client.query("SELECT about, level, told, severity, text FROM warnings").result_rows == [
        ("plant", "notice", "group", "info", "why")
    ]


def test_an_alert_says_what_it_is_about_and_that_it_is_over(client: Any) -> None:
    more = {"key": "coverage/p", "since": NEW_YEAR, "figures": [{"name": "readings", "value": "3"}], "proof": "resolve"}
    feed = alerts_feed()
    fed(
        client,
        feed,
        [alert("1", "coverage", None, **more), alert("2", "coverage", None, key="coverage/p", resolved=True)],
    )
    rows = client.query("SELECT key, resolved, isNull(since), figures, proof FROM alerts ORDER BY id").result_rows
    assert rows == [("coverage/p", False, 0, {"readings": "3"}, "resolve"), ("coverage/p", True, 1, {}, "")]


def test_an_anomaly_keeps_every_field_and_shows_once(client: Any) -> None:
    told = anomaly("p-coal", "stuck", 1)
    fed(client, anomalies_feed(), [told, anomaly("p-gas", "gap", 2, subject=None), told])
    assert client.query("SELECT * EXCEPT (since, at) FROM anomalies WHERE point = 'p-coal'").first_item == {
        "id": f"anomaly/p-coal/stuck/False/{NEW_YEAR + 86_400_000}", "key": "anomaly/p-coal/stuck",
        "subject": "plant-a", "point": "p-coal", "kind": "stuck", "invariant": "it changes", "resolved": False,
        "score": 1.5, "per_month": 0.01, "figures": {"limit": "3"}, "text": "why", "partition": 0, "offset": 2,
    }  # fmt: skip
    times = "toUnixTimestamp64Milli(since), toUnixTimestamp64Milli(at), subject"
    rows = client.query(f"SELECT {times} FROM anomalies ORDER BY at").result_rows
    assert rows == [
        (at - 1000, at, who)
        for at, who in zip((NEW_YEAR + 86_400_000, NEW_YEAR + 172_800_000), ("plant-a", ""), strict=True)
    ]


def test_what_is_open_is_what_was_told_last(client: Any) -> None:
    """Told again after a crash, in the same order, nothing else is open."""
    broken, over = anomaly("p-coal", "stuck", 1), anomaly("p-coal", "stuck", 3, resolved=True)
    again, other = anomaly("p-coal", "stuck", 9), anomaly("p-gas", "gap", 2)
    feed, topic = anomalies_feed(), Topic(topics.ANOMALIES)
    shown = []
    for value in (broken, other, over, broken, other, over, again):
        feed.take(topic.put(value))
        feed.flush(client)
        rows = client.query(
            "SELECT point, dateDiff('day', toDateTime('2026-01-01', 'UTC'), at) FROM anomalies_open ORDER BY 1"
        )
        shown.append(rows.result_rows)
    first, both = [("p-coal", 1)], [("p-coal", 1), ("p-gas", 2)]
    assert shown == [first, both, both[1:], both, both, both[1:], [("p-coal", 9), ("p-gas", 2)]]


def test_every_attempt_to_deliver_shows_once(client: Any) -> None:
    client.command("ALTER TABLE deliveries_log REMOVE TTL")
    failed = delivery(1, "failed", status=500, reason="status", next_at=NEW_YEAR + 9000)
    fed(client, deliveries_feed(), [failed, failed, delivery(2, "delivered", status=204)])
    rows = client.query(
        "SELECT attempt, status, outcome, reason, isNull(next_at) FROM deliveries ORDER BY 1"
    ).result_rows
    assert rows == [(1, 500, "failed", "status", 0), (2, 204, "delivered", "", 1)]


def test_old_deliveries_and_old_health_are_dropped_and_nothing_else(client: Any) -> None:
    kept = "SELECT name, extract(create_table_query, 'TTL (.*?) SETTINGS') FROM system.tables"
    kept += " WHERE database = 'carbon' AND create_table_query LIKE '%TTL%' ORDER BY name"
    assert client.query(kept).result_rows == [
        ("deliveries_log", "toDateTime(at) + toIntervalDay(400)"),
        ("health_log", "toDateTime(at) + toIntervalDay(90)"),
    ]


def test_health_tells_the_rate_since_the_look_before(client: Any) -> None:
    """A group that goes back, as one whose topic was made again, has no rate at that look."""
    client.command("ALTER TABLE health_log REMOVE TTL")
    told = [(0, 100), (10, 150), (20, None), (30, 40), (40, 50)]
    looks = [health("sink", "alerts", second, done, 3) for second, done in told]
    fed(client, HealthFeed(), [*looks, health("broker", "", 0, None)])
    rates = "SELECT per_second FROM health WHERE process = 'sink' ORDER BY at"
    assert [row[0] for row in client.query(rates).result_rows] == [None, 5.0, None, None, 1.0]
    assert client.query("SELECT state, restarts, waiting FROM health WHERE process = 'broker'").first_row == (
        "ready",
        1,
        None,
    )


def test_it_goes_on_after_the_greatest_offset(client: Any) -> None:
    fed(client, rejections_feed(), [rejection(1), rejection(2)])
    fed(client, balances_feed(), [balance("a:b", 1)])
    assert rejections_feed().resume(client) == {(topics.READINGS_REJECTED, 0): 2}
    assert balances_feed().resume(client) == {(topics.ACCOUNTS_BALANCES, 0): 1}


@pytest.mark.parametrize("value", [b"", rejection(1)[:-1], balance("a:b", 1)])
def test_a_damaged_rejection_is_poison(value: bytes) -> None:
    feed = rejections_feed()
    with pytest.raises(PoisonedError):
        feed.take(Topic(topics.READINGS_REJECTED).put(value))
    assert feed.waiting == 0
