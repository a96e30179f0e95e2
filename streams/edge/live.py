"""The live gateway: what devices say becomes signed packets.

    sources ──▶ inbox, on disk ──▶ answered
                  │ by count, size or age
                  ▼
              packet and frames, in one transaction ──▶ meter.readings, meter.frames

Sources and packing run on one event loop; what waits for the disk or the broker runs on threads beside it. Whatever
ends the process, the next start goes on: an arrival that was answered is in the inbox or in exactly one packet. The
uplink may be away for as long as the disk has room.
"""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from types import MappingProxyType
from typing import Any

import structlog
from confluent_kafka import KafkaException

from carbon import packet
from carbon.frames import Message
from schemas import topics
from schemas.metrics import DISK, DISK_BOUND, QUEUE, SEQUENCE, UPLINK_LAG, Figure
from schemas.observed import Observed
from streams import flow
from streams.edge.counter import Counted, amounts
from streams.edge.downlink import Downlink
from streams.edge.inbox import Inbox
from streams.edge.packing import Kept, Load, PacketLimits, fill, is_due, sending_time
from streams.edge.sender import Sender, SendError
from streams.edge.signer import Signer
from streams.edge.sources import LiveSource
from streams.edge.store import Store

RETRY_SECONDS = 10.0
"""How long after an error of a source, the disk or the broker it is tried again."""
LAST_SECONDS = 2.0
"""How long the broker may take for the last packets once the process is to stop."""
REPORT_SECONDS = 1.0
TICK_SECONDS = 0.1
"""How exactly the age of what waits is kept."""
IN_FLIGHT = 64

_log = structlog.get_logger(__name__)


