"""The dispatcher's two ends in Kafka: alerts in, and messages out that stay in the outbox until the broker has them."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from schemas import codec, topics
from sinks.webhooks.notices import Alert
from sinks.webhooks.outbox import Outgoing

GROUP = "carbon.webhooks"
_BROKER_SECONDS = 30.0
log = structlog.get_logger(__name__)


class Arrived(NamedTuple):
    """An alert, and when the broker got it, Unix ms; None for what can't be read as one."""

    alert: Alert | None
    at: int
    offset: int


class Alerts:
    """The topic of alerts, read from an offset of our own; what is committed shows the lag and nothing else."""

    lag = 0
    """Alerts that were not read, as the broker last said."""

    def __init__(self, kafka: Mapping[str, Any], offset: int) -> None:
        own = {"group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**kafka, **own})
        place = TopicPartition(topics.ALERTS, 0)
        low, high = self._consumer.get_watermark_offsets(place, timeout=_BROKER_SECONDS)
        # outside these it is another topic than the one that was read
        is_known = low <= offset <= high
        self._next = offset if is_known else low
        self._consumer.assign([TopicPartition(topics.ALERTS, 0, offset if is_known else OFFSET_BEGINNING)])

    def read(self, timeout: float) -> list[Arrived]:
        """What there is."""
        found = [self._arrived(message) for message in self._consumer.consume(500, timeout) if self._is_good(message)]
        self._next = found[-1].offset + 1 if found else self._next
        _, end = self._consumer.get_watermark_offsets(TopicPartition(topics.ALERTS, 0), cached=True)
        self.lag = max(0, int(end) - self._next)
        return found

    def _is_good(self, message: Any) -> bool:
        if message.error() is None:
            return True
        if message.error().code() != KafkaError._PARTITION_EOF:
            log.warning("webhooks hear of the broker", error=str(message.error()))
            time.sleep(0.2)
        return False

    def _arrived(self, message: Any) -> Arrived:
        try:
            alert = codec.decode("alert", message.value() or b"")
        except codec.CodecError as error:
            log.error("webhooks can't take an alert", offset=message.offset(), reason=str(error))
            alert = None
        return Arrived(alert, message.timestamp()[1], message.offset())

    def done(self, offset: int) -> None:
        """All alerts before an offset are in the outbox."""
        self._consumer.commit(offsets=[TopicPartition(topics.ALERTS, 0, offset)], asynchronous=True)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


class Sender:
    """Sends the outbox's messages in their order. `acknowledged` are the numbers that the broker has."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._producer = Producer({**kafka, "enable.idempotence": "true", "linger.ms": "5"})
        self.sent = 0
        """Number of the last message that was handed over."""
        self.acknowledged: list[int] = []

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Hand over what has room; what hasn't is asked of the outbox again."""
        for message in messages:
            try:
                self._producer.produce(
                    message.topic, message.value, message.key, on_delivery=self._heard(message.number)
                )
            except BufferError:
                return
            self.sent = message.number

    def _heard(self, number: int) -> Any:
        def hear(error: KafkaError | None, _: Any) -> None:
            if error is None:
                self.acknowledged.append(number)
            else:
                log.warning("webhooks: a message was not taken, and goes out again", error=str(error))
                self.sent = min(self.sent, number - 1)

        return hear

    def poll(self) -> None:
        """Hear what the broker has acknowledged."""
        self._producer.poll(0)

    def flush(self, seconds: float) -> None:
        """Wait for the broker, for so long."""
        self._producer.flush(seconds)
