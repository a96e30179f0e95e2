"""HJ 212 in frames a second: 1,000 loggers on one gateway, each sending its next frame when the last is answered.

Once with a keep that does nothing, and once with the gateway's inbox, where each answer waits for the disk. Beside it a
floor of the same run: asyncio's echo of the same bytes. The loggers are a process of their own.
`python -m tests.benchmarks.hj212` prints the rows.
"""

import asyncio
import gc
import multiprocessing
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvloop

from infra.cli import COLLECT
from streams.edge.inbox import Inbox
from streams.edge.sources import Arrival, Keep
from streams.edge.sources.hj212.message import compose
from streams.edge.sources.hj212.server import Hj212Settings, Hj212Source
from streams.edge.store import Store

LOGGERS, FRAMES = 1_000, 30
READ_BYTES = 8192
CODES = ("a00000", "a01011", "a01012", "a01013", "a01014", "a05001", "a19001", "a05002")
DATA = "DataTime=20240801080000;" + ";".join(f"{code}-Rtd=12.345,{code}-Flag=N" for code in CODES)


class Measured(NamedTuple):
    """One server: answered frames a second, by the wall and by its CPU time; how many it kept, if it keeps."""

    what: str
    frames: int
    rate: float
    cpu_rate: float
    kept: int | None = None


def settings() -> Hj212Settings:
    """The registration of all loggers: eight values in each frame."""
    item = {"command": 2011, "field": "Rtd", "unit": "1", "point_unit": "1", "time": "instant"}
    devices = [
        {"mn": f"L{n}", "password": "123456", "items": [item | {"code": c, "point": f"L{n}.{c}"} for c in CODES]}
        for n in range(LOGGERS)
    ]
    return Hj212Settings.model_validate({"port": 0, "devices": devices})


def frames_of(logger: int) -> list[bytes]:
    """What one logger sends."""
    fields = {"ST": 31, "CN": 2011, "PW": "123456", "MN": f"L{logger}", "Flag": 5}
    return [compose({"QN": 20_240_801_080_000_000 + n} | fields, DATA) for n in range(FRAMES)]


class Logger(asyncio.Protocol):
    """Sends the next frame at the end of each line that comes; `done` once all are answered, or the connection ends."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames
        self.answered = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self) -> None:
        self._transport.write(self._frames[self.answered])

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\n"):
            self.answered += 1
            if self.answered < len(self._frames):
                self.send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)


async def _load(port: int) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    loggers: list[Logger] = []
    for number in range(LOGGERS):
        frames = frames_of(number)
        _, logger = await loop.create_connection(lambda frames=frames: Logger(frames), "127.0.0.1", port)
        loggers.append(logger)
    began = time.perf_counter()
    for logger in loggers:
        logger.send()
    await asyncio.gather(*(logger.done for logger in loggers))
    return sum(logger.answered for logger in loggers), time.perf_counter() - began


async def _gateway(ready: Callable[[int], Awaitable[None]]) -> int:
    async def keep(arrival: Arrival) -> None:
        assert len(arrival.readings) == len(CODES)

    return await _served(keep, ready)


async def _stored(ready: Callable[[int], Awaitable[None]]) -> int:
    with TemporaryDirectory() as folder, Store(Path(folder) / "edge.db", remembered=LOGGERS * FRAMES) as store:
        inbox = Inbox(store, bound=1 << 30)
        writing = asyncio.create_task(inbox.write())
        await _served(inbox.keep, ready)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        return len({(one.arrival.device, one.arrival.raw) for one in store.inbox()})


async def _served(keep: Keep, ready: Callable[[int], Awaitable[None]]) -> int:
    source = Hj212Source(settings())
    serving = asyncio.create_task(source.serve(keep))
    await source.listening.wait()
    await ready(source.port)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return source.counts["kept"]


async def _echo(ready: Callable[[int], Awaitable[None]]) -> None:
    async def attend(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(READ_BYTES):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(attend, "127.0.0.1", 0, backlog=LOGGERS)
    await ready(server.sockets[0].getsockname()[1])
    server.close()


def _serve(serve: Callable[[Callable[[int], Awaitable[None]]], Awaitable[int | None]], pipe: Connection) -> None:
    async def ready(port: int) -> None:
        pipe.send(port)
        # the loggers connect, and then say when they begin and when they are done
        for _ in range(2):
            await asyncio.to_thread(pipe.recv)
            pipe.send(time.process_time())

    async def main() -> int | None:
        return await serve(ready)

    gc.set_threshold(*COLLECT)  # as every command does

    run_ = asyncio.run if serve is _echo else uvloop.run  # as `carbonledger gateway` does
    pipe.send(run_(main()))


def measure(what: str, serve: Callable[[Callable[[int], Awaitable[None]]], Awaitable[int | None]]) -> Measured:
    """One server in a process of its own, and all loggers here."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(serve, there))
    process.start()
    try:
        port = here.recv()
        here.send(None)
        before = here.recv()
        frames, seconds = asyncio.run(_load(port))
        here.send(None)
        cpu = here.recv() - before
        kept = here.recv()
    finally:
        process.join(10)
        process.kill()
    return Measured(what, frames, frames / seconds, frames / cpu, kept)


def run() -> list[Measured]:
    """The gateway with its store, without, and the floor. None of the frames may be lost."""
    found = [
        measure("on disk", _stored),
        measure("kept nowhere", _gateway),
        measure("asyncio's echo", _echo),
    ]
    for one in found:
        assert one.frames == LOGGERS * FRAMES, f"{one.what}: {one.frames} answers"
        assert one.kept in (None, one.frames), f"{one.what}: {one.kept} kept"
    return found


if __name__ == "__main__":
    for row in run():
        print(
            f"{row.what:<16} {row.frames:>7,} frames of {LOGGERS:,} loggers, all answered: {row.rate:>7,.0f}/s; "
            f"{row.cpu_rate:>7,.0f}/s of one core, {1e6 / row.cpu_rate:.0f} µs CPU a frame"
        )
