"""The guard without a broker: what Faust leaves out is read again, in order, before what came after it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from structlog.testing import capture_logs

from schemas.observed import Observed
from streams import faust_app
from streams.faust_app import Health, Kafka
from streams.guard import Expected, Guard

TOPIC = "some.topic"


def message(offset: int, partition: int = 0) -> Any:
    return SimpleNamespace(topic=TOPIC, partition=partition, offset=offset, key=b"k", value=b"%d" % offset)


@dataclass
class PartitionLog:
    """Partitions that hold the offsets from `kept` to `end`, with the group's committed offset."""

    end: int = 10
    kept: int = 0
    committed: int = 0
    failures: int = 0
    portions: list[tuple[int, int]] = field(default_factory=list)
    starts: int = 0

    async def start(self, partition: int) -> int:
        self.starts += 1
        return max(self.kept, self.committed)

    async def portion(self, partition: int, first: int, end: int) -> list[Any]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no broker")
        self.portions.append((first, end))
        return [message(offset, partition) for offset in range(max(self.kept, first), end)][:3]

    async def ends(self, partitions: list[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, self.end)


class Stream:
    """What Faust hands on, message by message; then it waits for ever, or ends."""

    def __init__(self, handed: Sequence[Any], *, ends: bool = False) -> None:
        self._handed, self._ends = list(handed), ends
        self.acks = True

    def noack(self) -> "Stream":
        self.acks = False
        return self

    async def events(self) -> AsyncIterator[Any]:
        for one in self._handed:
            yield SimpleNamespace(message=one)
        if not self._ends:
            await asyncio.Event().wait()


class App:
    """The part of a Faust app that the guard sees; it is the consumer as well."""

    def __init__(self) -> None:
        self.consumer, self.rebalancing = self, False
        self.done: list[tuple[int, int]] = []
        self.sought: list[dict[TP, int]] = []

    def handled(self, place: TP, offset: int) -> None:
        self.done.append((place.partition, offset))

    def assignment(self) -> set[TP]:
        return {TP(TOPIC, 0), TP("another.topic", 0)}

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought.append(offsets)


class Play:
    """An agent behind a guard that notes the offsets that it was given, and acknowledges each."""

    def __init__(self, log: PartitionLog, folder: Path) -> None:
        self.app, self.log = App(), log
        self.guard = Guard(self.app, TOPIC, log, Health(folder / "health.json"))
        self.given: list[tuple[int, int]] = []

    async def take(self, handed: Sequence[Any]) -> None:
        async for one in self.guard.messages(Stream(handed, ends=True)):
            self.given.append((one.message.partition, one.message.offset))
            assert one.message.value == b"%d" % one.message.offset
            assert self.given[-1] not in self.app.done, "acknowledged before the agent said so"
            one.ack()

    def offsets(self, *handed: int) -> list[int]:
        asyncio.run(self.take([message(offset) for offset in handed]))
        assert self.app.done == self.given
        return [offset for _, offset in self.given]


def test_what_faust_leaves_out_is_handed_on_before_the_next_message(tmp_path: Path) -> None:
    play = Play(PartitionLog(), tmp_path)
    assert play.offsets(4, 5, 9) == list(range(10))
    assert play.log.portions == [(0, 4), (3, 4), (6, 9)], "in portions, and nothing twice"


def test_a_partition_begins_at_the_committed_offset(tmp_path: Path) -> None:
    assert Play(PartitionLog(committed=3), tmp_path).offsets(5) == [3, 4, 5]


def test_a_repeat_is_handed_on_and_changes_nothing(tmp_path: Path) -> None:
    play = Play(PartitionLog(committed=3), tmp_path)
    assert play.offsets(3, 4, 1, 2, 5) == [3, 4, 1, 2, 5]
    assert play.log.portions == []


def test_partitions_are_apart(tmp_path: Path) -> None:
    play = Play(PartitionLog(), tmp_path)
    asyncio.run(play.take([message(1, 0), message(0, 1), message(2, 0), message(2, 1)]))
    assert play.given == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (1, 2)]


@pytest.mark.parametrize(("kept", "given"), [(2, [0, 2, 3, 4]), (4, [0, 4])])
def test_what_the_broker_keeps_no_longer_is_skipped_with_a_warning(tmp_path: Path, kept: int, given: list[int]) -> None:
    play = Play(PartitionLog(), tmp_path)

    async def expire() -> None:
        async for one in play.guard.messages(Stream([message(0), message(4)], ends=True)):
            play.given.append((0, one.message.offset))
            play.log.kept = kept

    with capture_logs() as said:
        asyncio.run(expire())
    assert [offset for _, offset in play.given] == given
    about = {"topic": TOPIC, "partition": 0, "first": 1, "last": kept - 1, "log_level": "warning"}
    assert {"event": "messages are not kept any longer", **about} in said


