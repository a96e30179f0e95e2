"""A topic read beside Faust, on a real broker: ranges, what is not kept any longer, and where a group goes on."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from streams import reread
from streams.faust_app import Health, Kafka, persist
from streams.reread import TopicReader
from tests.streams.pipeline import send

pytestmark = pytest.mark.broker
GROUP = "carbon.test"


@pytest.fixture
def topic(broker: str, topic_factory: Callable[..., str]) -> str:
    name = topic_factory(2)
    send(broker, name, [(None, b"%d" % offset) for offset in range(250)], 1)
    return name


def forget_before(broker: str, topic: str, offset: int) -> None:
    admin = AdminClient({"bootstrap.servers": broker})
    for done in admin.delete_records([TopicPartition(topic, 1, offset)]).values():
        done.result()


def commit(broker: str, topic: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": GROUP, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 1, offset)], asynchronous=False)
    consumer.close()


async def whole(reader: TopicReader, first: int, end: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while first < end and (portion := await reader.portion(1, first, end)):
        assert len(portion) <= reread.PORTION
        found += [(message.offset, message.value) for message in portion]
        first = found[-1][0] + 1
    return found


def test_a_range_is_read_whole_and_in_order(broker: str, topic: str) -> None:
    async def play() -> None:
        reader = TopicReader(Kafka(broker), topic, GROUP)
        try:
            assert await whole(reader, 3, 240) == [(offset, b"%d" % offset) for offset in range(3, 240)]
            assert await reader.read(1, [5, 249, 7]) == {5: b"5", 249: b"249", 7: b"7"}
            assert await reader.read(1, range(20, 240)) == {offset: b"%d" % offset for offset in range(20, 240)}
            assert await whole(reader, 0, 1) == [(0, b"0")]
        finally:
            await reader.close()

    asyncio.run(play())


def test_what_is_not_kept_any_longer_is_left_out(broker: str, topic: str) -> None:
    forget_before(broker, topic, 100)

    async def play() -> None:
        reader = TopicReader(Kafka(broker), topic, GROUP)
        try:
            assert [offset for offset, _ in await whole(reader, 90, 110)] == list(range(100, 110))
            assert await reader.portion(1, 90, 100) == []
            assert await reader.read(1, [99, 5, 120]) == {120: b"120"}
        finally:
            await reader.close()

    asyncio.run(play())


def test_what_is_gone_with_all_that_came_after_it_is_not_waited_for(broker: str, topic: str) -> None:
    forget_before(broker, topic, 250)

    async def play() -> None:
        reader = TopicReader(Kafka(broker), topic, GROUP)
        try:
            assert await asyncio.wait_for(reader.read(1, [5, 249]), 120) == {}
            assert await asyncio.wait_for(reader.read(1, [250, 400]), 120) == {}, "of another life of the topic"
        finally:
            await reader.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("offsets", "ranges"),
    [
        ([], []),
        ([7], [(7, 7)]),
        ([9, 7, 8], [(7, 9)]),
        ([7, 7 + reread.NEAR, 8 + 2 * reread.NEAR], [(7, 7 + reread.NEAR), (8 + 2 * reread.NEAR,) * 2]),
    ],
)
def test_what_is_far_apart_is_not_read_through(offsets: list[int], ranges: list[tuple[int, int]]) -> None:
    assert reread._ranges(offsets) == ranges


def test_a_group_goes_on_where_it_committed_or_at_what_is_kept(broker: str, topic: str, tmp_path: Path) -> None:
    health = Health(tmp_path / "health.json")

    async def starts() -> tuple[int, dict[int, int]]:
        reader = TopicReader(Kafka(broker), topic, GROUP)
        try:
            # a broker that has just started knows no coordinator yet
            return await persist(partial(reader.start, 1), health, "start"), await reader.ends([0, 1])
        finally:
            await reader.close()

    ends = {0: 0, 1: 250}
    assert asyncio.run(starts()) == (0, ends)
    commit(broker, topic, 40)
    with capture_logs() as said:
        assert asyncio.run(starts()) == (40, ends)
    assert not [one for one in said if "kept" in one["event"]]
    forget_before(broker, topic, 100)
    with capture_logs() as said:
        assert asyncio.run(starts()) == (100, ends)
    about = {"topic": topic, "partition": 1, "first": 40, "last": 99, "log_level": "warning"}
    assert {"event": "messages are not kept any longer", **about} in said
