"""The inbox of live sources: what a device said is on disk before the device is answered.

Many sources hand over at once and share one sync: while one group is written, by a thread, the next one gathers. The
disk is bounded: from NEAR of the bound on devices should send less, at the bound nothing more is taken.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import structlog

from carbon.frames import MAX_BYTES
from carbon.packet import AT_LIMIT, MAX_READINGS
from streams.edge.packing import Load
from streams.edge.sources import Arrival, NoRoom, RawReading
from streams.edge.store import Store

NEAR = 0.8
MAX_MESSAGE = MAX_BYTES * 9 // 10
"""Bytes of one message that fit into the frames of a packet, compressed or not."""
GROUP = 1_000
GROUP_BYTES = 1 << 23
"""Arrivals that one sync takes at most, and about their bytes: so that none waits for long, nor the log grows."""

_log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    received: int
    arrival: Arrival
    load: Load
    done: asyncio.Future[None]


class Inbox:
    """Keeps arrivals, with a group commit, in at most `bound` bytes on disk, each of at most `most` readings.

    `keep` is what sources are given, `write` runs beside them. `load` is what stands in the inbox, `counts` what became
    of arrivals since the start; `filled` is set when something new stands there, and cleared by whoever packs it.
    """

    def __init__(self, store: Store, bound: int, most: int = MAX_READINGS) -> None:
        self._store, self.bound, self._most = store, bound, most
        self._gathered: list[_Waiting] = []
        self._under_way = 0
        self._came = asyncio.Event()
        self.load = Load.of(kept.arrival for kept in store.inbox())
        self.counts: Counter[str] = Counter(kept=0, repeated=0, refused=0, unusable=0)
        self.filled = asyncio.Event()
        self.used = store.bytes_used()
        self.slow_down = False
        """Whether the disk is nearly full: sources and whoever sets frequencies should ask devices for less."""
        self.look(self.used)

    @property
    def full(self) -> bool:
        """Whether the disk's bound may be reached by the next message."""
        return self.used + MAX_MESSAGE > self.bound

    def keep(self, arrival: Arrival) -> asyncio.Future[None]:
        """Done once the arrival is on disk, or was before. Awaited, raises NoRoom, also for one that no packet can
        carry.

        A reading without a time or flag that a packet can state is left out and counted; the message's bytes stay.
        """
        sound = [reading for reading in arrival.readings if usable(reading)]
        if left_out := len(arrival.readings) - len(sound):
            self._count("unusable", f"{arrival.device}: time or flag", left_out)
            arrival = arrival._replace(readings=tuple(sound))
        load, done = Load.of((arrival,)), asyncio.get_running_loop().create_future()
        if load.bytes > MAX_MESSAGE or load.readings > self._most:
            what = f"{arrival.device}: {len(arrival.raw)} bytes, {load.readings} readings in one message"
            done.set_exception(self._refuse(what))
        elif self.used + self._under_way + load.bytes > self.bound:
            done.set_exception(self._refuse(f"the disk is full: {self.used} of {self.bound} bytes are used"))
        else:
            self._gathered.append(_Waiting(time.time_ns() // 1_000_000, arrival, load, done))
            self._under_way += load.bytes
            self._came.set()
        return done

    def _refuse(self, reason: str) -> NoRoom:
        self._count("refused", reason)
        return NoRoom(reason)

    def _count(self, what: str, detail: str, number: int = 1) -> None:
        """Count, and say so at each power of ten."""
        before, after = self.counts[what], self.counts[what] + number
        self.counts[what] = after
        if len(str(after)) > len(str(before)) or not before:
            _log.warning(what, number=after, detail=detail)

    def look(self, used: int) -> None:
        """Take note that the store uses so many bytes now."""
        self.used = used
        near = used >= NEAR * self.bound
        if near != self.slow_down:
            said = "the disk is nearly full, devices should send less" if near else "the disk has room again"
            _log.warning(said, used=used, bound=self.bound)
        self.slow_down = near

    async def write(self) -> None:
        """Put on disk what has gathered, group after group, until cancelled."""
        while True:
            await self._came.wait()
            group = self._group()
            try:
                new, used = await asyncio.to_thread(self._put, group)
            except sqlite3.Error as error:
                self._fail(group, f"the store can't be written: {error}")
            else:
                self._answer(group, new)
                self.look(used)
            self._under_way -= sum(one.load.bytes for one in group)

    def _group(self) -> list[_Waiting]:
        """The next to be written, at least one, taken out of those that wait."""
        sizes = accumulate(one.load.bytes for one in self._gathered[:GROUP])
        count = max(1, sum(size <= GROUP_BYTES for size in sizes))
        group, self._gathered = self._gathered[:count], self._gathered[count:]
        if not self._gathered:
            self._came.clear()
        return group

    def _put(self, group: Sequence[_Waiting]) -> tuple[list[bool], int]:
        return self._store.keep([(one.received, one.arrival) for one in group]), self._store.bytes_used()

    def _answer(self, group: Sequence[_Waiting], new: Iterable[bool]) -> None:
        for one, is_new in zip(group, new, strict=True):
            self.counts["kept" if is_new else "repeated"] += 1
            if is_new:
                self.load += one.load
            if not one.done.done():
                one.done.set_result(None)
        self.filled.set()

    def _fail(self, group: Sequence[_Waiting], reason: str) -> None:
        for one in group:
            refusal = self._refuse(reason)
            if not one.done.done():
                one.done.set_exception(refusal)


def usable(reading: RawReading) -> bool:
    """Whether a packet can state the reading's time and flag; one that it can't would spoil the whole packet."""
    return 0 <= reading.at < AT_LIMIT and len(reading.flag) == 1 and reading.flag.isascii()