def test_while_the_broker_is_away_it_waits_and_says_so(tmp_path: Path) -> None:
    play = Play(PartitionLog(failures=2), tmp_path)
    assert play.offsets(2) == [0, 1, 2]


def test_after_an_assignment_the_committed_offset_is_asked_for_again(tmp_path: Path) -> None:
    play = Play(PartitionLog(), tmp_path)

    async def assigned_anew() -> None:
        handed = [message(0), message(1), message(7)]
        async for one in play.guard.messages(Stream(handed, ends=True)):
            play.given.append((0, one.message.offset))
            if one.message.offset == 1:
                play.log.committed = 6
                await play.guard.assigned(play.app, {TP(TOPIC, 0)})

    asyncio.run(assigned_anew())
    assert [offset for _, offset in play.given] == [0, 1, 6, 7]
    assert play.log.starts == 2


# -- the end of a partition


def looks(play: Play, handed: Sequence[int], *, rebalancing: bool = False, busy: bool = False) -> list[Any]:
    """Two looks after these offsets were handed on; what Faust was sent back to."""

    async def run() -> None:
        agent = play.guard.messages(Stream([message(offset) for offset in handed]))
        for _ in handed:
            await anext(agent)
        waiting = None if busy else asyncio.ensure_future(anext(agent))
        await asyncio.sleep(0)
        play.app.rebalancing = rebalancing
        await play.guard.look()
        assert play.app.sought == [], "a message may just be under way"
        await play.guard.look()
        if waiting is not None:
            waiting.cancel()

    asyncio.run(run())
    return play.app.sought


def test_faust_is_sent_back_to_what_it_leaves_out_at_the_end(tmp_path: Path) -> None:
    assert looks(Play(PartitionLog(end=4), tmp_path), [0, 1]) == [{TP(TOPIC, 0): 2}]


def test_faust_is_sent_back_when_it_hands_on_nothing_at_all(tmp_path: Path) -> None:
    assert looks(Play(PartitionLog(end=4, committed=3), tmp_path), []) == [{TP(TOPIC, 0): 3}]


@pytest.mark.parametrize("state", [{"rebalancing": True}, {"busy": True}])
def test_faust_is_left_alone_while_the_agent_works_or_partitions_move(tmp_path: Path, state: dict[str, bool]) -> None:
    assert looks(Play(PartitionLog(end=4), tmp_path), [0, 1], **state) == []


def test_faust_is_left_alone_at_the_end_of_the_log(tmp_path: Path) -> None:
    assert looks(Play(PartitionLog(end=2), tmp_path), [0, 1]) == []


def test_only_what_stays_behind_is_stuck() -> None:
    expected = Expected()
    expected.raise_to(0, 5)
    expected.raise_to(1, 5)
    assert expected.stuck({0: 7, 1: 5}) == {}
    expected.raise_to(0, 6)
    assert expected.stuck({0: 7, 1: 7}) == {}
    assert expected.stuck({0: 7, 1: 7}) == {0: 6, 1: 5}
    assert expected.stuck({}) == {}
    assert expected.stuck({0: 7, 1: 7}) == {}, "between two looks the agent was at work"


# -- what is committed


def test_only_what_the_agent_acknowledges_is_committed(tmp_path: Path) -> None:
    """Faust acknowledges what it skips, and commits the first acknowledged offset wherever it stands."""

    async def committable() -> list[dict[TP, int]]:
        app, place, other = (
            faust_app.new_app("test", Kafka("127.0.0.1:1"), tmp_path, Observed()),
            TP(TOPIC, 0),
            TP(TOPIC, 1),
        )
        consumer = app.consumer
        app.topics._acking_topics.add(TOPIC)

        def due() -> dict[TP, int]:
            found: dict[TP, int] = consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks())
            return found

        skipped = ConsumerMessage(TOPIC, 0, 7, 0.0, 0, [], b"", b"", None, tp=place)
        skipped.incref()
        assert skipped.ack(consumer)
        await consumer._add_gap(place, 2, 6)
        first = due()
        consumer.handled(other, 3)
        consumer.handled(other, 2)
        return [first, due(), due()]

    assert asyncio.run(committable()) == [{}, {TP(TOPIC, 1): 4}, {}]
