"""What topic anomalies says up to now."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.errors import EnvironmentFault
from schemas import codec, topics

_TIMEOUT = 10.0


def told(client: Mapping[str, str], point: str | None = None) -> list[dict[str, Any]]:
    """Everything that was told, of one point or of all, in order, once. Raises EnvironmentFault without a broker."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    own = {"group.id": "carbon.anomalies.reader", "enable.auto.commit": "false", "log_level": "0"}
    consumer, place, found = Consumer(dict(client) | own), 0, dict[str, dict[str, Any]]()
    try:
        place, end = consumer.get_watermark_offsets(TopicPartition(topics.ANOMALIES, 0), timeout=_TIMEOUT)
        consumer.assign([TopicPartition(topics.ANOMALIES, 0, place)])
        while place < end:
            messages = [one for one in consumer.consume(1_000, _TIMEOUT) if one.error() is None]
            if not messages:
                raise EnvironmentFault("the broker stopped answering: try again")
            place = (messages[-1].offset() or 0) + 1
            for row in (codec.decode("anomaly", one.value() or b"") for one in messages):
                found.setdefault(row["id"], row)
    except KafkaException as error:
        raise EnvironmentFault(f"the broker does not answer: {error}; 'carbonledger up' starts it") from error
    finally:
        consumer.close()
    return [row for row in found.values() if point in (None, row["point"])]


def standing(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each key what was told last, where it isn't over."""
    last = {row["key"]: row for row in rows}
    return [row for row in last.values() if not row["resolved"]]
