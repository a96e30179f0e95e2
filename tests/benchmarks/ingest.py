"""Ingest in readings a second: our worker, a naive Faust agent, and the bare hashing that nobody gets around.

All in one run on one machine: a real broker, one worker process each, the rate between the first and the last output.
`python -m tests.benchmarks.ingest` prints the rows.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from carbon import merkle, packet
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import METER_PARTITIONS, Bounds, catalogue
from tests.benchmarks import naive
from tests.streams.pipeline import Worker, send
from tests.streams.world import MINUTE, START, World

POINTS, MINUTES, PACKETS, SINGLES = 60, 15, 1_600, 12_000
"""60 points with 15 readings each make a packet of 900."""


def run() -> list[dict[str, Any]]:
    """One row for each way: what, readings_per_s, readings, and ratio to the naive agent."""
    gateways = {f"gw-{g}": [f"gw-{g}-p{i:02}" for i in range(POINTS)] for g in range(METER_PARTITIONS)}
    world = World(gateways)
    with (
        TemporaryDirectory() as folder,
        Broker(Path(folder) / "broker", message_bytes=Bounds().message_bytes) as broker,
    ):
        ensure_topics({"bootstrap.servers": broker.bootstrap}, [*catalogue(), naive.OUTPUT, naive.CHANGELOG], Bounds())
        messages = _packets(world)
        bare = _bare(world, [value for _, value, _ in messages])
        ours = _ours(world, broker.bootstrap, Path(folder), messages)
        naively = _naive(world, broker.bootstrap, Path(folder))
    rows = [
        ("bare loop: salts, hashes and trees, no checks, no broker", bare, PACKETS * POINTS * MINUTES),
        ("streams.ingest, one worker, packets of 900", ours, PACKETS * POINTS * MINUTES),
        ("naive Faust agent, one event a reading, one worker", naively, SINGLES),
    ]
    return [{"what": w, "readings_per_s": round(r), "readings": n, "ratio": round(r / naively, 1)} for w, r, n in rows]


def _packets(world: World) -> list[tuple[str, bytes, int]]:
    """Key, message and partition of the packets, the gateways in turn, each on a partition of its own."""
    chains = [world.chain(gateway) for gateway in world.gateways]
    for chain in chains:
        chain.minutes(world.gateways[chain.gateway], MINUTES * PACKETS // len(chains), MINUTES)
    return [(c.gateway, c.messages[k], i) for k in range(PACKETS // len(chains)) for i, c in enumerate(chains)]


def _bare(world: World, messages: list[bytes]) -> float:
    packets = [packet.verify(message, world.registry, world.channel) for message in messages]
    began = time.perf_counter()
    for one in packets:
        merkle.root(packet.leaf_hashes(one))
    return sum(map(len, packets)) / (time.perf_counter() - began)


def _ours(world: World, bootstrap: str, folder: Path, messages: list[tuple[str, bytes, int]]) -> float:
    for partition in range(METER_PARTITIONS):
        send(bootstrap, topics.METER_READINGS, [(k, m) for k, m, p in messages if p == partition], partition)
    with Worker("ingest", folder / "ours", bootstrap, world):
        return POINTS * MINUTES * _rate(bootstrap, topics.READINGS_CODED, len(messages))


def _naive(world: World, bootstrap: str, folder: Path) -> float:
    points = [point for names in world.gateways.values() for point in names]
    singles = [
        (point, codec.encode("reading", {"point": point, "at": START + MINUTE * k, "value": str(k), "flag": "N"}))
        for k in range(SINGLES // len(points))
        for point in points
    ]
    send(bootstrap, topics.METER_SINGLE, singles)
    root, home = Path(__file__).parents[2], folder / "naive"
    home.mkdir()
    (home / "registry.json").write_bytes(world.registry_file)
    argv = [sys.executable, "-m", "tests.benchmarks.naive", bootstrap, str(home)]
    worker = subprocess.Popen(argv, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        return _rate(bootstrap, naive.OUTPUT.name, len(singles))
    finally:
        worker.terminate()
        worker.wait()


def _rate(bootstrap: str, topic: str, count: int) -> float:
    """Messages a second on a topic between the first that is seen and the last of `count`."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none"})
    first: tuple[float, int] | None = None
    try:
        while (there := _size(consumer, topic)) < count:
            if first is None and there:
                first = time.perf_counter(), there
            time.sleep(0.05)
        assert first is not None, "the worker was done before it was measured"
        return (there - first[1]) / (time.perf_counter() - first[0])
    finally:
        consumer.close()


def _size(consumer: Consumer, topic: str) -> int:
    ends: Callable[[int], int] = lambda p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1]  # noqa: E731
    return sum(ends(partition) for partition in range(METER_PARTITIONS))


if __name__ == "__main__":
    for row in run():
        print(f"{row['readings_per_s']:>10,} readings/s  ×{row['ratio']:<6} {row['what']}")
