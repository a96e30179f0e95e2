"""A batch with a row that the engine refuses is halved until that row's message stands alone; the rest goes in."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from sinks.clickhouse.engine import UnfitError
from sinks.clickhouse.feed import insert_fit
from sinks.clickhouse.readings import ReadingsFeed
from sinks.clickhouse.rows import deliveries_feed, rejections_feed
from sinks.clickhouse.sink import Config, Sink
from tests.sinks.messages import REFERENCE, Topic, coded, delivery, rejection
from tests.sinks.test_ledger import World, column


@given(st.integers(1, 200), st.sets(st.integers(0, 199)))
@settings(max_examples=50, deadline=None)
def test_all_that_fits_goes_in_once_and_in_order(count: int, bad: set[int]) -> None:
    inserted, told, tries = list[int](), list[int](), 0

    def insert(items: Sequence[int]) -> None:
        nonlocal tries
        tries += 1
        if bad & set(items):
            raise UnfitError("bad")
        inserted.extend(items)

    insert_fit(range(count), insert, lambda item, _: told.append(item))
    assert inserted == [item for item in range(count) if item not in bad]
    assert told == sorted(bad & set(range(count)))
    assert tries <= 1 + 2 * len(told) * count.bit_length()


class Broker:
    """A consumer that commits to nobody."""

    def commit(self, **_: Any) -> None:
        """Nobody reads the lag."""


def sink(client: Any, tmp_path: Path, *feeds: Any) -> Sink:
    broker: Any = Broker()
    return Sink(client, broker, feeds, Config("", tmp_path, REFERENCE))


ERRORS = "SELECT `offset` FROM sink_errors WHERE topic = '{}' ORDER BY 1"


def test_a_rejection_that_the_table_refuses_is_kept_as_an_error(client: Any, tmp_path: Path) -> None:
    client.command("ALTER TABLE rejections_log ADD CONSTRAINT odd CHECK source_offset NOT IN (3, 17)")
    feed, topic = rejections_feed(), Topic(topics.READINGS_REJECTED)
    for number in range(20):
        feed.take(topic.put(rejection(number, 2)))
    sink(client, tmp_path, feed).flush()
    assert column(client, ERRORS.format(topics.READINGS_REJECTED)) == [3, 17]
    assert column(client, "SELECT count() FROM rejections") == [36]


def test_a_figure_beyond_its_column_is_an_error_of_its_message_alone(client: Any, tmp_path: Path) -> None:
    client.command("ALTER TABLE deliveries_log REMOVE TTL")
    feed, topic = deliveries_feed(), Topic(topics.ALERTS_DELIVERIES)
    for attempt, status in ((1, 500), (2, 70_000), (3, 204)):
        feed.take(topic.put(delivery(attempt, "failed", status=status)))
    sink(client, tmp_path, feed).flush()
    assert column(client, "SELECT status FROM deliveries ORDER BY attempt") == [500, 204]
    assert column(client, ERRORS.format(topics.ALERTS_DELIVERIES)) == [1]


def test_a_packet_is_left_out_whole(client: Any, tmp_path: Path) -> None:
    client.command("ALTER TABLE readings ADD CONSTRAINT odd CHECK NOT (sequence = 5 AND `index` = 2)")
    feed, topic = ReadingsFeed(REFERENCE), Topic(topics.READINGS_CODED)
    for sequence in range(1, 10):
        feed.take(topic.put(coded(sequence)))
    sink(client, tmp_path, feed).flush()
    assert column(client, "SELECT DISTINCT sequence FROM readings ORDER BY 1") == [1, 2, 3, 4, 6, 7, 8, 9]
    assert column(client, "SELECT count() FROM readings") == [48]
    assert column(client, ERRORS.format(topics.READINGS_CODED)) == [4]


def test_an_error_is_kept_before_what_comes_behind_it(client: Any, tmp_path: Path) -> None:
    """The table goes on after its greatest offset: a crash in between must not lose the error."""
    client.command("ALTER TABLE rejections_log ADD CONSTRAINT odd CHECK source_offset != 1")
    feed, topic = rejections_feed(), Topic(topics.READINGS_REJECTED)
    for number in range(4):
        feed.take(topic.put(rejection(number)))
    order = list[str]()
    original = client.insert_arrow

    def insert_arrow(table: str, *args: Any, **more: Any) -> Any:
        done = original(table, *args, **more)
        order.append(table)
        return done

    client.insert_arrow = insert_arrow
    sink(client, tmp_path, feed).flush()
    assert order == ["rejections_log", "sink_errors_log", "rejections_log"]


def test_nothing_certified_is_left_out(client: Any, tmp_path: Path) -> None:
    client.command("ALTER TABLE records ADD CONSTRAINT odd CHECK leaf_index != 2")
    world = World(2)
    feed = world.feed(client)
    for message in world.messages():
        feed.take(message)
    with pytest.raises(UnfitError):
        sink(client, tmp_path, feed).flush()
    assert column(client, "SELECT count() FROM blocks") == [0]


def test_what_is_nobodys_fault_stops_the_sink(client: Any, tmp_path: Path) -> None:
    client.command("DROP TABLE rejections_log")
    feed = rejections_feed()
    feed.take(Topic(topics.READINGS_REJECTED).put(rejection(random.randrange(9))))
    with pytest.raises(DatabaseError):
        sink(client, tmp_path, feed).flush()
