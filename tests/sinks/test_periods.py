"""Hours, days, months and statements are views: each must add up to what it is made of."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas import topics
from sinks.clickhouse.readings import ReadingsFeed
from tests.sinks.messages import NEW_YEAR, POINTS, REFERENCE, Topic, coded, record_payload
from tests.sinks.test_ledger import World, take
from tests.sinks.test_postings import market, run  # noqa: F401

EAST = 480


@pytest.fixture
def tables(client: Any) -> Any:
    """Records of 70 days in random hours, some of them corrected, some refused."""
    rng, world = random.Random(1), World(0)
    hours = sorted(rng.sample(range(70 * 24), 200))
    first = [(record_payload(rng.choice(POINTS), hour), rng.random() < 0.9) for hour in hours]
    again = [(record_payload(point, hour, 2, cause="SUBSTITUTED"), True) for hour in hours[:40] for point in POINTS[:1]]
    world.raw = [world.ledger.block(first), world.ledger.block(again)]
    take(client, world.feed(client), world.messages())
    return client


SUMS = "sum(windows), sum(count), sum(expected), sum(quantity), sum(emission_g), sum(substituted)"
BASE = """SELECT {key}, count(), sum(count), sum(expected), sum(quantity), sum(emission_g),
    countIf(cause = 'SUBSTITUTED') FROM records_latest GROUP BY ALL ORDER BY ALL"""


@pytest.mark.parametrize(
    ("view", "key"),
    [("hours", "toStartOfHour(window_start)"), (f"days(utc_offset_minutes = {EAST})", "subject"),
     (f"months(utc_offset_minutes = {EAST})", "point")],
)  # fmt: skip
def test_a_period_holds_what_its_windows_hold(tables: Any, view: str, key: str) -> None:
    by = {"toStartOfHour(window_start)": "start"}.get(key, key)
    found = tables.query(f"SELECT {by}, {SUMS} FROM {view} GROUP BY ALL ORDER BY ALL").result_rows
    wanted = tables.query(BASE.format(key=key)).result_rows
    assert found == wanted and len(found) > 1 and sum(row[-1] for row in found) == 40


@pytest.mark.parametrize(("view", "column"), [("days", "day"), ("months", "month")])
def test_a_day_begins_where_the_plants_own_does(tables: Any, view: str, column: str) -> None:
    windows = tables.query("SELECT toUnixTimestamp64Milli(window_start), emission_g FROM records_latest").result_rows
    wanted: Counter[Any] = Counter()
    for at_ms, grams in windows:
        day = (datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(minutes=EAST)).date()
        wanted[day.replace(day=1) if view == "months" else day] += grams
    sql = f"SELECT {column}, sum(emission_g) FROM {view}(utc_offset_minutes = {EAST}) GROUP BY {column}"
    assert dict(tables.query(sql).result_rows) == wanted


def test_hours_of_readings_count_the_refused_apart(client: Any) -> None:
    feed, topic = ReadingsFeed(REFERENCE), Topic(topics.READINGS_CODED)
    for sequence in range(1, 8):
        feed.take(topic.put(coded(sequence, 100, NEW_YEAR + 1_800_000 * sequence)))
    feed.flush(client)
    sql = "SELECT sum(readings), sum(refused), sum(normal), sum(total), min(low), max(high) FROM reading_hours"
    base = """SELECT count(), countIf(reason != ''), countIf(reason = '' AND flag = 'N'), sumIf(value, reason = ''),
        minIf(value, reason = ''), maxIf(value, reason = '') FROM readings"""
    assert client.query(sql).result_rows == client.query(base).result_rows
    assert client.query("SELECT uniqExact(start) FROM reading_hours").first_row == (4,)


def test_a_statement_goes_from_what_was_held_before_to_what_is_held_after(client: Any, market: Any) -> None:  # noqa: F811
    run(client, market)
    lines = client.query("SELECT account, line, before, balance FROM statements ORDER BY account, line").result_rows
    assert len(lines) == client.query("SELECT count() FROM postings").first_row[0] > 5
    held: dict[str, tuple[int, int]] = {}
    for account, line, before, balance in lines:
        assert (line - 1, before) == held.get(account, (0, 0))
        held[account] = (line, balance)
    sql = f"SELECT account, opening, closing, lines FROM statement_months(utc_offset_minutes = {EAST})"
    assert {row[0]: row[1:] for row in client.query(sql).result_rows} == {
        account: (0, balance, line) for account, (line, balance) in held.items()
    }


def test_what_was_refused_shows_with_its_stage(tables: Any) -> None:
    refused = tables.query("SELECT count() FROM records WHERE verdict = 'rejected'").first_row[0]
    assert tables.query("SELECT stage, reason, count() FROM errors GROUP BY ALL").result_rows == [
        ("committee", "wrong_sum", refused)
    ]
