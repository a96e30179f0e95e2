"""Rates of the sink into `readings`, one core: coded packets to rows, beside the same Arrow blocks inserted bare.

`python -m tests.sinks.bench` prints one table. Packets hold 500 readings of 50 points; values and hashes are random.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from schemas import codec, topics
from sinks.clickhouse import engine
from sinks.clickhouse.feed import Message
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.readings import ReadingsFeed, columns, parse
from sinks.clickhouse.reference import PointFacts, Reference
from tests.sinks.messages import NEW_YEAR

POINTS = [f"p-{number:03d}" for number in range(50)]
REFERENCE = Reference(
    "99.1.7", {point: PointFacts(f"plant-{point[2]}", "electricity", "Wh", 3) for point in POINTS}, {}
)
PACKETS, SIZE, BATCH = 4_000, 500, 400


def packets() -> list[Message]:
    """Two million readings, a packet every 10 minutes of 50 points a minute."""
    from carbon.packet import encode_body

    random, messages = np.random.default_rng(1), []
    for sequence in range(1, PACKETS + 1):
        columns_ = {
            "point": np.tile(np.arange(50), 10),
            "at": NEW_YEAR + 60_000 * (10 * sequence + np.repeat(np.arange(10), 50)),
            "value": random.integers(900, 1100, SIZE),
            "flag": np.full(SIZE, ord("N")),
        }
        head = {"gateway": "gw-1", "run": 1, "sequence": sequence}
        body = encode_body(
            **head, previous=bytes(32), sent_at=NEW_YEAR, salt=bytes(16), points=POINTS, columns=columns_
        )
        verdicts = {"digest": bytes(32), "reasons": bytes(SIZE), "leaves": random.bytes(32 * SIZE)}
        value = codec.encode("coded-packet", {**head, "body": body, **verdicts})
        messages.append(Message(topics.READINGS_CODED, 0, sequence - 1, value))
    return messages


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds of `work`."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def feed(client: Any, messages: Sequence[Message]) -> None:
    """All messages through the feed, an insert every `BATCH` packets."""
    sink = ReadingsFeed(REFERENCE)
    sink.resume(client)
    for number, message in enumerate(messages, 1):
        sink.take(message)
        if number % BATCH == 0:
            sink.flush(client)


@dataclass(frozen=True)
class Measured:
    """Wall and CPU seconds of each way, for `rows` readings; bytes of a reading on disk; memory at most, MB."""

    rows: int
    seconds: dict[str, tuple[float, float]]
    bytes_on_disk: float
    memory_mb: int

    def rate(self, way: str) -> float:
        """Rows a second of CPU."""
        return self.rows / self.seconds[way][1]


FED, BARE = "packets to rows in the table", "the same Arrow blocks, bare"


def measure() -> Measured:
    """Every way, one after the other, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _measure(Path(folder), packets())
    finally:
        os.sched_setaffinity(0, cores)


def _measure(folder: Path, messages: list[Message]) -> Measured:
    client = engine.open_client(folder)
    migrate(client)
    results = {FED: timed(lambda: feed(client, messages))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    size = "SELECT sum(bytes_on_disk), sum(rows) FROM system.parts WHERE table = 'readings' AND active"
    on_disk, counted = client.query(size).first_row
    results["resume from 2 million rows"] = timed(lambda: ReadingsFeed(REFERENCE).resume(client))
    client.command("TRUNCATE TABLE readings")
    parsed = [parse(message) for message in messages]
    tables = [columns(parsed[i : i + BATCH], REFERENCE) for i in range(0, PACKETS, BATCH)]
    bare = [(table, [str(place)]) for place, table in enumerate(tables)]
    results[BARE] = timed(lambda: [engine.insert(client, "readings", table, origin) for table, origin in bare])
    results["parsing alone"] = timed(lambda: [parse(message) for message in messages])
    results["building columns alone"] = timed(
        lambda: [columns(parsed[i : i + BATCH], REFERENCE) for i in range(0, PACKETS, BATCH)]
    )
    client.close()
    return Measured(PACKETS * SIZE, results, on_disk / counted, peak)


if __name__ == "__main__":
    found = measure()
    for name, (wall, processor) in found.seconds.items():
        rate = found.rate(name)
        print(f"{name:32} {wall:7.2f} s wall {processor:7.2f} s cpu {rate:12,.0f} rows/s of cpu")
    print(f"{found.bytes_on_disk:.1f} bytes a reading on disk; memory {found.memory_mb} MB at most")
