"""What the ledger says of our batches, read from ledger.blocks by a consumer of its own and verified block by block.

Not a Faust stream: every worker must see the one partition. It starts at the first block each time, since a worker
that is given a gateway has to learn what was decided before; what is known already changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from carbon.proposing import Verdict
from consensus.log.follower import Follower, LedgerError, VerifiedBlock
from consensus.log.genesis import Genesis
from schemas import topics
from schemas.topics import Bounds
from streams.faust_app import LONGEST_PAUSE, Health, Kafka

LOG = structlog.get_logger(__name__)

OnBatch = Callable[[str, int, bytes, list[Verdict]], Awaitable[None]]
"""Takes stream, number, digest and verdicts of a batch of this submitter."""


def batches(block: VerifiedBlock, submitter: str) -> Iterator[tuple[str, int, bytes, list[Verdict]]]:
    """The batches of a submitter in a block: stream, number, digest and the verdict on each record."""
    at = 0
    for batch in block.header["batches"]:
        leaves = [verified.leaf for verified in block.leaves[at : at + batch["records"]]]
        at += batch["records"]
        if batch["submitter"] == submitter:
            verdicts = [Verdict(leaf.accepted, leaf.reason, leaf.commitment) for leaf in leaves]
            yield batch["stream"], batch["number"], batch["digest"], verdicts


async def follow(kafka: Kafka, genesis: Genesis, submitter: str, on_batch: OnBatch, health: Health) -> None:
    """Follow the ledger for ever."""
    follower = Follower(genesis)
    while True:
        try:
            async for message in _messages(kafka, genesis.partition):
                for batch in _accept(follower, message.value, submitter):
                    await on_batch(*batch)
        except Exception as error:
            health.trouble(f"ledger.blocks: {error!r}")
            await asyncio.sleep(LONGEST_PAUSE)


def _accept(follower: Follower, message: bytes, submitter: str) -> Iterator[tuple[str, int, bytes, list[Verdict]]]:
    try:
        block = follower.accept(message or b"")
    except LedgerError as error:
        LOG.warning("a message on ledger.blocks does not continue the ledger", reason=str(error))
        return iter(())
    return iter(()) if block is None else batches(block, submitter)


async def _messages(kafka: Kafka, partition: int) -> AsyncIterator[Any]:
    place, size = TopicPartition(topics.LEDGER_BLOCKS, partition), Bounds().message_bytes
    options = {"group_id": None, "auto_offset_reset": "earliest", "max_partition_fetch_bytes": size}
    consumer = AIOKafkaConsumer(**kafka.aiokafka(), **options)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        async for message in consumer:
            yield message
    finally:
        await consumer.stop()
