"""Reading packets of readings.coded again, by partition and offset: for late readings, and after a restart."""

from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.topics import Bounds
from streams.faust_app import Kafka

NEAR = 200
"""Offsets so close to each other are read through; over a wider gap the reader seeks."""


class PacketReader:
    """A consumer without a group that goes wherever it is sent."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._consumer: Any = None

    async def read(self, partition: int, offsets: Iterable[int]) -> dict[int, bytes]:
        """The values at these offsets; what the broker keeps no longer is left out. Raises Kafka's errors."""
        place, found = TopicPartition(topics.READINGS_CODED, partition), dict[int, bytes]()
        consumer = await self._at(place)
        at = -1
        for offset in sorted(offsets):
            if not 0 <= offset - at <= NEAR or at < 0:
                consumer.seek(place, offset)
            while at < offset:
                message = await consumer.getone()
                at = message.offset
                found[at] = message.value
        return {offset: found[offset] for offset in offsets if offset in found}

    async def _at(self, place: TopicPartition) -> Any:
        if self._consumer is None:
            size = Bounds().message_bytes
            options = {"group_id": None, "auto_offset_reset": "earliest", "max_partition_fetch_bytes": size}
            consumer = AIOKafkaConsumer(**self._kafka.aiokafka(), **options)
            await consumer.start()
            self._consumer = consumer
        self._consumer.assign([place])
        return self._consumer

    async def close(self) -> None:
        """Stop the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
