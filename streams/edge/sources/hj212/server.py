"""The TCP server for loggers: a live source of many connections in one event loop, with neither tasks nor threads.

A frame is kept before it is answered. What can't be kept for want of room is not answered, and the logger sends it
again (after 10 s, three times: HJ 212-2017, table 1), with the same bytes, which the store knows.
"""

import asyncio
from asyncio import Future
from collections import deque
from math import inf
from typing import Literal, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.edge.sources import Arrival, Keep, NoRoom
from streams.edge.sources.hj212.devices import Device
from streams.edge.sources.hj212.frame import HIGHEST_SEGMENT, MAX_SEGMENT, FrameReader
from streams.edge.sources.hj212.message import MessageError
from streams.edge.sources.hj212.reception import Received, Reception
from streams.edge.sources.refusals import Refusals

LOG = structlog.get_logger(__name__)
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


class _Connection(asyncio.Protocol):
    """One connection: its bytes, its faults since the last good message, and when it is cut off (`inf` for never).

    One frame after the other is handled: the next when the one before is kept and its answer is on its way. What comes
    meanwhile is held, and no more is read.
    """

    def __init__(self, source: "Hj212Source") -> None:
        self._source, self._settings, self._loop = source, source.settings, asyncio.get_running_loop()
        self._frames = FrameReader(self._settings.max_segment)
        self._pending, self._held = deque[bytes](), b""
        self._waiting: Future[None] | None = None
        self._is_full = self._is_paused = self._has_ended = self._is_over = False
        self._has_finished = False
        self._faults = 0
        self._message_due = self.deadline = self._loop.time() + self._settings.first_seconds
        self._frame_due = inf

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, or refuse it where there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._is_over = not self._source.admit(self, self._peer)

    @property
    def _peer(self) -> str:
        return str(self._transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        """Handle what has come, or hold it while something is waited for."""
        self._held += data
        if self._is_busy:
            self._is_paused = True
            self._transport.pause_reading()
        else:
            self._go_on()

    def eof_received(self) -> bool:
        """Whether the connection stays open: for the answers to what was sent before its end."""
        self._has_ended = True
        return self._is_busy

    def pause_writing(self) -> None:
        """The logger doesn't take its answers."""
        self._is_full = True
        self.deadline = self._loop.time() + self._settings.frame_seconds

    def resume_writing(self) -> None:
        """It does again."""
        self._is_full = False
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """What is being kept is kept; nobody is there to be answered."""
        self._is_over = True
        self._source.dismiss(self)
        if exc is not None:
            self._source.counts["connections_lost"] += 1

    # -- what is done about it

    @property
    def _is_busy(self) -> bool:
        return self._waiting is not None or self._is_full or self._is_over

    def end(self) -> None:
        """Cut it off."""
        self._is_over = True
        self._transport.abort()
        if self._waiting is not None:
            self._waiting.cancel()

    def _go_on(self) -> None:
        """Handle frame after frame until something is to be waited for."""
        try:
            while not self._is_busy:
                if self._pending:
                    self._handle(self._pending.popleft())
                elif self._held:
                    self._feed()
                else:
                    self._settle()
                    return
        except Exception:
            # whatever a logger's bytes do to this program, the other loggers are served on
            self._source.counts["connections_broken"] += 1
            LOG.exception("a connection is given up")
            self.end()

    def _feed(self) -> None:
        data, self._held = self._held, b""
        self._pending.extend(self._frames.feed(data))
        self._has_finished = self._has_finished or bool(self._pending)
        if dropped := self._frames.dropped:
            self._faults += dropped["wrong_length"] + dropped["wrong_crc"]
            self._source.counts.update(dropped)
            dropped.clear()

    def _settle(self) -> None:
        """Everything that has come is done with."""
        if self._is_noisy():
            return
        if not self._frames.pending:
            self._frame_due = inf
        elif self._has_finished or self._frame_due == inf:
            self._frame_due = self._loop.time() + self._settings.frame_seconds
        self._has_finished = False
        self.deadline = min(self._message_due, self._frame_due)
        if self._has_ended:
            self._transport.close()
        elif self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _is_noisy(self) -> bool:
        if self._faults > self._settings.max_faults:
            self._source.refusals.count("connections_noisy", self._peer)
            self.end()
        return self._is_over

    def _handle(self, raw: bytes) -> None:
        now = self._loop.time()
        try:
            received = self._source.receive(raw, now)
        except MessageError as error:
            self._source.refusals.count(error.reason, str(error))
            self._faults += 1
            self._is_noisy()
            return
        self._faults = 0
        self._message_due = now + self._settings.idle_seconds
        if received.arrival is None:
            self._answer(received)
        else:
            self._keep(received, received.arrival)

    def _keep(self, received: Received, arrival: Arrival) -> None:
        """Have the arrival kept, and go on then. While it waits for the disk, nothing is due from the logger."""
        self.deadline = inf
        self._waiting = asyncio.ensure_future(self._source.keep(arrival))
        self._waiting.add_done_callback(lambda kept: self._kept(received, arrival, kept))

    def _kept(self, received: Received, arrival: Arrival, kept: Future[None]) -> None:
        self._waiting = None
        if kept.cancelled():
            return
        if error := kept.exception():
            self._source.refuse(arrival, error)
        else:
            self._source.counts["kept"] += 1
            self._answer(received)
        self._go_on()

    def _answer(self, received: Received) -> None:
        if received.answer is not None and not self._is_over:
            self._transport.write(received.answer)
            self._source.counts["answered"] += 1


class Hj212Source:
    """The live source. `counts` says by name what has become of connections and frames: docs/hj212.md."""

    def __init__(self, settings: Hj212Settings) -> None:
        self.settings = settings
        self.refusals = Refusals(f"hj212 {settings.host}:{settings.port}")
        self.counts = self.refusals.counts
        self._reception = Reception(settings.devices, self.counts)
        self._connections: set[_Connection] = set()
        self.listening = asyncio.Event()
        self.port = settings.port
        """What is listened on, once `listening` is set."""

    async def serve(self, keep: Keep) -> None:
        """Receive until cancelled. What `keep` raises but NoRoom ends the source, and is raised here."""
        self.keep, loop = keep, asyncio.get_running_loop()
        self._failed: Future[None] = loop.create_future()
        settings = self.settings
        server = await loop.create_server(lambda: _Connection(self), settings.host, settings.port, backlog=BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        sweeper = loop.create_task(self._sweep())
        self.listening.set()
        try:
            await self._failed
        finally:
            self.listening.clear()
            server.close()
            sweeper.cancel()
            for connection in list(self._connections):
                connection.end()
            self._connections.clear()
            await asyncio.gather(sweeper, return_exceptions=True)

    def admit(self, connection: _Connection, peer: str) -> bool:
        """Whether there is room for one more connection; without any it is cut off."""
        self.counts["connections"] += 1
        self._connections.add(connection)
        if len(self._connections) > self.settings.max_connections:
            self.refusals.count("connections_refused", peer)
            connection.end()
            return False
        return True

    def dismiss(self, connection: _Connection) -> None:
        """A connection is no more."""
        self._connections.discard(connection)

    def receive(self, raw: bytes, now: float) -> Received:
        """What to do about a whole frame; `now` in seconds. Raises MessageError for what is refused."""
        self.counts["frames"] += 1
        return self._reception.receive(raw, now)

    def refuse(self, arrival: Arrival, error: BaseException) -> None:
        """An arrival was not kept: for want of room, or because the source is at its end."""
        if isinstance(error, NoRoom):
            self.refusals.count("no_room", f"{arrival.device}: {error}")
        elif not self._failed.done():
            self._failed.set_exception(error)

    async def _sweep(self) -> None:
        """Cut off who is past its time: one clock for all, where a timeout for each would cost as much as a frame."""
        while True:
            await asyncio.sleep(self.settings.sweep_seconds)
            now = asyncio.get_running_loop().time()
            for connection in [one for one in self._connections if one.deadline < now]:
                self.counts["connections_timed_out"] += 1
                connection.deadline = inf
                connection.end()
