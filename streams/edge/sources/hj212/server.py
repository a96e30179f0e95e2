"""The TCP server for loggers: a live source of many connections in one event loop, a task each and no thread.

A frame is kept before it is answered. What can't be kept for want of room is not answered, and the logger sends it
again (after 10 s, three times: HJ 212-2017, table 1), with the same bytes, which the store knows.
"""

import asyncio
from asyncio import Future, StreamReader, StreamWriter, Task
from math import inf
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.edge.sources import Arrival, Keep, NoRoom
from streams.edge.sources.hj212.devices import Device
from streams.edge.sources.hj212.frame import HIGHEST_SEGMENT, MAX_SEGMENT, FrameReader
from streams.edge.sources.hj212.message import MessageError
from streams.edge.sources.hj212.reception import Reception
from streams.edge.sources.refusals import Refusals

LOG = structlog.get_logger(__name__)
READ_BYTES = 8192
BACKLOG = 1024


class Hj212Settings(BaseModel):
    """Where loggers connect, and what is expected of them. Times in seconds.

    A connection must show a message of a registered device within `first_seconds`, and again within `idle_seconds`: the
    standard's longest interval of reports is an hour (RtdInterval, table 4). It must finish a frame that it began, and
    take an answer, within `frame_seconds`. `max_faults` frames in a row that are damaged or refused end it too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hj212"] = "hj212"
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    devices: tuple[Device, ...]
    max_segment: int = Field(default=MAX_SEGMENT, ge=64, le=HIGHEST_SEGMENT)
    max_connections: int = Field(default=4096, ge=1)
    max_faults: int = Field(default=100, ge=1)
    first_seconds: float = Field(default=60.0, gt=0)
    frame_seconds: float = Field(default=30.0, gt=0)
    idle_seconds: float = Field(default=4000.0, gt=0)
    sweep_seconds: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "Hj212Settings":
        if len({device.mn for device in self.devices}) != len(self.devices):
            raise ValueError("a device is registered twice")
        return self


class _Connection:
    """One connection: its bytes, its faults since the last good message, and when it is cut off (`inf` for never)."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, frames: FrameReader, deadline: float) -> None:
        self.reader, self.writer, self.frames = reader, writer, frames
        self.faults = 0
        self.message_due = self.deadline = deadline
        self.frame_due = inf


class Hj212Source:
    """The live source. `counts` says by name what has become of connections and frames: docs/hj212.md."""

    def __init__(self, settings: Hj212Settings) -> None:
        self._settings = settings
        self.refusals = Refusals(f"hj212 {settings.host}:{settings.port}")
        self.counts = self.refusals.counts
        self._reception = Reception(settings.devices, self.counts)
        self._tasks: dict[_Connection, Task[None]] = {}
        self.listening = asyncio.Event()
        self.port = settings.port
        """What is listened on, once `listening` is set."""

    async def serve(self, keep: Keep) -> None:
        """Receive until cancelled. What `keep` raises but NoRoom ends the source, and is raised here."""
        self._keep, self._loop = keep, asyncio.get_running_loop()
        self._failed: Future[None] = self._loop.create_future()
        settings = self._settings
        server = await asyncio.start_server(
            self._connected, settings.host, settings.port, limit=READ_BYTES, backlog=BACKLOG
        )
        self.port = server.sockets[0].getsockname()[1]
        sweeper = self._loop.create_task(self._sweep())
        self.listening.set()
        try:
            await self._failed
        finally:
            self.listening.clear()
            server.close()
            sweeper.cancel()
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(sweeper, *tasks, return_exceptions=True)

    def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.counts["connections"] += 1
        if len(self._tasks) >= self._settings.max_connections:
            self.refusals.count("connections_refused", f"{writer.get_extra_info('peername')}")
            writer.transport.abort()
            return
        frames = FrameReader(self._settings.max_segment)
        connection = _Connection(reader, writer, frames, self._loop.time() + self._settings.first_seconds)
        task = self._tasks[connection] = self._loop.create_task(self._attend(connection))
        task.add_done_callback(lambda _: self._ended(connection))

    def _ended(self, connection: _Connection) -> None:
        del self._tasks[connection]
        connection.writer.transport.abort()

    async def _sweep(self) -> None:
        """Cut off who is past its time: one clock for all, where a timeout around each read would cost as much."""
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            now = self._loop.time()
            for connection in [one for one in self._tasks if one.deadline < now]:
                self.counts["connections_timed_out"] += 1
                connection.deadline = inf
                connection.writer.transport.abort()

    async def _attend(self, connection: _Connection) -> None:
        try:
            while data := await connection.reader.read(READ_BYTES):
                frames = connection.frames.feed(data)
                self._count_dropped(connection)
                for raw in frames:
                    await self._handle(connection, raw)
                if connection.faults > self._settings.max_faults:
                    self.refusals.count("connections_noisy", f"{connection.writer.get_extra_info('peername')}")
                    return
                self._expect(connection, finished=bool(frames))
        except OSError:
            self.counts["connections_lost"] += 1
        except Exception:
            # whatever a logger's bytes do to this program, the other loggers are served on
            self.counts["connections_broken"] += 1
            LOG.exception("a connection is given up")

    def _count_dropped(self, connection: _Connection) -> None:
        if dropped := connection.frames.dropped:
            connection.faults += dropped["wrong_length"] + dropped["wrong_crc"]
            self.counts.update(dropped)
            dropped.clear()

    def _expect(self, connection: _Connection, *, finished: bool) -> None:
        if not connection.frames.pending:
            connection.frame_due = inf
        elif finished or connection.frame_due == inf:
            connection.frame_due = self._loop.time() + self._settings.frame_seconds
        connection.deadline = min(connection.message_due, connection.frame_due)

    async def _handle(self, connection: _Connection, raw: bytes) -> None:
        self.counts["frames"] += 1
        try:
            received = self._reception.receive(raw, self._loop.time())
        except MessageError as error:
            self.refusals.count(error.reason, str(error))
            connection.faults += 1
            return
        connection.faults = 0
        connection.message_due = self._loop.time() + self._settings.idle_seconds
        if received.arrival is not None and not await self._kept(connection, received.arrival):
            return
        if received.answer is not None:
            connection.deadline = self._loop.time() + self._settings.frame_seconds
            connection.writer.write(received.answer)
            await connection.writer.drain()
            self.counts["answered"] += 1

    async def _kept(self, connection: _Connection, arrival: Arrival) -> bool:
        """Whether the arrival is kept. While it waits for the disk, nothing is due from the logger."""
        connection.deadline = inf
        try:
            await self._keep(arrival)
        except NoRoom as refusal:
            self.refusals.count("no_room", f"{arrival.device}: {refusal}")
            return False
        except Exception as error:
            if not self._failed.done():
                self._failed.set_exception(error)
            return False
        self.counts["kept"] += 1
        return True
