"""The live gateway: how fast what devices say is made durable, what it takes on disk, how fast a backlog goes out.

`python -m tests.benchmarks.edge`. A day's backlog is that of DEVICES loggers with a message a minute, packed by count
as the gateway packs; it goes to a real broker. Beside the inbox stands a file to which the same bytes are appended in
groups of the same size, each synced by fdatasync: the least that durable can cost.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from threading import Event
from typing import NamedTuple

import psutil

from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import topics
from streams.edge.inbox import Inbox
from streams.edge.live import Packer
from streams.edge.packing import PacketLimits
from streams.edge.sender import Sender
from streams.edge.signer import Signer
from streams.edge.sources import Arrival, RawReading
from streams.edge.store import Store

DEVICES = 100
POINTS = 8
AT_ONCE = 200
"""Devices that wait for their answers at one time."""
BURST = 30_000
DAY_SECONDS = 86_400
START = 1_700_000_000_000
_HEAD = "ST=31;CN=2011;PW=123456;MN=010000A8900016F0000000{:02X};Flag=5;CP=&&DataTime={};"


class Kept(NamedTuple):
    """Arrivals a second by the inbox and by the bare file, CPU µs an arrival, and how many shared a sync on average."""

    rate: float
    floor: float
    cpu_us: float
    group: float


class Backlog(NamedTuple):
    """A day's backlog: seconds until the broker had it, its readings, bytes a reading on disk, and MiB of memory
    before and at most while it went out."""

    seconds: float
    readings: int
    disk_bytes: float
    memory: tuple[float, float]


def arrivals() -> Iterator[Arrival]:
    """What the loggers say, for ever: a message each, minute after minute; values that wander as measured ones do."""
    minute = 0
    while True:
        for device in range(DEVICES):
            at = START + minute * 60_000
            values = [(minute * (7 + point) + device * 31) % 997 / 10 for point in range(POINTS)]
            items = ";".join(f"a{5000 + n}-Rtd={value},a{5000 + n}-Flag=N" for n, value in enumerate(values))
            data = f"##0000QN={at};{_HEAD.format(device, at)}{items}&&1C80\r\n"
            read = (RawReading(f"p-{device}-{n}", at, Decimal(str(value))) for n, value in enumerate(values))
            yield Arrival(f"logger-{device}", data.encode(), tuple(read))
        minute += 1


def keeping(folder: Path) -> Kept:
    """The inbox's rate, with AT_ONCE devices that each wait for their answer before they send again."""
    came, groups = list(islice(arrivals(), BURST)), list[int]()

    async def run(store: Store) -> tuple[float, float]:
        inbox, left = Inbox(store, 1 << 33), iter(came)
        keep = store.keep
        store.keep = lambda group: (groups.append(len(group)), keep(group))[1]  # type: ignore[method-assign]
        writing = asyncio.create_task(inbox.write())

        async def device() -> None:
            for arrival in left:
                await inbox.keep(arrival)

        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(device() for _ in range(AT_ONCE)))
        took = time.perf_counter() - began, time.process_time() - used
        writing.cancel()
        return took

    with Store(folder / "inbox.db") as store:
        took, used = asyncio.run(run(store))
    group = round(len(came) / len(groups))
    return Kept(BURST / took, BURST / _bare(folder / "file", came, group), used / BURST * 1e6, group)


def _bare(path: Path, came: list[Arrival], group: int) -> float:
    began, file = time.perf_counter(), os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for first in range(0, len(came), group):
        os.write(file, b"".join(one.raw + repr(one.readings).encode() for one in came[first : first + group]))
        os.fdatasync(file)
    os.close(file)
    return time.perf_counter() - began


def backlog(folder: Path) -> Backlog:
    """A day without an uplink, and how it goes out when that is back."""
    with Store(folder / "day.db") as store, Broker(folder / "kafka") as broker:
        empty = store.bytes_used()
        readings = _day(store)
        disk = (store.bytes_used() - empty) / readings
        client = {"bootstrap.servers": broker.bootstrap}
        ensure_topics(client, [topics.topic(topics.METER_READINGS), topics.topic(topics.METER_FRAMES)], topics.Bounds())
        before = peak = _memory()
        began = time.perf_counter()
        sender = Sender(client, "edge-1", store, Event())
        for stored in store.unsent():
            sender.send(stored)
            peak = max(peak, _memory())
        sender.drain()
        took = time.perf_counter() - began
    return Backlog(took, readings, disk, (before, peak))


def _memory() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _day(store: Store) -> int:
    """A day's arrivals in the store as packets; how many readings they are."""
    packer = Packer(store, Signer("edge-1", 1, bytes(32), bytes(32), {}), PacketLimits(1_000, 262_144, 10, 60), 0)
    source, minutes = arrivals(), DAY_SECONDS // 60
    for minute in range(minutes):
        at = START + minute * 60_000
        store.keep([(at, arrival) for arrival in islice(source, DEVICES)])
        packer.pack(at)
    while any(store.inbox()):
        packer.pack(START + DAY_SECONDS * 1000)
    return minutes * DEVICES * POINTS


def run() -> tuple[Kept, Backlog]:
    """Both, one after the other."""
    with tempfile.TemporaryDirectory(prefix="carbonledger-bench-") as folder:
        return keeping(Path(folder)), backlog(Path(folder))


if __name__ == "__main__":
    for found in run():
        print(found)
