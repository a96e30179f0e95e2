"""How a run stands by the broker's own account: the lag of consumer groups, and the height of the ledger.

For `status` and the progress display only. Nothing here is verified; who wants to know verifies the ledger. Asked is by
plain consumers that join no group: the admin client's answer about a group's offsets crashed the interpreter (a
segmentation fault in confluent-kafka 2.16.0) while a broker's coordinator was starting.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.topics import unreachable
from schemas.topics import LEDGER_BLOCKS, RECORDS_PROPOSED

_TIMEOUT = 10.0
_AGE_TIMEOUT = 1.0
_NOBODY = "carbon.status"
"""The group of who asks for no group's sake."""
AGGREGATE_HEALTH = Path("stores", "aggregate", "aggregate.health.json")
"""Where the aggregator says how it stands, below the data folder."""
_LAST_BLOCKS = 16
"""How many of the newest messages are looked at: several members may publish the same block, and an old one again."""


@dataclass(frozen=True)
class Stage:
    """What waits before one reader of a topic: messages that `group` has not done, and the oldest one's age in seconds.

    The age is by the broker's clock of arrival; None when nothing waits, or the broker did not say in time. `done` is
    how many messages lie before what the group has committed; None for the committee.
    """

    group: str
    topic: str
    waiting: int
    oldest: float | None
    done: int | None = None


def stages(client: Mapping[str, str], groups: Iterable[str], data: Path) -> list[Stage]:
    """Every stage of the pipeline that a group stands for, asked once. Raises EnvironmentFault: see `Watch.stages`."""
    with contextlib.closing(Watch(client)) as watch:
        return watch.stages(groups, data)


class Watch:
    """Asks again and again by the same consumers, one a group and one for all else. Used by one thread."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self._client = client
        self._consumers: dict[str, Any] = {}

    def stages(self, groups: Iterable[str], data: Path) -> list[Stage]:
        """Every stage of the pipeline that a group stands for, and last the committee, by the aggregator's own account.

        Raises EnvironmentFault when the broker doesn't answer.
        """
        from confluent_kafka import KafkaException

        asked, ends = sorted(groups), dict[tuple[str, int], int]()
        try:
            places = self._places() if asked else []
            found = [stage for group in asked for stage in self._group(group, places, ends)]
        except KafkaException as error:
            raise unreachable(self._client, error) from error
        return [*found, *_committee(data)]

    def close(self) -> None:
        """Leave the broker."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers.clear()

    def _consumer(self, group: str) -> Any:
        if group not in self._consumers:
            self._consumers[group] = _consumer(self._client, group)
        return self._consumers[group]

    def _places(self) -> list[tuple[str, int]]:
        topics = self._consumer(_NOBODY).list_topics(timeout=_TIMEOUT).topics
        return [(name, number) for name, topic in topics.items() for number in topic.partitions]

    def _group(
        self, group: str, places: Iterable[tuple[str, int]], ends: dict[tuple[str, int], int]
    ) -> Iterator[Stage]:
        """What waits for a group. `ends` are those of partitions that were asked for already at this look."""
        from confluent_kafka import TopicPartition

        now, asker = time.time(), self._consumer(_NOBODY)
        committed = self._consumer(group).committed([TopicPartition(*place) for place in places], timeout=_TIMEOUT)
        offsets = {(p.topic, p.partition): p.offset for p in committed if p.offset >= 0}
        ends |= {place: _end(asker, place) for place in offsets.keys() - ends.keys()}
        behind = {place: (offset, ends[place]) for place, offset in offsets.items()}
        ages = _ages(asker, {place: offset for place, (offset, end) in behind.items() if offset < end}, now)
        for topic in sorted({topic for topic, _ in behind}):
            waiting = sum(max(0, end - offset) for (name, _), (offset, end) in behind.items() if name == topic)
            oldest = [age for (name, _), age in ages.items() if name == topic]
            done = sum(offset for (name, _), (offset, _) in behind.items() if name == topic)
            yield Stage(group, topic, waiting, max(oldest, default=None), done)


def _ages(consumer: Any, places: Mapping[tuple[str, int], int], now: float) -> dict[tuple[str, int], float]:
    """How long the message at each of these offsets has been there, in seconds, as far as the broker says in time."""
    from confluent_kafka import TopicPartition

    ages = dict[tuple[str, int], float]()
    for place, offset in places.items():
        consumer.assign([TopicPartition(*place, offset)])
        message = consumer.poll(_AGE_TIMEOUT)
        if message is not None and message.error() is None:
            ages[place] = round(max(0.0, now - message.timestamp()[1] / 1000), 1)
    if places:
        consumer.unassign()
    return ages


def _committee(data: Path) -> Iterator[Stage]:
    try:
        state = json.loads((data / AGGREGATE_HEALTH).read_text())
        yield Stage("committee", RECORDS_PROPOSED, state["unconfirmed_batches"], state["oldest_seconds"] or None)
    except (OSError, ValueError, KeyError):
        return  # it has not begun yet, or runs elsewhere


def _consumer(client: Mapping[str, str], group: str) -> Any:
    """A consumer that only asks, and fetches no more than it is asked for."""
    from confluent_kafka import Consumer

    own = {"group.id": group, "enable.auto.commit": False, "log_level": 0}
    own |= {"queued.min.messages": 1, "fetch.message.max.bytes": 1_024, "fetch.queue.backoff.ms": 10}
    return Consumer({**client, **own})


def _end(consumer: Any, place: tuple[str, int]) -> int:
    from confluent_kafka import TopicPartition

    return int(consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT)[1])


def ledger_height(client: Mapping[str, str]) -> int | None:
    """The greatest height among the newest messages of `ledger.blocks`, by their keys; None when there is none.

    Raises EnvironmentFault when the broker doesn't answer.
    """
    from confluent_kafka import KafkaException, TopicPartition

    with contextlib.closing(_consumer(client, _NOBODY)) as consumer:
        try:
            end = _end(consumer, (LEDGER_BLOCKS, 0))
            first = max(0, end - _LAST_BLOCKS)
            consumer.assign([TopicPartition(LEDGER_BLOCKS, 0, first)])
            messages = consumer.consume(end - first, timeout=_TIMEOUT) if end else []
        except KafkaException as error:
            raise unreachable(client, error) from error
    heights = [int.from_bytes(m.key(), "big") for m in messages if not m.error() and m.key() is not None]
    return max(heights, default=None)
