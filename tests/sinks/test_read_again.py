"""Kafka tells of a topic's end once: payloads that had no room are read again when a block asks for them after it."""

from collections import deque
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from schemas import topics
from sinks.clickhouse.sink import Config, Sink
from tests.sinks.messages import REFERENCE
from tests.sinks.test_ledger import HEIGHTS, World, column
from tests.sinks.test_registries import Read


class End(Read):
    """The end of the payloads."""

    def __init__(self) -> None:
        super().__init__(topics.LEDGER_PAYLOADS, 0, b"")

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF)


class Broker:
    """A consumer that hands out all payloads, their end, and then a block at each step; `seek` begins again there."""

    def __init__(self, payloads: list[bytes], blocks: list[bytes]) -> None:
        self._payloads, self.sought = payloads, list[int]()
        self._steps: deque[list[Read]] = deque([self._from(0)])
        self._steps += [[Read(topics.LEDGER_BLOCKS, at, value)] for at, value in enumerate(blocks)]

    def _from(self, offset: int) -> list[Read]:
        rest = enumerate(self._payloads[offset:], offset)
        return [*(Read(topics.LEDGER_PAYLOADS, at, value) for at, value in rest), End()]

    def get_watermark_offsets(self, place: Any, cached: bool) -> tuple[int, int]:
        return 0, 0

    def consume(self, _: int, __: float) -> list[Read]:
        return self._steps.popleft() if self._steps else []

    def seek(self, place: TopicPartition) -> None:
        self.sought.append(place.offset)
        self._steps.append(self._from(place.offset))

    def commit(self, **_: Any) -> None:
        """Nobody reads the lag."""


@pytest.mark.parametrize("pool", [1, 3, 100])
def test_what_had_no_room_is_read_again_for_blocks_that_come_after_the_end(
    client: Any, tmp_path: Path, pool: int
) -> None:
    world = World(4)
    payloads = [message.value for height in range(1, 5) for message in world.payload(height)]
    broker: Any = Broker(payloads, [world.block(height).value for height in range(1, 5)])
    sink = Sink(client, broker, [world.feed(client, pool)], Config("", tmp_path, REFERENCE, batch_seconds=0.0))
    for _ in range(40):
        sink.step()
    sink.flush()
    assert column(client, HEIGHTS) == [1, 2, 3, 4] and sink.poisoned == 0
    assert bool(broker.sought) == (pool < 100)
