"""What an operator does: put a command on its topic, and wait for the gateway's signed outcome."""

import time
from collections.abc import Mapping
from hashlib import sha256
from math import ceil

from confluent_kafka import Consumer, Producer, TopicPartition

from carbon.registry import Registry
from schemas import codec, topics
from streams.edge.commands import CommandError, Reason, read_outcome
from streams.edge.downlink import deliver, partitions


def send(
    kafka: Mapping[str, str], gateway: str, command: bytes, registry: Registry, channel: bytes, seconds: float
) -> Reason | None:
    """What the gateway answered within `seconds`, or None. Raises KafkaException when the broker doesn't take it."""
    digest = sha256(codec.decode("command", command)["body"]).digest()
    deadline = time.monotonic() + seconds
    consumer = Consumer({**kafka, "group.id": f"operator-{digest.hex()}", "enable.auto.commit": False})
    try:
        consumer.assign([_end(consumer, one) for one in partitions(consumer, topics.GATEWAY_OUTCOMES)])
        _produce(kafka, gateway, command, seconds)
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 1.0))
            if message is None or message.error() is not None:
                continue
            try:
                answered, reason = read_outcome(message.value() or b"", registry, channel)
            except CommandError:
                # not the gateway's word, whoever put it there
                continue
            if answered == digest:
                return reason
    finally:
        consumer.close()
    return None


def _end(consumer: Consumer, one: TopicPartition) -> TopicPartition:
    _, end = consumer.get_watermark_offsets(one)
    return TopicPartition(one.topic, one.partition, end)


def _produce(kafka: Mapping[str, str], gateway: str, command: bytes, seconds: float) -> None:
    producer = Producer({"partitioner": "murmur2_random", **kafka, "message.timeout.ms": ceil(seconds * 1000)})
    deliver(producer, topics.GATEWAY_COMMANDS, gateway, command, seconds)
