"""Backpressure: whoever writes a topic waits while the topic's reader is too far behind.

    devices ◀─ disk bound ─ gateway ◀─ lag ─ ingest ◀─ lag ─ aggregate ◀─ unconfirmed records ─ the committee

What a reader has committed says how far behind it is, so slowness travels upstream by Kafka's own account, without a
word between processes. It only ever delays: what waits, waits on the disk of whoever holds it back.
"""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

INGEST, AGGREGATE = "carbon.ingest", "carbon.aggregate"
"""The consumer groups whose lag holds back those before them."""
MOST_BEHIND = 2_000
"""Packets that may wait for a reader before its writer waits too."""
LOOK_EVERY = 1.0
_ASK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


def holds(behind: int, most: int, *, held: bool) -> bool:
    """Whether a writer waits: from `most` messages on, and then until half of them are done."""
    return behind > (most // 2 if held else most)


class Downstream:
    """How far a consumer group is behind on a topic, looked at once a second at most. Used by one thread.

    `kafka` is by librdkafka's names. Without an answer, for a broker that is away or a right that this client lacks,
    what was known stays: a broker that is away takes nothing anyhow.
    """

    def __init__(self, kafka: Mapping[str, str], group: str, topic: str, most: int = MOST_BEHIND) -> None:
        settings = {"log_level": "2", **kafka, "group.id": group, "enable.auto.commit": "false"}
        self._consumer = Consumer(settings)
        self._topic, self._most = topic, most
        self._places: list[TopicPartition] = []
        self._looked = 0.0
        self.behind = 0
        """Messages that the group has not done, as last seen."""
        self.held = False
        """Whether the topic's writer should wait."""

    def look(self) -> bool:
        """Whether to wait now. Asks the broker, for a second or two at most, if the last answer is old."""
        if time.monotonic() - self._looked >= LOOK_EVERY:
            try:
                self.behind = self._ask()
            except KafkaException as error:
                _log.debug("the lag is not known", reason=str(error))
            self._note()
            self._looked = time.monotonic()
        return self.held

    def _note(self) -> None:
        held = holds(self.behind, self._most, held=self.held)
        if held != self.held:
            _log.warning("waits for its reader" if held else "goes on", topic=self._topic, behind=self.behind)
        self.held = held

    def _ask(self) -> int:
        # a group's offsets are asked by a plain consumer that never joins: the admin client can crash (infra.watch)
        if not self._places:
            found = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic]
            self._places = [TopicPartition(self._topic, partition) for partition in found.partitions]
        return sum(map(self._behind, self._consumer.committed(self._places, timeout=_ASK_SECONDS)))

    def _behind(self, place: TopicPartition) -> int:
        low, high = self._consumer.get_watermark_offsets(place, timeout=_ASK_SECONDS)
        return int(high - max(place.offset, low))

    def state(self) -> dict[str, Any]:
        """For a status: `held`, and how many messages its reader is `behind`."""
        return {"held": self.held, "behind": self.behind}

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
