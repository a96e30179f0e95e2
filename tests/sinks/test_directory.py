"""Tables `channels`, `subjects` and `members`: told once, at the first flush, and again after a change."""

from typing import Any

from consensus.log.follower import Follower
from consensus.member.publisher import messages_of
from sinks.clickhouse.directory import ALWAYS, STILL, subject_rows
from sinks.clickhouse.feed import Message
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.reference import Reference
from tests.carbon.test_subjects import SALE, WORLD
from tests.consensus.test_registration import Scene, with_a_new_point
from tests.registrars import REGISTRARS
from tests.small import World


def test_a_subsidiary_is_under_each_owner_for_its_time_and_in_its_region_throughout() -> None:
    rows = [row for row in subject_rows(WORLD) if row["subject"] == "mill"]
    assert [(row["start"], row["end"], row["owners"][0], row["regions"][0]) for row in rows] == [
        (ALWAYS, SALE, "old-group", "north"),
        (SALE, STILL, "new-group", "north"),
    ]
    assert [row["end"] for row in subject_rows(WORLD) if row["subject"] == "shop"] == [STILL]


def read(client: Any, scene: Scene) -> None:
    """A life of the sink over a ledger, from the registry of its genesis."""
    first = World.make(registrars=REGISTRARS).registry
    feed = LedgerFeed(Follower(scene.world.genesis), Reference.of(first))
    feed.resume(client)
    for topic, _, value in (message for package in scene.store.kept for message in messages_of(package)):
        if topic in feed.topics:
            feed.take(Message(topic, 0, 0, value))
    feed.flush(client)


def test_the_newest_registry_is_shown_and_the_committee(client: Any) -> None:
    scene = with_a_new_point()
    for _ in range(2):
        read(client, scene)
    shown = client.query("SELECT subject, kind, owners, regions, first > 0 FROM subjects ORDER BY subject").result_rows
    assert shown == [
        ("boiler", "plant", ["plant"], ["region"], 1),
        ("plant", "plant", [], ["region"], 1),
        ("region", "region", [], [], 1),
    ]
    genesis = scene.world.genesis
    assert client.query("SELECT member, role FROM members FINAL ORDER BY `index`").result_rows == [
        (member.name, member.role) for member in genesis.members
    ]
    channel = (genesis.digest.hex(), "test", "replay", 0)
    assert client.query("SELECT channel, name, clock, utc_offset_minutes FROM channels FINAL").result_rows == [channel]
