"""A receiver on loopback: an HTTP server in the test's loop that keeps what it was sent."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answer` may be replaced; a path of its own for each subscription."""

    url: str = ""
    got: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    answer: dict[str, Answerer] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        self.got[path].append(Received(dict(request.headers), await request.read()))
        self.came.set()
        if path in self.answer:
            return await self.answer[path](request)
        return web.Response(status=204)

    async def until(self, path: str, count: int) -> list[Received]:
        """Wait until so many requests came."""
        async with asyncio.timeout(30):
            while len(self.got[path]) < count:
                self.came.clear()
                await self.came.wait()
        return self.got[path]


def status(number: int, **headers: str) -> Answerer:
    """Answers with a status."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=number, headers=headers)

    return answer


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = web.Server(receiver.handle)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    receiver.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield receiver
    finally:
        await runner.cleanup()
