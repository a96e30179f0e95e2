"""The member's Kafka clients: the committee's wire, and the topics that it reads evidence, batches and blocks from.

Kafka is only a wire: nothing counts for having arrived here. Positions are kept by the member, not by a group; they are
committed under a group of its own only so that `status` can show its lag.
"""

import time
from collections import Counter
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas import topics, tracing

TO_ALL = b""
_BOUNDED = {"queued.max.messages.kbytes": "16384", "fetch.queue.backoff.ms": "10"}
"""By default a full queue is not filled again for a second."""
_BETWEEN_TURNS = {"queued.min.messages": "1", "fetch.queue.backoff.ms": "5"}
"""Fetch again only once what came is read: a busy member asks once a turn for votes, not once for each that comes. What
a broker does for one small message with seven readers is mostly the fetching."""


def _consumer(kafka: dict[str, str], group: str, pace: dict[str, str]) -> Consumer:
    own = {"group.id": group, "enable.auto.commit": "false", "auto.offset.reset": "earliest"}
    return Consumer(kafka | own | pace)


def good(messages: list[Message]) -> Iterator[Message]:
    """The messages of a poll that are messages; errors of the broker pass by themselves, the client reconnects."""
    for message in messages:
        if message.error() is None:
            yield message
        elif message.error().code() != KafkaError._PARTITION_EOF:
            time.sleep(0.05)


def _taken(consumer: Consumer, more: int, timeout: float) -> list[Message]:
    """The first message, waited for, and at most so many more that are here already."""
    first = consumer.poll(timeout)
    return [] if first is None else list(good([first, *consumer.consume(more, 0)]))


class Wire:
    """Everything that a member reads and writes on Kafka."""

    def __init__(self, kafka: dict[str, str], name: str, partition: int) -> None:
        self._partition = partition
        self._group = f"carbon.{name}"
        self._producer = Producer(
            kafka | {"linger.ms": "0", "enable.idempotence": "true", "message.max.bytes": "8000000"}
        )
        self._votes = _consumer(kafka, self._group, _BOUNDED | _BETWEEN_TURNS)
        self._sources = _consumer(kafka, self._group, _BOUNDED)

    def end(self, topic: str, partition: int) -> int:
        """The offset behind the newest message. Waits for the broker."""
        while True:
            try:
                return int(self._sources.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)[1])
            except KafkaException:
                time.sleep(0.5)

    def partitions(self, topic: str) -> list[int]:
        """The partitions of a topic. Waits for the broker."""
        while True:
            try:
                found = self._sources.list_topics(topic, timeout=5).topics[topic]
                if found.partitions:
                    return sorted(found.partitions)
            except (KafkaException, KeyError):
                pass
            time.sleep(0.5)

    def start(self, sources: dict[tuple[str, int], int]) -> None:
        """Read votes from now on, and the other topics from the given offsets."""
        now = self.end(topics.CONSENSUS_MESSAGES, self._partition)
        self._votes.assign([TopicPartition(topics.CONSENSUS_MESSAGES, self._partition, now)])
        self.go_back(sources)

    def go_back(self, sources: dict[tuple[str, int], int]) -> None:
        """Read sources from other places on."""
        self._sources.assign([TopicPartition(*place, offset) for place, offset in sources.items()])

    def votes(self, timeout: float) -> list[Message]:
        """Messages of the committee: waits for the first for `timeout` seconds, and for no other."""
        return _taken(self._votes, 500, timeout)

    def sources(self, count: int, timeout: float) -> list[Message]:
        """Packets, batches and blocks, as many as are here: waits for the first for `timeout` seconds."""
        return _taken(self._sources, count - 1, timeout)

    def send(self, message: bytes, to: int | None) -> None:
        """Send to all members, or to one; the others pass over it."""
        key = TO_ALL if to is None else b"%d" % to
        self.produce(topics.CONSENSUS_MESSAGES, key, message)

    def produce(self, topic: str, key: bytes, value: bytes, headers: tracing.Headers = ()) -> None:
        """Send a message to the channel's partition of a topic; waits while the client's buffer is full."""
        more = {"headers": list(headers)} if headers else {}
        while True:
            try:
                self._producer.produce(topic, value, key, partition=self._partition, **more)
                return
            except BufferError:
                self._producer.poll(0.1)

    def pump(self) -> None:
        """Let the clients do their work."""
        self._producer.poll(0)

    def flush(self, seconds: float) -> bool:
        """Wait until everything is delivered; whether it was."""
        return int(self._producer.flush(seconds)) == 0

    def show_lag(self, places: dict[tuple[str, int], int]) -> None:
        """Commit positions for `status` to show."""
        offsets = [TopicPartition(*place, offset) for place, offset in places.items()]
        self._sources.commit(offsets=offsets, asynchronous=True)

    def lags(self, places: dict[tuple[str, int], int]) -> Counter[str]:
        """Messages of each topic behind these places, as the broker last said."""
        waiting = Counter[str]()
        for (topic, partition), offset in places.items():
            _, end = self._sources.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            waiting[topic] += max(0, end - offset)
        return waiting

    def close(self) -> None:
        """Leave the broker."""
        self._producer.flush(2)
        self._votes.close()
        self._sources.close()
