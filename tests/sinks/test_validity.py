"""The validity of hours and days in SQL is that of `carbon.validity`."""

from typing import Any

from carbon.validity import is_valid_day, is_valid_hour
from tests.sinks.messages import record_payload
from tests.sinks.test_ledger import World, take

EAST = 480
"""Minutes: the first hour of these ledgers is 9 o'clock there."""


def recorded(client: Any, counts: dict[int, int], **fields: Any) -> None:
    world = World(0)
    payloads = [(record_payload("p-coal", hour, count=count, **fields), True) for hour, count in counts.items()]
    world.raw = [world.ledger.block(payloads)]
    take(client, world.feed(client), world.messages())


def test_an_hour_is_valid_in_sql_as_in_python(client: Any) -> None:
    counts = dict(enumerate((0, 1, 44, 45, 46, 60)))
    recorded(client, counts)
    found = client.query("SELECT count, valid FROM valid_hours ORDER BY window_start").result_rows
    assert found == [(count, is_valid_hour(count, 60)) for count in counts.values()]
    assert [count for count, valid in found if valid] == [45, 46, 60]


def test_a_day_is_valid_in_sql_as_in_python(client: Any) -> None:
    # two days of the plant's own clock: 20 valid hours, then 19 and a substituted one
    first = 24 - EAST // 60
    recorded(client, {first + hour: 60 if hour < 20 or 24 <= hour < 43 else 44 for hour in range(48)})
    sql = f"SELECT hours, valid_hours, valid FROM valid_days(utc_offset_minutes = {EAST}) ORDER BY day"
    found = client.query(sql).result_rows
    assert found == [(24, 20, is_valid_day(20)), (24, 19, is_valid_day(19))]
    assert [row[2] for row in found] == [1, 0]


def test_a_substituted_hour_stays_invalid(client: Any) -> None:
    recorded(client, {1: 44}, version=2, cause="SUBSTITUTED")
    assert client.query("SELECT valid, substituted FROM valid_hours").result_rows == [(False, True)]
    totals = "SELECT hours, valid_hours, substituted_hours FROM valid_days(utc_offset_minutes = 0)"
    assert client.query(totals).result_rows == [(1, 0, 1)]
