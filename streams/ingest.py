"""streams.ingest: the agent that verifies, validates and codes every packet of meter.readings.

A packet becomes one message on readings.coded, and a dead letter when anything in it was refused. Deliveries overlap,
acknowledgements don't: a message is acknowledged when all that came before it in this worker is, and all its outputs
have been delivered. The same packet again sends its outputs again.

While the aggregator is too far behind, packets wait where they are, on meter.readings.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from carbon import coding
from carbon.packet import PacketError
from carbon.registry import InForce
from schemas import topics, tracing
from schemas.metrics import QUEUE, REGISTRY_HEIGHT, Figure
from schemas.observed import Observed
from streams import faust_app, flow
from streams.dead_letter import Original, letters
from streams.faust_app import Health, Kafka, Output
from streams.flow import Downstream
from streams.guard import Guard, Handed, guarded
from streams.reread import TopicReader

APP_ID = flow.INGEST
ASK_EVERY = 5.0
"""Seconds from one look for the registry in force to the next."""
IN_FLIGHT = 32
"""Messages whose outputs may be under way at once."""
LOG = structlog.get_logger(__name__)


@dataclass(frozen=True)
class IngestConfig:
    """What the worker needs. `channel` is the genesis digest (32 bytes)."""

    kafka: Kafka
    channel: bytes
    in_force: InForce
    data_dir: Path
    most_behind: int = flow.MOST_BEHIND
    """Coded packets that may wait for the aggregator before no further one is made."""
    log_level: str = "WARNING"
    observed: Observed = field(default_factory=Observed)


class Ingest:
    """The agent: one message in, its outputs out, in order."""

    def __init__(self, app: Any, config: IngestConfig, guard: Guard, health: Health) -> None:
        self._config, self._guard, self._health = config, guard, health
        self.registry_height, self._registry = config.in_force()
        self._room = asyncio.Event()
        self._room.set()
        self._under_way: asyncio.Queue[_UnderWay] = asyncio.Queue(IN_FLIGHT)
        self._coded = app.topic(topics.READINGS_CODED)
        self._rejected = app.topic(topics.READINGS_REJECTED)

    async def follow(self) -> None:
        """Go over to the registry in force."""
        self.registry_height, self._registry = await asyncio.to_thread(self._config.in_force)

    async def run(self, stream: Any) -> None:
        """Take every message of the stream."""
        under_way = self._under_way = asyncio.Queue(IN_FLIGHT)
        settling = asyncio.create_task(self._settle(under_way))
        try:
            await self._take(self._guard.messages(stream), under_way, settling)
        finally:
            settling.cancel()

    async def _take(
        self, messages: AsyncIterable[Handed], under_way: "asyncio.Queue[_UnderWay]", settling: "asyncio.Task[None]"
    ) -> None:
        async for handed in messages:
            await self._room.wait()
            outputs = self.outputs(handed.message)
            await under_way.put(_UnderWay(handed, outputs, await _send(outputs)))
            assert not settling.done()

    async def look(self, aggregate: Downstream) -> None:
        """See whether the aggregator keeps up, and take packets or none."""
        if await asyncio.to_thread(aggregate.look):
            self._room.clear()
        else:
            self._room.set()
        self._health.report(held=not self._room.is_set())

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        yield QUEUE.of(self._under_way.qsize(), "outputs")
        yield REGISTRY_HEIGHT.of(self.registry_height)

    async def _settle(self, under_way: "asyncio.Queue[_UnderWay]") -> None:
        while True:
            one = await under_way.get()
            if not await _delivered(one.sent):
                await faust_app.deliver(one.outputs, self._health)
            one.handed.ack()
            self._health.progress()

    def outputs(self, message: Any) -> list[Output]:
        """The messages that one message leads to. Raises nothing, whatever the bytes are."""
        with tracing.span("ingest", tracing.parent_of(message)) as headers:
            return [output.traced(headers) for output in self._outputs(message)]

    def _outputs(self, message: Any) -> list[Output]:
        original = Original("ingest", message.topic, message.partition, message.offset, message.key, message.value)
        try:
            coded = coding.code(message.value or b"", self._registry, self._config.channel)
        except PacketError as error:
            return self._letters(original, [coding.whole(error.reason, error.detail)])
        except Exception as error:
            LOG.exception("a message that breaks the agent goes to the dead letters", offset=message.offset)
            return self._letters(original, [coding.whole("internal_error", repr(error))])
        out = Output(self._coded, coded.packet.gateway.encode(), coded.message)
        return [out, *self._letters(original, coded.items, coded)]

    def _letters(self, original: Original, items: list[coding.Item], coded: Any = None) -> list[Output]:
        if original.value is None:
            original = Original("ingest", original.topic, original.partition, original.offset, original.key, b"")
        packet = coded and coded.packet
        return faust_app.rejected(self._rejected, letters(original, items, packet), self._config.observed)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    handed: Handed
    outputs: list[Output]
    sent: list[Awaitable[Any]] | None


async def _send(outputs: list[Output]) -> list[Awaitable[Any]] | None:
    """Hand all outputs to the producer; None when it wouldn't take them."""
    try:
        return [await output.send() for output in outputs]
    except Exception:
        return None


async def _delivered(sent: list[Awaitable[Any]] | None) -> bool:
    try:
        for one in sent or ():
            await one
    except Exception:
        return False
    return sent is not None


def create_app(config: IngestConfig) -> Any:
    """The Faust app of the worker."""
    app = faust_app.new_app(APP_ID, config.kafka, config.data_dir, config.observed)
    behind = Downstream(config.kafka.librdkafka(), flow.AGGREGATE, topics.READINGS_CODED, config.most_behind)
    reader = TopicReader(config.kafka, topics.METER_READINGS, APP_ID)
    health = Health(
        config.data_dir / "ingest.health.json",
        lambda: behind.state() | {"registry": ingest.registry_height},
        config.observed,
    )
    ingest = Ingest(app, config, guarded(app, topics.METER_READINGS, reader, health), health)
    config.observed.shows("ingest", ingest.figures)
    app.timer(interval=ASK_EVERY)(ingest.follow)

    @app.timer(interval=flow.LOOK_EVERY)  # type: ignore[untyped-decorator]
    async def look() -> None:
        await ingest.look(behind)

    app.on_before_shutdown.connect(lambda *_, **__: reader.close(), weak=False)
    app.agent(app.topic(topics.METER_READINGS), name=APP_ID, concurrency=1)(ingest.run)
    return app


def main(config: IngestConfig) -> None:
    """Run the worker in the foreground until SIGTERM."""
    faust_app.run(create_app(config), config.log_level)
