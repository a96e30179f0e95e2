"""A topic beside Faust, as the broker has it: for late readings, after a restart, and for what Faust leaves out."""

import asyncio
from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Bounds
from streams.faust_app import Kafka

LOG = structlog.get_logger(__name__)
NEAR = 200
"""Offsets so close to each other are read through; over a wider gap the reader seeks."""
PORTION = 100
"""Messages that are held in memory at once when a range is read."""


def _ranges(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of the ranges in which offsets are read, so that no two in one are further apart than NEAR."""
    rising = sorted(offsets)
    starts = [i for i, offset in enumerate(rising) if i == 0 or offset - rising[i - 1] > NEAR]
    return [(rising[start], rising[stop - 1]) for start, stop in pairwise([*starts, len(rising)])]


class TopicReader:
    """A consumer without a group that goes wherever it is sent. `group` is whose committed offsets are asked for.

    Everything raises Kafka's errors.
    """

    def __init__(self, kafka: Kafka, topic: str, group: str) -> None:
        self._kafka, self._topic, self._group = kafka, topic, group
        self._starting = asyncio.Lock()
        self._consumer: Any = None

    async def read(self, partition: int, offsets: Collection[int]) -> dict[int, bytes]:
        """The values at these offsets; what the broker keeps no longer is left out."""
        found = dict[int, bytes]()
        end = (await self.ends([partition]))[partition]
        for first, last in _ranges([offset for offset in offsets if offset < end]):
            at = first
            while at <= last and (portion := await self.portion(partition, at, last + 1)):
                found |= {message.offset: message.value for message in portion}
                at = portion[-1].offset + 1
        return {offset: found[offset] for offset in offsets if offset in found}

    async def portion(self, partition: int, first: int, end: int) -> list[Any]:
        """Some messages from `first` on and before `end`; none when none of them is kept any longer.

        Raises TimeoutError when nothing came for some seconds.
        """
        place = TopicPartition(self._topic, partition)
        consumer = await self._at(place)
        consumer.seek(place, first)
        found = await consumer.getmany(place, timeout_ms=5_000, max_records=min(PORTION, end - first))
        # offsets that are not kept any longer: the consumer went on to the first one that is
        if not found and await consumer.position(place) < end:
            raise TimeoutError(f"{self._topic}/{partition}: nothing at offset {first}")
        return [message for message in found.get(place, ()) if message.offset < end]

    async def start(self, partition: int) -> int:
        """The offset at which the group goes on: committed, or the first one that is kept."""
        place = TopicPartition(self._topic, partition)
        committed = await self._committed(place)
        kept: int = (await (await self._running()).beginning_offsets([place]))[place]
        if 0 <= committed < kept:
            where = {"topic": self._topic, "partition": partition}
            LOG.warning("messages are not kept any longer", **where, first=committed, last=kept - 1)
        return max(committed, kept)

    async def _committed(self, place: TopicPartition) -> int:
        """The group's committed offset, -1 when there is none. A client that is no member of the group asks."""
        admin = AIOKafkaAdminClient(**self._kafka.aiokafka())
        await admin.start()
        try:
            offset: int = (await admin.list_consumer_group_offsets(self._group, partitions=[place]))[place].offset
            return offset
        finally:
            await admin.close()

    async def ends(self, partitions: list[int]) -> dict[int, int]:
        """The offset that the next message of each partition will have."""
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        ends = await (await self._running()).end_offsets(places) if places else {}
        return {place.partition: end for place, end in ends.items()}

    async def _at(self, place: TopicPartition) -> Any:
        consumer = await self._running()
        consumer.assign([place])
        return consumer

    async def _running(self) -> Any:
        async with self._starting:
            if self._consumer is None:
                size = Bounds().message_bytes
                options = {"group_id": None, "auto_offset_reset": "earliest", "max_partition_fetch_bytes": size}
                consumer = AIOKafkaConsumer(**self._kafka.aiokafka(), **options)
                await consumer.start()
                self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Stop the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
