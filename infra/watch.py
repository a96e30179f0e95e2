"""How a run stands by the broker's own account: the lag of consumer groups, and the height of the ledger.

For `status` and the progress display only. Nothing here is verified; who wants to know verifies the ledger.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.topics import unreachable
from schemas.topics import LEDGER_BLOCKS

_TIMEOUT = 10.0
_LAST_BLOCKS = 16
"""How many of the newest messages are looked at: several members may publish the same block, and an old one again."""


def group_lags(client: Mapping[str, str], groups: Iterable[str]) -> dict[str, int | None]:
    """Lag of each group in messages, summed over its partitions; None for a group that has committed nothing.

    Raises EnvironmentFault when the broker doesn't answer.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({**client, "log_level": 0})
    try:
        committed = {group: _committed(admin, group) for group in groups}
        ends = _ends(admin, {partition for offsets in committed.values() for partition in offsets})
    except KafkaException as error:
        raise unreachable(client, error) from error
    return {group: _lag(offsets, ends) for group, offsets in committed.items()}


def _lag(offsets: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> int | None:
    if not offsets:
        return None
    return sum(max(0, ends[partition] - offset) for partition, offset in offsets.items())


def _committed(admin: Any, group: str) -> dict[tuple[str, int], int]:
    from confluent_kafka import ConsumerGroupTopicPartitions

    request = [ConsumerGroupTopicPartitions(group)]
    (future,) = admin.list_consumer_group_offsets(request, request_timeout=_TIMEOUT).values()
    return {(p.topic, p.partition): p.offset for p in future.result().topic_partitions if p.offset >= 0}


def _ends(admin: Any, partitions: set[tuple[str, int]]) -> dict[tuple[str, int], int]:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    if not partitions:
        return {}
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for topic, number in partitions}
    answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT)
    return {(p.topic, p.partition): future.result().offset for p, future in answers.items()}


def ledger_height(client: Mapping[str, str]) -> int | None:
    """The greatest height among the newest messages of `ledger.blocks`, by their keys; None when there is none.

    Raises EnvironmentFault when the broker doesn't answer.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({**client, "log_level": 0})
    own = {"group.id": "carbon.status", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**client, **own})
    try:
        end = _ends(admin, {(LEDGER_BLOCKS, 0)})[LEDGER_BLOCKS, 0]
        first = max(0, end - _LAST_BLOCKS)
        consumer.assign([TopicPartition(LEDGER_BLOCKS, 0, first)])
        messages = consumer.consume(end - first, timeout=_TIMEOUT) if end else []
    except KafkaException as error:
        raise unreachable(client, error) from error
    finally:
        consumer.close()
    heights = [int.from_bytes(m.key(), "big") for m in messages if not m.error() and m.key() is not None]
    return max(heights, default=None)
