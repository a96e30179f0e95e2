"""The sink's process: it reads the topics, writes the tables and owns the embedded engine, which it lets others ask.

Once only, whatever is killed when: every table says by itself where it goes on (see the feeds), every insert is one
part, and Kafka's committed offsets are for showing the lag and nothing else.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from consensus.log.follower import Follower
from schemas import topics
from schemas.metrics import HEIGHT, LAG, POISONED, QUEUE, Figure
from schemas.observed import Observed
from sinks.clickhouse import engine
from sinks.clickhouse.feed import EarlyError, Feed, Message, Place, PoisonedError, RowBatch
from sinks.clickhouse.health import HealthFeed
from sinks.clickhouse.http import Interface
from sinks.clickhouse.ledger import LedgerFeed
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.readings import ReadingsFeed
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import (
    alerts_feed,
    anomalies_feed,
    balances_feed,
    deliveries_feed,
    forecasts_feed,
    rejections_feed,
)

GROUP = "carbon.clickhouse"
_ERRORS = pa.schema(
    [("topic", pa.string()), ("partition", pa.uint32()), ("offset", pa.uint64()), ("reason", pa.string())]
)
_BROKER_SECONDS = 30.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Config:
    """What the sink needs. `url` names a ClickHouse server; empty is the embedded engine in `data_dir`."""

    bootstrap: str
    data_dir: Path
    reference: Reference
    genesis: Path | None = None
    """The channel's genesis file; without it the ledger's tables stay empty."""
    url: str = ""
    cluster: str = ""
    """The cluster of servers that `url` names one of; empty for a server by itself."""
    http_port: int = 0
    """Loopback port of the HTTP interface; 0 for the last one, or a free one."""
    batch_rows: int = 200_000
    batch_seconds: float = 1.0
    kafka: Mapping[str, Any] = field(default_factory=dict)
    """More librdkafka settings: TLS, SASL."""
    observed: Observed = field(default_factory=Observed)


def feeds_of(config: Config) -> list[Feed]:
    """The feeds of a sink."""
    feeds: list[Feed] = [ReadingsFeed(config.reference), rejections_feed(), balances_feed()]
    feeds += [forecasts_feed(), alerts_feed(), anomalies_feed(), deliveries_feed(), HealthFeed()]
    if config.genesis is not None:
        feeds.append(LedgerFeed(Follower.from_file(config.genesis), config.reference))
    return feeds


class Sink:
    """One consumer over all feeds. Used by one thread."""

    def __init__(self, client: Any, consumer: Consumer, feeds: Sequence[Feed], config: Config) -> None:
        self._client = client
        self._consumer = consumer
        self._feeds = feeds
        self._by_topic = {topic: feed for feed in feeds for topic in feed.topics}
        self._config = config
        self._errors = RowBatch("sink_errors_log", _ERRORS)
        self._read: dict[Place, int] = {}
        self._next: dict[Place, int] = {}
        """The offset that the next message of each place has."""
        self._lags: Mapping[str, int] = {}
        self._opened = 0.0
        self._paused = False
        self._held: dict[Place, tuple[int, int]] = {}
        """Where the first message stands that waits for the ledger, and how many registries were known when it came."""
        self._payloads_end: Place | None = None
        """Where the payloads of the ledger were read to their end."""
        self.poisoned = 0
        """Messages that could not be taken."""

    def assign(self) -> None:
        """Take every partition of every topic, each from where its table goes on."""
        known: dict[Place, int] = {}
        for feed in self._feeds:
            known.update(feed.resume(self._client))
        places = [place for topic in self._by_topic for place in self._places(topic)]
        starts = {place: self._start(place, known.get(place)) for place in places}
        self._next = {place: max(start, 0) for place, start in starts.items()}
        self._consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
        log.info("sink resumes", offsets={f"{topic}:{partition}": o for (topic, partition), o in known.items()})

    def _places(self, topic: str) -> list[Place]:
        """The partitions to read: all of a topic, but of the ledger's only the channel's own."""
        feed = self._by_topic[topic]
        if isinstance(feed, LedgerFeed):
            return [(topic, feed.partition)]
        found = self._consumer.list_topics(topic, _BROKER_SECONDS).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return [(topic, partition) for partition in sorted(found.partitions)]

    def _start(self, place: Place, known: int | None) -> int:
        if known is None:
            return int(OFFSET_BEGINNING)
        low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=_BROKER_SECONDS)
        if low <= known <= high:
            return known
        # the topic is another than the one this table was filled from, or has lost what the table lacks
        log.warning(
            "sink reads a topic from its start", topic=place[0], partition=place[1], wanted=known, low=low, high=high
        )
        return int(OFFSET_BEGINNING)

    def step(self, timeout: float = 0.2) -> None:
        """Read what is there, and write what has waited long enough or become large enough."""
        if self._config.observed.turned():
            self._look_at_lag()
        for message in self._consumer.consume(500, timeout):
            self._take(message)
        if not self._opened and (self._errors or any(feed.waiting for feed in self._feeds)):
            self._opened = time.monotonic()
        if self._opened and time.monotonic() - self._opened >= self._config.batch_seconds:
            self.flush()
        self._hold_blocks()
        self._let_go()
        self._read_again(dropped=True)

    def _take(self, message: Any) -> None:
        if message.error() is not None:
            self._on_error(message)
            return
        place, value = (message.topic(), message.partition()), message.value()
        if place in self._held:
            return
        if place == self._payloads_end:
            self._payloads_end = None
        feed = self._by_topic[place[0]]
        try:
            if value is not None:  # a tombstone of compaction
                feed.take(Message(*place, message.offset(), value, message.timestamp()[1]))
        except EarlyError:
            self._hold(place, message.offset())
            return
        except PoisonedError as error:
            self._on_poisoned(Message(*place, message.offset(), value), str(error))
        self._read[place] = self._next[place] = message.offset() + 1
        if feed.waiting >= self._config.batch_rows:
            self.flush()

    def _on_poisoned(self, message: Message, reason: str) -> None:
        self.poisoned += 1
        self._config.observed.count(POISONED)
        source = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        log.error("sink can't take a message", **source, reason=reason)
        self._errors.add([{**source, "reason": reason}], message.origin)

    def _on_unfit(self, origin: str, reason: str) -> None:
        """Keep at once what the engine refused: rows behind it are inserted next, and the table goes on after those."""
        topic, partition, offset = origin.rsplit(":", 2)
        self._on_poisoned(Message(topic, int(partition), int(offset), b""), reason)
        self._errors.flush(self._client)

    def _on_error(self, message: Any) -> None:
        error = message.error()
        if error.code() != KafkaError._PARTITION_EOF:
            if error.fatal():
                raise KafkaException(error)
            log.warning("sink hears of the broker", error=str(error))
        elif message.topic() == topics.LEDGER_PAYLOADS:
            self._payloads_end = (message.topic(), message.partition())
            self._read_again()

    def _read_again(self, *, dropped: bool = False) -> None:
        """At the end of the payloads, go back for those that blocks lack; with `dropped` only for what had no room.

        Kafka tells of the end once. What was dropped before may be asked for by a block that is read only after it.
        """
        for feed in self._feeds:
            if self._payloads_end is None or not isinstance(feed, LedgerFeed) or (dropped and not feed.lacks_dropped):
                continue
            if (offset := feed.read_payloads_again()) is not None:
                self._consumer.seek(TopicPartition(*self._payloads_end, offset))
                self._payloads_end = None

    def _hold_blocks(self) -> None:
        """Stop reading blocks while too many wait for payloads."""
        full = any(isinstance(feed, LedgerFeed) and not feed.wants_blocks for feed in self._feeds)
        if full == self._paused:
            return
        blocks = [place for place in self._consumer.assignment() if place.topic == topics.LEDGER_BLOCKS]
        (self._consumer.pause if full else self._consumer.resume)(blocks)
        self._paused = full

    def _hold(self, place: Place, offset: int) -> None:
        """Read a partition no further until the ledger was."""
        self._consumer.pause([TopicPartition(*place)])
        self._held[place] = offset, len(self._config.reference.registries)
        log.info("sink waits for a registry", topic=place[0], partition=place[1], offset=offset)

    def _let_go(self) -> None:
        """Go on with what was held, once another registry was read."""
        known = len(self._config.reference.registries)
        for place, offset in [(place, offset) for place, (offset, then) in self._held.items() if then != known]:
            self._consumer.resume([TopicPartition(*place)])
            self._consumer.seek(TopicPartition(*place, offset))
            del self._held[place]

    def flush(self) -> None:
        """Write all open batches, what could not be taken first; then tell Kafka how far they reach."""
        self._errors.flush(self._client)
        for feed in self._feeds:
            feed.flush(self._client, self._on_unfit)
        if self._read:
            offsets = [TopicPartition(*place, offset) for place, offset in self._read.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        self._read, self._opened = {}, 0.0
        self._config.observed.committed()

    def _look_at_lag(self) -> None:
        lags = Counter[str]()
        for place, offset in self._next.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            lags[place[0]] += max(0, end - offset)
        self._lags = lags

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        for topic, count in self._lags.items():
            yield LAG.of(count, topic)
        yield QUEUE.of(sum(feed.waiting for feed in self._feeds), "rows")
        for feed in self._feeds:
            if isinstance(feed, LedgerFeed):
                yield HEIGHT.of(feed.height)


def consumer_of(config: Config) -> Consumer:
    """The sink's consumer: manual assignment, bounded prefetch, no automatic commit."""
    return Consumer(
        {
            "bootstrap.servers": config.bootstrap,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16_384,
            "fetch.message.max.bytes": 4_194_304,
            **config.kafka,
        }
    )


def run(config: Config, stop: threading.Event) -> None:
    """Run the sink until `stop` is set. Raises EngineError, MigrationError, KafkaException."""
    with ExitStack() as stack:
        client = engine.open_client(config.data_dir, config.url, config.cluster)
        stack.callback(client.close)
        migrate(client, cluster=config.cluster)
        if not config.url:
            stack.enter_context(Interface(config.data_dir, config.http_port, config.reference.registries))
        consumer = consumer_of(config)
        stack.callback(consumer.close)
        sink = Sink(client, consumer, feeds_of(config), config)
        sink.assign()
        config.observed.shows("sink", sink.figures)
        while not stop.is_set():
            sink.step()
        sink.flush()


def main(config: Config) -> None:
    """Run the sink as this process until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(config, stop)
