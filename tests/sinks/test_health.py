"""Table member_views and the changes of the view that are made of it."""

from typing import Any

import pytest

from schemas import topics
from sinks.clickhouse.health import HealthFeed
from tests.sinks.messages import NEW_YEAR, Topic, health

SEEN = {0: [0, 0, 0, 0], 10: [1, 0, 1, 1], 20: [1, 1, 1, 1], 35: [3, 3, 3, 1]}
"""Views of four members by second: view 2 is passed over, and member 3 stays behind in view 1."""
AFTER = f"intDiv(toUnixTimestamp64Milli({{}}) - {NEW_YEAR}, 1000)"
CHANGES = f"SELECT epoch, view, changes, leads, members, {AFTER.format('at')}, height FROM view_changes ORDER BY at"
LAST = f"SELECT member, {AFTER.format('last')} FROM member_views WHERE view = 1 ORDER BY member"


@pytest.fixture
def committee(client: Any) -> Any:
    """Tables with four members and a block every ten seconds."""
    client.command("ALTER TABLE health_log REMOVE TTL")
    for place in range(4):
        client.command(f"INSERT INTO members (channel, index, member) VALUES ('x', {place}, 'member-{place}')")
    times = f"fromUnixTimestamp64Milli({NEW_YEAR} + 10000 * number)"
    client.command(f"INSERT INTO blocks (height, time) SELECT number, {times} FROM numbers(9)")
    return client


def looks() -> list[bytes]:
    """What is told of the members, each of which reads two topics, and at the end of another process."""
    told = [
        health(f"member-{place}", topic, second, None, epoch=0, view=view)
        for second, views in SEEN.items()
        for place, view in enumerate(views)
        for topic in ("consensus.messages", "ledger.blocks")
    ]
    return [*told, health("sink", "alerts", 40, 7)]


def test_a_change_of_the_view_is_seen_once_with_who_leads_and_who_went_along(committee: Any) -> None:
    topic, feed = Topic(topics.PIPELINE_HEALTH), HealthFeed()
    for _ in range(2):  # told again, nothing changes
        for value in looks():
            feed.take(topic.put(value))
        feed.flush(committee)
        assert committee.query(CHANGES).result_rows == [
            (0, 1, 1, "member-1", ["member-0", "member-1", "member-2", "member-3"], 10, 1),
            (0, 3, 2, "member-3", ["member-0", "member-1", "member-2"], 35, 3),
        ]
        seen = [("member-0", 20), ("member-1", 20), ("member-2", 20), ("member-3", 35)]
        assert committee.query(LAST).result_rows == seen
    assert HealthFeed().resume(committee) == {(topics.PIPELINE_HEALTH, 0): 2 * len(looks())}


def test_who_leads_in_an_epoch_that_was_not_read_yet_is_not_known(committee: Any) -> None:
    feed, topic = HealthFeed(), Topic(topics.PIPELINE_HEALTH)
    feed.take(topic.put(health("member-0", "", 0, None, epoch=1, view=2)))
    feed.flush(committee)
    assert committee.query(CHANGES).result_rows == [(1, 2, 2, "", ["member-0"], 0, 0)]


def test_where_no_view_changed_there_is_no_change(committee: Any) -> None:
    feed = HealthFeed()
    feed.take(Topic(topics.PIPELINE_HEALTH).put(health("member-0", "", 0, None, epoch=0, view=0)))
    feed.flush(committee)
    assert committee.query(CHANGES).result_rows == []
    assert committee.query("SELECT sum(changes) FROM view_changes").first_row == (0,)
