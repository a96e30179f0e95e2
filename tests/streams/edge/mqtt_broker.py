"""A real MQTT broker in the test's own loop, and a store that drops what comes twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256

from amqtt.broker import Broker

from infra.ports import free_port
from streams.edge.sources import Arrival, NoRoom

PLUGINS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


@asynccontextmanager
async def mqtt_broker(port: int | None = None, **listener: object) -> AsyncIterator[int]:
    """A broker on loopback; its port."""
    port = port or free_port()
    bound = {"type": "tcp", "bind": f"127.0.0.1:{port}", **listener}
    broker = Broker({"listeners": {"default": bound}, "plugins": PLUGINS})
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


class Kept:
    """Keeps arrivals as the gateway's store does, each once; without room while `full`."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.calls = self.repeats = 0
        self.full = False
        self._seen: set[tuple[str, bytes]] = set()
        self._changed = asyncio.Event()

    async def __call__(self, arrival: Arrival) -> None:
        self.calls += 1
        self._changed.set()
        if self.full:
            raise NoRoom
        place = (arrival.device, sha256(arrival.raw).digest())
        if place in self._seen:
            self.repeats += 1
            return
        self._seen.add(place)
        self.arrivals.append(arrival)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds`, looked at whenever something was handed over."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def serving(serve: Awaitable[None]) -> AsyncIterator["asyncio.Future[None]"]:
    """A source that serves, until the block ends."""
    task = asyncio.ensure_future(serve)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
