"""What processors of the ledger share: reading it, sending what they make of it, and then keeping where they stand.

Output before state before offset: after a crash the same bytes are sent again, and a block is taken in once.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from opentelemetry.trace import SpanContext

from carbon import alert as alerts
from carbon.refusal import label
from carbon.registry import Registry
from consensus import registration
from consensus.log.follower import Follower, Position
from consensus.log.genesis import Genesis
from consensus.log.reader import Asker, LedgerReader, OpenedBlock
from schemas import codec, topics, tracing
from schemas.metrics import HEIGHT, LAG, QUEUE, REJECTIONS, Figure
from schemas.observed import Observed

MOST_TRACED = 1_024
"""Blocks whose traces are remembered until they are taken in."""
_SOURCES = (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)


class Followed(Protocol):
    """Where a processor stands: after a height, and the place in each topic to go on from.

    `registrations` are the payloads of the accepted changes of the registry, by the height from which each is in force.
    """

    position: Position | None
    offsets: dict[str, int]
    registrations: dict[int, bytes]


class LedgerProcessor(ABC):
    """A processor's shell. `registry` is that of the genesis, `kafka` passed to the clients as it is."""

    def __init__(
        self,
        kafka: dict[str, str],
        genesis: Genesis,
        registry: Registry,
        group: str,
        standing: Followed,
        observed: Observed | None = None,
    ) -> None:
        self._genesis, self._standing = genesis, standing
        self._observed = observed or Observed()
        self._registries = {0: registry}
        for record in standing.registrations.values():
            registration.adopt(self._registries, record)
        self._reader = LedgerReader(Follower(genesis, standing.position))
        self._producer = Producer(kafka | {"enable.idempotence": "true", "linger.ms": "5"})
        self._consumer = Consumer(
            kafka | {"group.id": group, "enable.auto.commit": "false", "auto.offset.reset": "earliest"}
        )
        self._asker = Asker()
        self._offsets = dict.fromkeys(_SOURCES, 0) | standing.offsets
        self._consumer.assign([self._place(topic) for topic in _SOURCES])
        self._paused: set[str] = set()
        self._undelivered: list[str] = []
        self._traces: dict[int, SpanContext] = {}
        """Where blocks that are not taken in yet came from, by height."""
        self._group = group
        self._headers: tracing.Headers = ()
        self._lags: dict[str, int] = {}
        self._observed.shows("processor", self.figures)

    @abstractmethod
    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        """Take in the next block and send what follows from it. `registry` is in force at its height."""

    @abstractmethod
    def _write(self) -> None:
        """Keep where it stands, with all that it knows, in one transaction."""

    def _place(self, topic: str) -> TopicPartition:
        return TopicPartition(topic, self._genesis.partition, self._offsets[topic])

    def step(self, timeout: float = 0.5) -> bool:
        """Read what there is and take in the blocks that are complete; whether there was anything to do."""
        if self._observed.turned():
            self._lags = {topic: self._lag(topic) for topic in _SOURCES}
        self._pace()
        messages = self._consumer.consume(2_000, timeout)
        for message in messages:
            self._take(message)
        opened = list(self._reader.ready())
        for block in opened:
            self._post(block)
        if opened:
            self._keep()
        self._ask()
        return bool(messages)

    def ends(self, seconds: float) -> dict[str, int]:
        """Where the topics of the ledger end now, asked for at most so long each. Raises KafkaException."""
        places = [self._place(topic) for topic in _SOURCES]
        return {place.topic: self._consumer.get_watermark_offsets(place, seconds)[1] for place in places}

    def has_read(self, ends: Mapping[str, int]) -> bool:
        """Whether everything before these offsets is read, and every block there taken in."""
        return all(self._offsets[topic] >= end for topic, end in ends.items()) and self._reader.oldest_block is None

    def _ask(self) -> None:
        """Ask the committee for payloads that don't come."""
        lacking = self._reader.lacking
        request = self._asker.due(lacking, time.monotonic_ns() // 1_000_000)
        if request is not None and lacking is not None:
            place, key = self._genesis.partition, lacking.to_bytes(8, "big")
            self._producer.produce(topics.LEDGER_REQUESTS, request, key, place)

    def _pace(self) -> None:
        """Let neither topic run so far ahead of the other that what waits would have to be let go."""
        wanted = {topics.LEDGER_BLOCKS: self._reader.wants_blocks, topics.LEDGER_PAYLOADS: self._reader.wants_payloads}
        for topic, wants in wanted.items():
            if wants == (topic in self._paused):
                (self._consumer.resume if wants else self._consumer.pause)([self._place(topic)])
                self._paused ^= {topic}

    def _take(self, message: Message) -> None:
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                time.sleep(0.2)
            return
        topic = message.topic()
        self._offsets[topic] = message.offset() + 1
        if topic == topics.LEDGER_BLOCKS:
            self._reader.offer_block(message.value() or b"", message.offset())
            if (parent := tracing.parent_of(message)) is not None and len(self._traces) < MOST_TRACED:
                self._traces.setdefault(int.from_bytes(message.key() or b"", "big"), parent)
        else:
            self._reader.offer_payload(message.key() or b"", message.value() or b"", message.offset())

    def _post(self, block: OpenedBlock) -> None:
        for leaf in block.leaves:
            change = registration.follow(self._registries, leaf.leaf.leaf, leaf.payload)
            if change is not None:
                self._standing.registrations[change.first] = leaf.payload
        for reason, count in zip(*np.unique(block.block.columns["reason"], return_counts=True), strict=True):
            if reason:
                self._observed.count(REJECTIONS, label(int(reason)), by=int(count))
        height = block.block.height
        with tracing.span(self._group, self._traces.pop(height, None), height=height) as self._headers:
            self._take_in(block, self._registries[registration.in_force(self._registries, height)])
        self._standing.position = block.position

    def _alert(self, alert: alerts.Alert) -> None:
        headers = alerts.headers(alert, self._genesis.origin)
        self._send(topics.ALERTS, alert["id"], codec.encode("alert", alert), headers)

    def _send(self, topic: str, key: str, value: bytes, headers: tracing.Headers = ()) -> None:
        every = [*self._headers, *headers]
        more = {"headers": every} if every else {}
        self._producer.produce(topic, value, key.encode(), on_delivery=self._delivered, **more)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._undelivered.append(str(error))

    def _keep(self) -> None:
        """Output before state before offset. Raises RuntimeError when a message could not be delivered."""
        if self._producer.flush(30) or self._undelivered:
            raise RuntimeError(
                f"messages could not be delivered: {self._undelivered[:1]}; the last blocks will be taken in again"
            )
        oldest = {topics.LEDGER_BLOCKS: self._reader.oldest_block, topics.LEDGER_PAYLOADS: self._reader.oldest_payload}
        self._standing.offsets = {
            topic: read if (waiting := oldest[topic]) is None else waiting for topic, read in self._offsets.items()
        }
        self._write()
        self._observed.committed()
        self._consumer.commit(offsets=[self._place(topic) for topic in _SOURCES], asynchronous=True)

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        for topic, count in self._lags.items():
            yield LAG.of(count, topic)
        position = self._standing.position
        yield HEIGHT.of(0 if position is None else position.height)
        yield QUEUE.of(self._reader.waiting, "blocks and payloads")

    def _lag(self, topic: str) -> int:
        """Messages of a topic behind where it is read, as the broker last said."""
        _, end = self._consumer.get_watermark_offsets(self._place(topic), cached=True)
        return max(0, int(end) - self._offsets[topic])

    def close(self) -> None:
        """Leave the broker."""
        self._producer.flush(5)
        self._consumer.close()
