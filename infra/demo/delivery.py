"""Messages of the demonstration's own to the broker: a few, all or an error."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

_SECONDS = 10.0


class NotTakenError(Exception):
    """Messages that the broker did not take; some may have been taken."""


class Outgoing(NamedTuple):
    """A message; its partition follows from its key unless it is stated."""

    topic: str
    key: bytes
    value: bytes
    partition: int = -1


def deliver(kafka: Mapping[str, str], messages: Iterable[Outgoing]) -> int:
    """Send messages and wait until the broker has them; how many. Raises NotTakenError.

    `kafka` is the client's configuration by librdkafka's names.
    """
    producer = Producer({"acks": "all", "partitioner": "murmur2_random", **kafka})
    failures: list[str] = []
    count = 0
    for count, message in enumerate(messages, 1):  # noqa: B007
        producer.produce(
            message.topic,
            message.value,
            message.key,
            message.partition,
            on_delivery=lambda error, _: failures.append(error.str()) if error is not None else None,
        )
    try:
        waiting = producer.flush(_SECONDS)
    except KafkaException as error:
        raise NotTakenError(f"the broker can't be reached: {error}") from error
    if waiting or failures:
        raise NotTakenError(f"{waiting + len(failures)} messages were not taken: {failures[:1]}")
    return count