class Packer:
    """Makes packets of what stands in the inbox, and of what its `counters` have counted.

    `clock_is_back` says that it waits for a wrong clock to be set; `steps` counts by verdict what became of the
    counters' steps since the start.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        limits: PacketLimits,
        future_ms: int,
        counters: Mapping[str, Counted] = MappingProxyType({}),
    ) -> None:
        self._store, self._signer, self._limits, self._future_ms = store, signer, limits, future_ms
        self._counters = counters
        self.steps: Counter[str] = Counter()
        self.sent_at = int(store.position() or 0)
        self.clock_is_back = False
        self.packets = 0
        self._alone = Lock()

    def pack(self, wall: int) -> Load | None:
        """Keep the next packet, at `wall` in ms UTC by the machine's clock; what it took, None when the clock is back.

        Raises sqlite3.Error; then nothing has changed.
        """
        with self._alone:
            return self._pack(wall)

    def _pack(self, wall: int) -> Load | None:
        kept = fill(self._store.inbox(), self._limits)
        readings = [reading for one in kept for reading in one.arrival.readings]
        sent_at = sending_time(self.sent_at, wall, max((r.at for r in readings), default=0), self._future_ms)
        self._note(clock_is_back=sent_at is None)
        if sent_at is None:
            return None
        counted, registers, steps = amounts(self._counters, readings, self._store.register, sent_at + self._future_ms)
        head = self._store.head()
        signed = self._signer.packet(head, readings + counted, sent_at)
        frames = self._signer.frames(head.sequence + 1, signed.body, _messages(kept)) if kept else None
        self._store.append(*signed, str(sent_at), frames, kept[-1].number if kept else 0, registers)
        self.steps.update(steps)
        self.sent_at = sent_at
        self.packets += 1
        return Load.of(one.arrival for one in kept)

    def _note(self, *, clock_is_back: bool) -> None:
        if clock_is_back and not self.clock_is_back:
            _log.error(
                "the clock has gone back behind the last packet: nothing is packed until it is set", last=self.sent_at
            )
        self.clock_is_back = clock_is_back


def _messages(kept: Sequence[Kept]) -> list[Message]:
    return [Message(one.arrival.device, one.received, one.arrival.raw) for one in kept]


class Uplink:
    """Sends what is stored, on a thread of its own. `refusal` is what the broker said last, if it refused a packet.

    With more than `most_behind` packets waiting for the channel's ingest it keeps its own on disk; `silent`, unless it
    is empty, is why it keeps all of them.

    Raises KafkaException for settings that are none of Kafka's.
    """

    def __init__(
        self, kafka: Mapping[str, str], gateway: str, store: Store, most_behind: int, silent: str = ""
    ) -> None:
        self._kafka, self._gateway, self._store, self._silent = kafka, gateway, store, silent
        self.stop = Event()
        self.refusal = silent
        self._sender = self._connect()
        self.ingest = flow.Downstream(kafka, flow.INGEST, topics.METER_READINGS, most_behind)
        self._seen = self._sender.delivered

    def _connect(self) -> Sender:
        # an uplink that is away would fill the log with every attempt to connect; the status says how far behind it is
        kafka = {"log_level": "2", **self._kafka}
        return Sender(kafka, self._gateway, self._store, self.stop, limit=IN_FLIGHT)

    @property
    def delivered(self) -> int:
        """The last sequence that the broker has acknowledged with all before it."""
        return self._sender.delivered

    def run(self) -> None:
        """Send until `stop`, and LAST_SECONDS more. What is refused is tried again, what is left stays stored."""
        if self._silent:
            _log.error("nothing is sent", reason=self._silent)
            self.stop.wait()
        while not self.stop.is_set():
            try:
                self._send()
            except (SendError, KafkaException, sqlite3.Error) as error:
                self.refusal = str(error)
                _log.error("not sent", reason=self.refusal)
                self.stop.wait(RETRY_SECONDS)
                self._sender = self._connect()
        self.ingest.close()

    def _held(self) -> bool:
        """Whether ingest is too far behind; asked only of a broker that answers."""
        if self.ingest.held or self.delivered != self._seen:
            self._seen = self.delivered
            self.ingest.look()
        return self.ingest.held

    def _send(self) -> None:
        sender = self._sender
        while not self.stop.is_set():
            for stored in self._store.unsent(sender.last):
                if self._held() or self.stop.is_set():
                    break
                sender.send(stored)
            sender.serve(0.1)
            if sender.delivered == sender.last:
                self.refusal = ""
        if self.ingest.held:
            return
        for stored in islice(self._store.unsent(sender.last), max(0, IN_FLIGHT - sender.last + sender.delivered)):
            sender.send(stored)
        sender.drain(LAST_SECONDS)


class LiveGateway:
    """One gateway with its sources, until `stop` is set. `status`, if given, is a file that says how it stands.

    With a `downlink` it takes operators' commands. `registry` is the height of the registry that it goes by; what is
    `silent` is the uplink's.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        signer: Signer,
        sources: Mapping[str, LiveSource],
        *,
        kafka: Mapping[str, str],
        limits: PacketLimits,
        future_ms: int,
        status: Path | None = None,
        downlink: Downlink | None = None,
        counters: Mapping[str, Counted] = MappingProxyType({}),
        most_behind: int = flow.MOST_BEHIND,
        silent: str = "",
        registry: int = 0,
        observed: Observed | None = None,
    ) -> None:
        self._store, self._signer, self._sources, self._registry = store, signer, sources, registry
        self.inbox, self._limits, self._status = inbox, limits, status
        self._packer = Packer(store, signer, limits, future_ms, counters)
        self._uplink = Uplink(kafka, signer.gateway, store, most_behind, silent)
        self._observed = observed or Observed()
        self._observed.shows("gateway", self.figures)
        self._observed.needs("uplink", lambda: self._uplink.refusal or None)
        self._links: list[Uplink | Downlink] = [self._uplink] if downlink is None else [self._uplink, downlink]

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then pack what waits, and give the uplink a moment. Nothing kept is ever lost."""
        serving = [asyncio.create_task(self._serve(name, source)) for name, source in self._sources.items()]
        linked = [asyncio.create_task(asyncio.to_thread(link.run)) for link in self._links]
        own = [asyncio.create_task(part()) for part in (self.inbox.write, self._pack, self._report)]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *linked, *own], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel([*serving, stopping])
            failed = await _cancel(own)
            if not failed:
                await asyncio.to_thread(self._pack_all)
            for link in self._links:
                link.stop.set()
            await asyncio.gather(*linked)
            self._write_status(done=True)
        if failed:
            raise failed[0]

    async def _serve(self, name: str, source: LiveSource) -> None:
        """Run a source for ever: one that fails, for a port that is taken or a fault of its own, begins again."""
        while True:
            try:
                await source.serve(self.inbox.keep)
            except Exception as error:
                # whatever it is, the other sources must go on
                _log.error("the source failed and begins again", source=name, error=repr(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _pack(self) -> None:
        """Pack whenever it is due."""
        packed = first = time.monotonic()
        while True:
            now = time.monotonic()
            if self.inbox.load.arrivals <= 0:
                first = now
            if not self._due(now - first, now - packed):
                await self._wait()
            elif await self._pack_once():
                packed = first = time.monotonic()
            else:
                await asyncio.sleep(REPORT_SECONDS)

    def _due(self, waiting: float, silent: float) -> bool:
        load = self.inbox.load
        # an empty packet on a full disk would only take the room: a later one says the same
        return is_due(load, waiting, silent, self._limits) and (load.arrivals > 0 or not self.inbox.full)

    async def _wait(self) -> None:
        # wait_for of Python 3.11 swallows a cancellation that comes with what it waits for, and the end never came
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self.inbox.filled.wait()
        self.inbox.filled.clear()

    async def _pack_once(self) -> bool:
        try:
            took, used = await asyncio.to_thread(lambda: (self._packer.pack(_now()), self._store.bytes_used()))
        except sqlite3.Error as error:
            _log.error("not packed", reason=str(error))
            return False
        self.inbox.look(used)
        if took is None:
            return False
        self.inbox.load -= took
        return True

    def _pack_all(self) -> None:
        try:
            while any(self._store.inbox(page=1)) and (took := self._packer.pack(_now())) is not None:
                self.inbox.load -= took
        except sqlite3.Error as error:
            _log.error("not packed", reason=str(error))

    async def _report(self) -> None:
        while True:
            self._observed.turned()
            self._write_status(done=False)
            await asyncio.sleep(REPORT_SECONDS)

    def _write_status(self, *, done: bool) -> None:
        if self._status is None:
            return
        fresh = self._status.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self.state() | {"done": done}) + "\n")
            fresh.replace(self._status)
        except OSError as error:
            _log.error("the status file can't be written", reason=str(error))

    def figures(self) -> Iterator[Figure]:
        """The part of it that Prometheus is given."""
        state = self.state()
        yield SEQUENCE.of(state["sequence"])
        yield UPLINK_LAG.of(state["lag_seconds"])
        yield DISK.of(state["bytes"])
        yield DISK_BOUND.of(state["bytes_bound"])
        yield QUEUE.of(state["unsent"], "unsent packets")
        yield QUEUE.of(state["waiting"], "arrivals")

    def state(self) -> dict[str, Any]:
        """How it stands: counts since the start, sequences, bytes, and `lag_seconds` of the oldest thing unsent."""
        inbox, sequence, delivered = self.inbox, self._store.head().sequence, self._uplink.delivered
        oldest = next(self._store.unsent(page=1), None)
        waiting = next(self._store.inbox(page=1), None)
        since = packet.decode_body(oldest.body).sent_at if oldest else waiting.received if waiting else None
        return {
            "gateway": self._signer.gateway,
            "run": self._signer.run,
            "registry": self._registry,
            "sequence": sequence,
            "delivered": delivered,
            "unsent": sequence - delivered,
            "lag_seconds": 0.0 if since is None else max(0, _now() - since) / 1000,
            "sent_at": self._packer.sent_at or None,
            "arrivals": sum(inbox.counts[name] for name in ("kept", "repeated", "refused")),
            **inbox.counts,
            "waiting": inbox.load.arrivals,
            "packets": self._packer.packets,
            "bytes": inbox.used,
            "bytes_bound": inbox.bound,
            "slow_down": inbox.slow_down,
            **self._uplink.ingest.state(),
            "clock_is_back": self._packer.clock_is_back,
            "steps": dict(self._packer.steps),
            "refusal": self._uplink.refusal,
            "sources": {name: dict(source.counts) for name, source in self._sources.items()},
        }


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> list[BaseException]:
    """Cancel the tasks and wait for their ends; what those raised that had failed."""
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [end for end in ends if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError)]


def _now() -> int:
    return time.time_ns() // 1_000_000
