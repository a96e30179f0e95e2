"""How a run stands by the broker's own account: the lag of consumer groups, and the height of the ledger.

For `status` and the progress display only. Nothing here is verified; who wants to know verifies the ledger. Asked is by
plain consumers that join no group: the admin client's answer about a group's offsets crashed the interpreter (a
segmentation fault in confluent-kafka 2.16.0) while a broker's coordinator was starting.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
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
    ends: dict[tuple[str, int], int] = {}
    return {group: _lag(_committed(client, group), client, ends) for group in sorted(groups)}


def _lag(
    offsets: Mapping[tuple[str, int], int], client: Mapping[str, str], ends: dict[tuple[str, int], int]
) -> int | None:
    """`ends` remembers the partitions' ends from one group to the next."""
    if not offsets:
        return None
    missing = offsets.keys() - ends.keys()
    if missing:
        with _asking(client, "carbon.status") as consumer:
            ends.update({place: _end(consumer, place) for place in missing})
    return sum(max(0, ends[place] - offset) for place, offset in offsets.items())


@contextlib.contextmanager
def _asking(client: Mapping[str, str], group: str) -> Iterator[Any]:
    """A consumer that only asks. Raises EnvironmentFault for what the broker doesn't answer."""
    from confluent_kafka import Consumer, KafkaException

    consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False, "log_level": 0})
    try:
        yield consumer
    except KafkaException as error:
        raise unreachable(client, error) from error
    finally:
        consumer.close()


def _committed(client: Mapping[str, str], group: str) -> dict[tuple[str, int], int]:
    from confluent_kafka import TopicPartition

    with _asking(client, group) as consumer:
        topics = consumer.list_topics(timeout=_TIMEOUT).topics
        places = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]
        return {(p.topic, p.partition): p.offset for p in consumer.committed(places, timeout=_TIMEOUT) if p.offset >= 0}


def _end(consumer: Any, place: tuple[str, int]) -> int:
    from confluent_kafka import TopicPartition

    return int(consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT)[1])


def ledger_height(client: Mapping[str, str]) -> int | None:
    """The greatest height among the newest messages of `ledger.blocks`, by their keys; None when there is none.

    Raises EnvironmentFault when the broker doesn't answer.
    """
    from confluent_kafka import TopicPartition

    with _asking(client, "carbon.status") as consumer:
        end = _end(consumer, (LEDGER_BLOCKS, 0))
        first = max(0, end - _LAST_BLOCKS)
        consumer.assign([TopicPartition(LEDGER_BLOCKS, 0, first)])
        messages = consumer.consume(end - first, timeout=_TIMEOUT) if end else []
    heights = [int.from_bytes(m.key(), "big") for m in messages if not m.error() and m.key() is not None]
    return max(heights, default=None)
