"""What topic anomalies says up to now, and what people said of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.errors import EnvironmentFault
from schemas import codec, topics
from streams.anomaly.assessments import Assessment, verdict_of

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


def with_verdict(row: dict[str, Any], said: Sequence[Assessment]) -> dict[str, Any]:
    """An anomaly with what people said of it, whose last word counts."""
    told = [{name: value for name, value in one._asdict().items() if name not in ("anomaly", "leaf")} for one in said]
    return row | {"verdict": verdict_of(said) or ("commented" if said else None), "assessments": told}
