"""The sink over a change of the registry: the same rows whichever topic was read first, and whenever it restarts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from carbon.validation import Reason
from consensus.log.follower import Follower
from consensus.member.publisher import messages_of
from schemas import codec, topics
from sinks.clickhouse.feed import Feed
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.readings import ReadingsFeed
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.sink import Config, Sink
from tests.consensus.test_registration import BEGINS, NEW, POINT, Scene, with_a_new_point
from tests.registrars import REGISTRARS
from tests.sinks.messages import coded
from tests.small import World

OBJECT = "9" * 24


class Read:
    """A message of a consumer."""

    def __init__(self, topic: str, offset: int, value: bytes) -> None:
        self._fields = topic, offset, value

    def topic(self) -> str:
        return self._fields[0]

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._fields[1]

    def value(self) -> bytes:
        return self._fields[2]

    def timestamp(self) -> tuple[int, int]:
        return 2, 7

    def error(self) -> None:
        return None


class Broker:
    """A consumer that hands out what stands on its topics, all of a topic before the next."""

    def __init__(self, logs: dict[str, list[bytes]], places: dict[str, int]) -> None:
        self._logs, self._next, self._paused = logs, dict.fromkeys(logs, 0) | places, set[str]()

    def consume(self, _: int, __: float) -> list[Read]:
        found = []
        for topic in [topic for topic in self._logs if topic not in self._paused]:
            found += [Read(topic, at, self._logs[topic][at]) for at in range(self._next[topic], len(self._logs[topic]))]
            self._next[topic] = len(self._logs[topic])
        return found

    def get_watermark_offsets(self, place: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, len(self._logs[place.topic])

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(topic, 0) for topic in self._logs]

    def pause(self, places: list[TopicPartition]) -> None:
        self._paused |= {place.topic for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self._paused -= {place.topic for place in places}

    def seek(self, place: TopicPartition) -> None:
        assert place.topic not in self._paused
        self._next[place.topic] = place.offset

    def commit(self, **_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def scene() -> Scene:
    return with_a_new_point()


def readings() -> list[bytes]:
    """What `ingest` wrote: before the point was known, with it, and one more of the point that always was."""
    known = {"gateway": "gw-0", "run": 0}
    fields = codec.decode("coded-packet", coded(1, 4, points=[POINT, NEW], **known))
    unknown = codec.encode("coded-packet", fields | {"reasons": bytes([0, Reason.UNKNOWN_POINT] * 2)})
    return [unknown, coded(2, 4, points=[POINT, NEW], **known), coded(3, 4, points=[POINT], **known)]


def ledger(scene: Scene, heights: int) -> dict[str, list[bytes]]:
    messages = [message for package in scene.store.kept[:heights] for message in messages_of(package)]
    names = (topics.LEDGER_PAYLOADS, topics.LEDGER_BLOCKS)
    return {name: [value for topic, _, value in messages if topic == name] for name in names}


def run(client: Any, scene: Scene, logs: dict[str, list[bytes]], folder: Path) -> Sink:
    """A sink's life: it reads all that it can and ends."""
    reference = Reference.of(World.make(registrars=REGISTRARS).registry)
    blocks = LedgerFeed(Follower(scene.world.genesis), reference)
    feeds: list[Feed] = [ReadingsFeed(reference), blocks]
    places = {topic: offset for feed in feeds for (topic, _), offset in feed.resume(client).items()}
    broker: Any = Broker(logs, places)
    sink = Sink(client, broker, feeds, Config("", folder, reference, batch_seconds=0.0))
    for _ in range(3):
        sink.step()
        if (offset := blocks.read_payloads_again()) is not None:
            broker.seek(TopicPartition(topics.LEDGER_PAYLOADS, 0, offset))
    sink.flush()
    return sink


def tables(client: Any) -> Iterator[list[Any]]:
    yield client.query("SELECT DISTINCT sequence, point, subject, object, scale FROM readings ORDER BY ALL").result_rows
    yield client.query("SELECT DISTINCT height, point, subject, object FROM records ORDER BY ALL").result_rows
    yield client.query("SELECT first, recorded, digest FROM registries FINAL").result_rows


@pytest.mark.parametrize(("is_early", "heights"), [(True, 0), (True, BEGINS - 1), (False, BEGINS)])
def test_rows_of_a_new_point_are_the_same_however_they_were_read(
    client: Any, scene: Scene, tmp_path: Path, is_early: bool, heights: int
) -> None:
    """Readings before the ledger, and that in two parts, or behind it in another life."""
    coded_, whole = {topics.READINGS_CODED: readings()}, ledger(scene, len(scene.store.kept))
    run(client, scene, (coded_ if is_early else {}) | ledger(scene, heights), tmp_path)
    assert run(client, scene, coded_ | whole if is_early else whole | coded_, tmp_path).poisoned == 0
    written = told, recorded, registries = tuple(tables(client))
    old, new = ("plant", scene.now.points[POINT].object, 0), ("boiler", OBJECT, 0)
    assert told == [(1, POINT, *old), (1, NEW, "", "", 0), (2, POINT, *old), (2, NEW, *new), (3, POINT, *old)]
    assert [row for row in recorded if row[1] == NEW] == [(BEGINS, NEW, "boiler", OBJECT)]
    assert len(recorded) == 3 + 4
    assert registries == [(BEGINS, 2, scene.now.digest.hex())]
    for table in ("registries", "ledger_position"):  # as if the crash had come before they were written
        client.command(f"TRUNCATE TABLE {table}")
    run(client, scene, ledger(scene, len(scene.store.kept)), tmp_path)
    assert tuple(tables(client)) == written


def test_what_waits_for_a_registry_stays_on_the_topic(client: Any, scene: Scene, tmp_path: Path) -> None:
    sink = run(client, scene, {topics.READINGS_CODED: readings()} | ledger(scene, 1), tmp_path)
    assert client.query("SELECT DISTINCT sequence FROM readings").result_rows == [(1,)]
    assert (sink.poisoned, sink._held) == (0, {(topics.READINGS_CODED, 0): (1, 1)})
