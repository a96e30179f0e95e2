"""A member as a reader: what it takes of the ledger from its topics alone, with the genesis and no other member's help.

So a newcomer comes to the epoch that names it, and so does a member that was away while the others went on to another
epoch: nobody there answers messages of the one before. Any other lag is made up for inside the protocol.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from consensus.ledger import Ledger
from consensus.log.committee import Committee
from consensus.log.follower import Follower, LedgerError
from consensus.log.reader import LedgerReader
from consensus.member.config import MemberConfig
from consensus.member.store import LedgerFile
from consensus.member.wire import good
from schemas import codec, topics

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""How often the topic is looked at by whoever waits for an epoch."""
_TOPICS = (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)


class PayloadsMissing(LedgerError):
    """The topics end with a block whose payloads are not all there."""

    def __init__(self, height: int) -> None:
        super().__init__(f"block {height}: payloads are missing")
        self.height = height


def packages(consumer: Consumer, follower: Follower, ends: dict[str, int], *, strict: bool) -> Iterator[bytes]:
    """The block-packages behind a follower's position, read from both topics from their beginnings up to `ends`.

    `strict`: a block that does not verify raises LedgerError, it is not passed over. Raises PayloadsMissing,
    KafkaException, and TimeoutError when the broker stops answering.
    """
    partition = follower.genesis.partition
    consumer.assign([TopicPartition(topic, partition, 0) for topic in _TOPICS])
    reader = LedgerReader(follower, strict=strict)
    read, paused = dict.fromkeys(ends, 0), set[str]()
    while any(read[topic] < end for topic, end in ends.items()):
        _pace(consumer, reader, {topic for topic, end in ends.items() if read[topic] < end}, paused)
        messages = list(good(consumer.consume(2_000, 5.0)))
        if not messages:
            raise TimeoutError("the broker stopped answering")
        for message in messages:
            read[message.topic()] = message.offset() + 1
            value = message.value() or b""
            if message.topic() == topics.LEDGER_PAYLOADS:
                reader.offer_payload(message.key() or b"", value, message.offset())
            else:
                reader.offer_block(value, message.offset())
        for opened in reader.ready():
            salts = b"".join(leaf.salt for leaf in opened.leaves)
            payloads = [leaf.payload for leaf in opened.leaves]
            fields = {"block": opened.message, "salts": salts, "payloads": payloads}
            yield codec.encode_bare("block-package", fields)
    if reader.lacking is not None:
        raise PayloadsMissing(reader.lacking)


def _pace(consumer: Consumer, reader: LedgerReader, unread: set[str], paused: set[str]) -> None:
    """Pause the topic that runs so far ahead of the other that what waits would have to be let go."""
    wanted = {topics.LEDGER_BLOCKS: reader.wants_blocks, topics.LEDGER_PAYLOADS: reader.wants_payloads}
    for topic, wants in wanted.items():
        # with nothing left to read of the other topic there is nothing to wait for
        wants = wants or unread == {topic}
        if wants == (topic in paused):
            place = [TopicPartition(topic, reader.follower.genesis.partition)]
            (consumer.resume if wants else consumer.pause)(place)
            paused ^= {topic}


def ends_of(consumer: Consumer, partition: int) -> dict[str, int]:
    """The offsets behind the newest messages of the ledger's topics. Raises KafkaException."""
    places = [TopicPartition(topic, partition) for topic in _TOPICS]
    return {place.topic: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}


def retire(config: MemberConfig, committees: Sequence[Committee], epoch: int) -> None:
    """Destroy the keys that stood for this member in an earlier epoch and do no longer: nothing they sign counts."""
    for pair in config.key_pairs():
        if any(pair.index_in(c) is not None for c in committees[:epoch]) and pair.index_in(committees[epoch]) is None:
            LOG.warning("epoch %d: a retired pair of keys is destroyed", epoch)
            for file in pair.files:
                file.unlink(missing_ok=True)


class Reading:
    """Takes blocks into a member's own copy until it may take part."""

    def __init__(self, config: MemberConfig, file: LedgerFile) -> None:
        self._config = config
        self._ledger = Ledger(config.genesis, config.registry, file)
        own = {"group.id": f"carbon.{config.name}.reading", "enable.auto.commit": "false", "log_level": "0"}
        self._consumer = Consumer(config.kafka | own)
        self._attempt = 0

    def until_member(self, stopped: Callable[[], bool]) -> bool:
        """Read on until this member stands in the committee of the next height; False if it was stopped before."""
        try:
            while not stopped():
                retire(self._config, self._ledger.committees, self._ledger.epoch)
                try:
                    if self._topic_epoch() > self._ledger.epoch or not self._is_member:
                        self._catch_up()
                except (KafkaException, TimeoutError) as error:
                    LOG.warning("the ledger's topics can't be read yet: %s", error)
                else:
                    if self._is_member:
                        return True
                time.sleep(LOOK_SECONDS)
            return False
        finally:
            self._consumer.close()

    @property
    def _is_member(self) -> bool:
        return any(pair.index_in(self._ledger.committee) is not None for pair in self._config.key_pairs())

    def _topic_epoch(self) -> int:
        """The epoch that the newest block on the topic states, unverified: whether it is worth reading."""
        partition = self._config.genesis.partition
        end = ends_of(self._consumer, partition)[topics.LEDGER_BLOCKS]
        if end == 0:
            return 0
        self._consumer.assign([TopicPartition(topics.LEDGER_BLOCKS, partition, end - 1)])
        message = self._consumer.poll(5.0)
        try:
            block = codec.decode("block", message.value() if message is not None else b"")
            epoch: int = codec.decode_bare("block-header", block["header"])["epoch"]
        except codec.CodecError:
            return 0
        return epoch

    def _catch_up(self) -> None:
        ledger, before = self._ledger, self._ledger.kept.height
        ends = ends_of(self._consumer, self._config.genesis.partition)
        follower = Follower(self._config.genesis, ledger.kept)
        try:
            for package in packages(self._consumer, follower, ends, strict=False):
                if not ledger.install(package):
                    break
                ledger.go_on()
        except PayloadsMissing as missing:
            self._ask(missing.height)
        if ledger.kept.height > before:
            LOG.info("read heights %d to %d, epoch %d, from the topic", before + 1, ledger.kept.height, ledger.epoch)

    def _ask(self, height: int) -> None:
        self._attempt += 1
        producer = Producer(self._config.kafka)
        request = codec.encode("payload-request", {"height": height, "attempt": self._attempt})
        producer.produce(topics.LEDGER_REQUESTS, request, partition=self._config.genesis.partition)
        producer.flush(5)
