"""A direct meter: a module that sends few readings by itself, by MQTT or to meter.single.

It signs nothing and keeps nothing. The gateway that receives a reading attests it; sent again, it counts once. So a
meter sends until it was told that its reading is taken: by MQTT the broker has it then, by Kafka all of its replicas.
"""

import json
import math
from collections.abc import Mapping
from decimal import Decimal

import aiomqtt
from confluent_kafka import KafkaError, Message, Producer

from schemas import topics
from streams.edge.message import RefusedError, measured
from streams.edge.sources.mqtt import Broker


class NotTakenError(Exception):
    """A reading that was not taken, or of which that is not known: it is to be sent again."""


def message(point: str, at: int, value: Decimal, flag: str = "N") -> bytes:
    """The message of one reading: `at` in ms UTC, `value` in the point's unit. Raises RefusedError."""
    if not value.is_finite():
        raise RefusedError("not_a_number", f"{value}")
    fields = {"point": point, "at": at, "value": str(value), "flag": flag}
    payload = json.dumps(fields, ensure_ascii=False).encode()
    measured(payload)
    return payload


async def send_by_mqtt(broker: Broker, topic: str, payload: bytes) -> None:
    """Publish at QoS 1 and wait for the broker's acknowledgement. Raises NotTakenError, OSError for the files named."""
    try:
        async with aiomqtt.Client(**broker.login()) as client:
            await client.publish(topic, payload, qos=1)
    except aiomqtt.MqttError as error:
        raise NotTakenError(f"{broker.host}:{broker.port}: {error}") from error


def send_by_kafka(client: Mapping[str, str], point: str, payload: bytes, timeout: float = 30.0) -> None:
    """Produce to meter.single and wait for the acknowledgement, `timeout` in seconds. Raises NotTakenError.

    `client` is by librdkafka's names.
    """
    answers: list[str] = []

    def answered(error: KafkaError | None, _: Message) -> None:
        answers.append("" if error is None else error.str())

    settings = {**client, "enable.idempotence": True, "message.timeout.ms": math.ceil(timeout * 1000)}
    producer = Producer({**settings, "partitioner": "murmur2_random"})
    producer.produce(topics.METER_SINGLE, payload, point.encode(), on_delivery=answered)
    producer.flush(timeout + 1)
    if answers != [""]:
        raise NotTakenError(answers[0] if answers else f"no answer within {timeout:g} s")
