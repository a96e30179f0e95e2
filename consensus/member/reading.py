"""A member as a reader: what it takes of the ledger from its topics alone, with the genesis and no other member's help.

So a newcomer comes to the epoch that names it, and so does a member that was away while the others went on to another
epoch: nobody there answers messages of the one before. Any other lag is made up for inside the protocol.
"""

import time
from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from consensus.ledger import Ledger
from consensus.log.follower import Follower, LedgerError
from consensus.log.reader import Asker, LedgerReader, OpenedBlock
from consensus.member.config import MemberConfig
from consensus.member.store import LedgerFile
from consensus.member.votelog import last_epoch
from consensus.member.wire import good
from schemas import codec, topics

LOG = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0
"""How often the topic is looked at by whoever waits for an epoch."""
_TOPICS = (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)


class LedgerTopics:
    """Both topics of the ledger, read from their beginnings, joined to block-packages behind a follower's position.

    `strict`: a block that does not verify raises LedgerError, it is not passed over. Everything raises KafkaException.
    """

    def __init__(self, consumer: Consumer, follower: Follower, *, strict: bool) -> None:
        self._consumer, self._partition = consumer, follower.genesis.partition
        places = [TopicPartition(topic, self._partition, 0) for topic in _TOPICS]
        self.ends = {place.topic: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
        """The offsets behind the newest messages when reading began."""
        consumer.assign(places)
        self._read, self._paused = dict.fromkeys(_TOPICS, 0), set[str]()
        self._reader = LedgerReader(follower, strict=strict)

    @property
    def unread(self) -> set[str]:
        """The topics of which something is left to read that was there at the beginning."""
        return {topic for topic in _TOPICS if self._read[topic] < self.ends[topic]}

    @property
    def lacking(self) -> int | None:
        """Height of the block that waits for payloads; None when none does."""
        return self._reader.lacking

    def poll(self, timeout: float) -> list[bytes] | None:
        """The packages that some more messages complete; None when no message came within `timeout` seconds."""
        self._pace()
        messages = list(good(self._consumer.consume(2_000, timeout)))
        for message in messages:
            self._read[message.topic()] = message.offset() + 1
            value = message.value() or b""
            if message.topic() == topics.LEDGER_PAYLOADS:
                self._reader.offer_payload(message.key() or b"", value, message.offset())
            else:
                self._reader.offer_block(value, message.offset())
        return [_package(opened) for opened in self._reader.ready()] if messages else None

    def _pace(self) -> None:
        """Pause the topic that runs so far ahead of the other that what waits would have to be let go."""
        wanted = {topics.LEDGER_BLOCKS: self._reader.wants_blocks, topics.LEDGER_PAYLOADS: self._reader.wants_payloads}
        for topic, wants in wanted.items():
            # with nothing left to read of the other topic there is nothing to wait for
            wants = wants or self.unread == {topic}
            if wants == (topic in self._paused):
                (self._consumer.resume if wants else self._consumer.pause)([TopicPartition(topic, self._partition)])
                self._paused ^= {topic}


def _package(opened: OpenedBlock) -> bytes:
    salts = b"".join(leaf.salt for leaf in opened.leaves)
    payloads = [leaf.payload for leaf in opened.leaves]
    return codec.encode_bare("block-package", {"block": opened.message, "salts": salts, "payloads": payloads})


class Reading:
    """Takes blocks into a member's own copy until it may take part."""

    def __init__(self, config: MemberConfig, file: LedgerFile) -> None:
        self._config = config
        self._ledger = Ledger(config.genesis, config.registry, file)
        own = {"group.id": f"carbon.{config.name}.reading", "enable.auto.commit": "false", "log_level": "0"}
        self._consumer = Consumer(config.kafka | own)

    def until_member(self, stopped: Callable[[], bool], *, is_behind: bool) -> bool:
        """Read on until this member stands in the committee of the next height; False if it was stopped before.

        `is_behind`: nobody hands it the blocks that are on the topic, so they are to be taken from there.
        """
        self._retire()
        observed = self._config.observed
        observed.needs("reading", lambda: f"it reads the ledger's topics, from height {self._ledger.kept.height} on")
        try:
            while not stopped():
                observed.turned()
                try:
                    newest = self._newest_epoch()
                    is_current = self._may_vote and newest <= self._ledger.epoch and not is_behind
                    return is_current or self._read_on(newest, stopped)
                except KafkaException as error:
                    LOG.warning("the ledger's topics can't be read yet", reason=str(error))
                    time.sleep(LOOK_SECONDS)
            return False
        finally:
            observed.forget("reading")
            self._consumer.close()

    @property
    def _may_vote(self) -> bool:
        """Whether this member stands in the committee of the next height, and has not voted in a later one."""
        ledger, config = self._ledger, self._config
        return config.keys_in(ledger.committee) is not None and ledger.epoch >= last_epoch(config.folder)

    def _newest_epoch(self) -> int:
        """The epoch that the newest block on the topic states, unverified."""
        partition = self._config.genesis.partition
        end = self._consumer.get_watermark_offsets(TopicPartition(topics.LEDGER_BLOCKS, partition), timeout=10)[1]
        if end == 0:
            return 0
        self._consumer.assign([TopicPartition(topics.LEDGER_BLOCKS, partition, end - 1)])
        message = self._consumer.poll(5.0)
        try:
            block = codec.decode("block", (message and message.value()) or b"")
            epoch: int = codec.decode_bare("block-header", block["header"])["epoch"]
        except codec.CodecError:
            return 0
        return epoch

    def _read_on(self, newest: int, stopped: Callable[[], bool]) -> bool:
        """Take blocks until this member may vote: up to the beginning of the `newest` epoch, or all that are there.

        In that epoch it first asks the others what it has voted.
        """
        ledger, asker = self._ledger, Asker()
        LOG.info("reads the ledger's topics", from_height=ledger.kept.height, epoch=ledger.epoch)
        source = LedgerTopics(self._consumer, Follower(self._config.genesis, ledger.kept), strict=False)
        while not stopped():
            self._config.observed.turned()
            for package in source.poll(LOOK_SECONDS) or ():
                if not ledger.install(package):
                    raise LedgerError(f"block {ledger.height + 1} does not follow from the blocks before it")
                ledger.go_on()
                if ledger.kept.height == ledger.base:
                    self._retire()
                    if ledger.epoch >= newest and self._may_vote:
                        return True
            if not source.unread and source.lacking is None and self._may_vote:
                return True
            request = asker.due(source.lacking, time.monotonic_ns() // 1_000_000)
            if request is not None:
                producer = Producer(self._config.kafka)
                producer.produce(topics.LEDGER_REQUESTS, request, partition=self._config.genesis.partition)
                producer.flush(5)
        return False

    def _retire(self) -> None:
        """Destroy the keys that stood in an earlier epoch and do no longer: nothing that they sign counts."""
        committees, epoch = self._ledger.committees, self._ledger.epoch
        for pair in self._config.key_pairs() if epoch else ():
            stood = any(pair.index_in(committee) is not None for committee in committees[:epoch])
            if stood and pair.index_in(committees[epoch]) is None:
                LOG.warning("a retired pair of keys is destroyed", epoch=epoch)
                for file in pair.files:
                    file.unlink(missing_ok=True)
