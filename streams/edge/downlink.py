"""Commands to a gateway from their topic: decided, kept, obeyed, answered; on a thread of its own.

What is asked for again is sent again before the state is kept, and the answer goes out behind it: whatever ends the
process in between, the command is read again, and sent again are the same bytes. A command that was kept already gets
the answer that was kept.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from carbon import packet
from carbon.registry import Registry
from schemas import codec, topics
from streams.edge import commands
from streams.edge.commands import Backfill, CommandError, State
from streams.edge.sampling import Rule
from streams.edge.signer import Signer
from streams.edge.store import Store, StoredPacket

RETRY_SECONDS = 10.0
POLL_SECONDS = 0.5
ANSWER_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Downlink:
    """Obeys the operators that the registry names. `rules` are the points' as configured, `obey` is given theirs now.

    Raises KafkaException for settings that are none of Kafka's.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        store: Store,
        signer: Signer,
        registry: Registry,
        rules: Mapping[str, Rule],
        obey: Callable[[Mapping[str, Rule]], None],
    ) -> None:
        self._kafka, self._store, self._signer, self._registry = dict(kafka), store, signer, registry
        self._rules, self._obey = rules, obey
        self.stop = Event()
        kept = store.commands()
        self._state = State.from_json(json.loads(kept)) if kept else State()
        self._obey(commands.commanded(rules, self._state))
        self._producer = Producer({"acks": "all", "partitioner": "murmur2_random", **self._kafka})

    def run(self) -> None:
        """Take commands until `stop`. What fails is tried again."""
        while not self.stop.is_set():
            try:
                self._listen()
            except (KafkaException, sqlite3.Error) as error:
                _log.error("no commands are taken", reason=str(error))
                self.stop.wait(RETRY_SECONDS)

    def _listen(self) -> None:
        group = {"group.id": f"gateway-{self._signer.gateway}", "auto.offset.reset": "earliest"}
        consumer = Consumer({**self._kafka, **group, "enable.auto.commit": False})
        try:
            # the only consumer of its group: nothing to share out with others, and nothing to wait for
            consumer.assign(partitions(consumer, topics.GATEWAY_COMMANDS))
            while not self.stop.is_set():
                message = consumer.poll(POLL_SECONDS)
                if message is not None:
                    self._take(message)
                    consumer.commit(message, asynchronous=False)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        if error := message.error():
            raise KafkaException(error)
        if message.key() != self._signer.gateway.encode():
            return
        try:
            answer = self.take(message.value() or b"", time.time_ns() // 1_000_000)
        except CommandError as error:
            _log.warning("not a command of an operator's", reason=str(error))
        else:
            self._produce(topics.GATEWAY_OUTCOMES, answer)

    def take(self, message: bytes, now: int) -> bytes:
        """The signed answer to a command at `now`, ms UTC, once it is obeyed and that is kept.

        Raises CommandError for what no gateway answers, KafkaException and sqlite3.Error.
        """
        command = commands.verify(message, self._registry, self._signer.channel, self._signer.gateway)
        asked = commands.backfill_of(command)
        kept = asked is None or any(self._holding(asked))
        decision = commands.decide(self._state, command, self._rules, now, kept=kept)
        if decision.backfill is not None:
            for stored in self._holding(decision.backfill):
                self._produce(
                    topics.METER_READINGS, codec.encode("packet", {"body": stored.body, "signature": stored.signature})
                )
        self._store.keep_commands(json.dumps(decision.state.as_json()))
        self._state = decision.state
        self._obey(commands.commanded(self._rules, self._state))
        return commands.outcome(self._signer.seed, self._signer.channel, command, decision.answer)

    def _holding(self, asked: Backfill) -> Iterator[StoredPacket]:
        for stored in self._store.sent_still_kept():
            if _holds(packet.decode_body(stored.body), asked):
                yield stored

    def _produce(self, topic: str, message: bytes) -> None:
        deliver(self._producer, topic, self._signer.gateway, message, ANSWER_SECONDS)


def deliver(producer: Producer, topic: str, gateway: str, message: bytes, seconds: float) -> None:
    """Hand over and wait until the broker has it, so long at most. Raises KafkaException."""
    refused = []
    producer.produce(topic, message, gateway.encode(), on_delivery=lambda error, _: refused.append(error))
    producer.flush(seconds)
    if refused != [None]:
        raise KafkaException(refused[0] if refused else "the broker does not answer")


def partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, from where the group has come. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
    if not found:
        raise KafkaException(f"there is no topic {topic}")
    return [TopicPartition(topic, number) for number in found]


def _holds(one: packet.Packet, asked: Backfill) -> bool:
    if asked.point not in one.points:
        return False
    place = one.points.index(asked.point)
    return bool(((one.point == place) & (one.at >= asked.start) & (one.at < asked.end)).any())
