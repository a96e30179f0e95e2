"""The committee: committed records a second and their latency, with seven processes on a real broker.

Batches of real records are put before it twice: as many as it takes, for the rate; then at half that rate, for the
latency, which runs from the append of a proposal to the append of the block that holds it, both by the broker's clock.

Two modes. With evidence, every member recomputes every record from the signed packets; the floor beside it is what one
process needs for that alone, in CPU time, times seven members over the cores of the machine. Alone, the evidence half
is off (`alone.py`); the floor is the same batches through the same broker to seven bare readers, in the same run.
`python -m tests.benchmarks.committee` prints the figures.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from consensus import batch as batches_
from consensus.contract import Contract
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from tests.benchmarks.alone import AloneAggregator
from tests.committee import LedgerTail, Processes, produce, write_channel
from tests.consensus.aggregator import Aggregator, Evidence
from tests.small import HOUR, START, World

MEMBERS = 7
Messages = list[tuple[str, bytes]]


@dataclass(frozen=True)
class Measured:
    """Rates in records a second, latencies in ms at half the rate, sizes in bytes and records."""

    rate: float
    floor: float
    p50_ms: float
    p99_ms: float
    record_bytes: float
    records_per_block: float
    cpu_us: float
    """CPU time a record of one member, µs, mean of the seven while saturated."""


@dataclass(frozen=True)
class Work:
    """Packets and the batches that rest on them; `judged` is what the evidence half takes of CPU, s a record."""

    packets: Messages
    batches: Messages
    records: int
    payload_bytes: int
    judged: float


def days_of(
    world: World, gateways: int, maker: type[Aggregator], most: int = 2_000
) -> Iterator[tuple[Evidence, tuple[str, bytes], Messages]]:
    """Day after day, for each gateway: all its evidence so far, the day's packet, and batches of `most` records."""
    sides = [replace(world, gateway=f"gw-{g}", sequence=0, previous=bytes(32)) for g in range(gateways)]
    evidence = [Evidence(side) for side in sides]
    aggregators = [maker(side, held) for side, held in zip(sides, evidence, strict=True)]
    for day in count():
        for side, held, aggregator in zip(sides, evidence, aggregators, strict=True):
            message = side.pack(START + (day + 1) * 24 * HOUR, side.day(24, 24 * day))
            held.add(message)
            first = 24 * day - (day > 0)
            made = aggregator.hours(first, 24 * day + 23 - first)
            parts = [made[start : start + most] for start in range(0, len(made), most)]
            yield held, (side.gateway, message), [(side.gateway, aggregator.message(part)) for part in parts]


def work(world: World, gateways: int, days: int, maker: type[Aggregator]) -> Work:
    """What a committee is to decide, and what its evidence half alone takes here."""
    packets: Messages = []
    found: Messages = []
    seconds, records, size = 0.0, 0, 0
    contract = Contract(world.genesis, world.registry)
    for held, packet, made in islice(days_of(world, gateways, maker), days * gateways):
        packets.append(packet)
        found += made
        for _, message in made:
            batch = batches_.verify(message, {0: world.registry}, world.channel, 2_000)
            started = time.process_time()
            contract.judge(batch, held)
            seconds += time.process_time() - started
            records += len(batch)
            size += sum(map(len, batch.payloads))
    return Work(packets, found, records, size, seconds / records)


def measure(gateways: int = 4, points: int = 12, days: int = 60, *, judged: bool = True) -> Measured:
    """One measurement with everything in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        world = write_channel(data, points, gateways)
        todo = work(world, gateways, days, Aggregator if judged else AloneAggregator)
        with Broker(data / "broker", message_bytes=Bounds().message_bytes) as broker:
            ensure_topics({"bootstrap.servers": broker.bootstrap}, topics.catalogue(), Bounds())
            with Processes(data, broker.bootstrap) as processes:
                for member in range(MEMBERS):
                    processes.start(f"member-{member}", "infra.cli" if judged else "tests.benchmarks.alone")
                if judged:
                    produce(broker.bootstrap, topics.METER_READINGS, todo.packets)
                found = _measure(broker.bootstrap, processes, LedgerTail(broker.bootstrap, world), todo)
            return found if judged else replace(found, floor=_wire(broker.bootstrap, todo))


def _wire(bootstrap: str, todo: Work) -> float:
    """Records a second when the same batches go through the broker to seven readers that do nothing with them."""
    readers = [Consumer({"bootstrap.servers": bootstrap, "group.id": f"bare-{m}"}) for m in range(MEMBERS)]
    place = TopicPartition(topics.RECORDS_PROPOSED, 0)
    place.offset = readers[0].get_watermark_offsets(place, timeout=30)[1]
    for reader in readers:
        reader.assign([place])
    started, left = time.monotonic(), [len(todo.batches)] * MEMBERS
    produce(bootstrap, topics.RECORDS_PROPOSED, todo.batches, 0)
    while any(left):
        for m, reader in enumerate(readers):
            left[m] -= sum(message.error() is None for message in reader.consume(500, 0.01)) if left[m] else 0
    for reader in readers:
        reader.close()
    return todo.records / (time.monotonic() - started)


def _measure(bootstrap: str, processes: Processes, tail: LedgerTail, todo: Work) -> Measured:
    # one batch to wait until all seven are there, then the clock starts
    produce(bootstrap, topics.RECORDS_PROPOSED, todo.batches[:1], 0)
    tail.until(1, 60, processes)
    time.sleep(3)
    each = todo.records / len(todo.batches)
    half = len(todo.batches) * 2 // 3
    before, used, started = tail.follower.position.tree.size, processes.cpu(), time.monotonic()
    produce(bootstrap, topics.RECORDS_PROPOSED, todo.batches[1:half], 0)
    tail.until(sum(map(_records, todo.batches[:half])), 300, processes)
    done = tail.follower.position.tree.size - before
    rate = done / (time.monotonic() - started)
    cpu_us = 1e6 * (sum(processes.cpu().values()) - sum(used.values())) / done / len(used)
    sizes = [len(block.leaves) for block, _ in tail.blocks[1:]]
    calm = len(tail.blocks)
    _offer(bootstrap, todo.batches[half:], rate / 2 / each, tail)
    tail.until(todo.records, 300, processes)
    waits = _latencies(tail, calm, _appended(bootstrap))
    tail.close()
    p50, p99 = np.percentile(waits, [50, 99])
    floor = (os.cpu_count() or 1) / (MEMBERS * todo.judged)
    size = todo.payload_bytes / todo.records
    return Measured(rate, floor, float(p50), float(p99), size, float(np.mean(sizes)), cpu_us)


def _records(message: tuple[str, bytes]) -> int:
    return len(batches_.decode(codec.decode("proposal", message[1])["body"]))


def _offer(bootstrap: str, messages: Messages, a_second: float, tail: LedgerTail) -> None:
    """Put batches before the committee at a steady pace."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    started = time.monotonic()
    for number, (key, value) in enumerate(messages):
        while (ahead := started + number / a_second - time.monotonic()) > 0:
            tail.read(min(ahead, 0.01))
        producer.produce(topics.RECORDS_PROPOSED, value, key.encode(), 0)
        producer.poll(0)
    assert producer.flush(60) == 0


def _appended(bootstrap: str) -> dict[tuple[str, int], int]:
    """When each batch (stream, number) was appended to records.proposed, ms of the broker's clock."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": "false"})
    place, times = TopicPartition(topics.RECORDS_PROPOSED, 0, 0), dict[tuple[str, int], int]()
    end = consumer.get_watermark_offsets(place, timeout=30)[1]
    consumer.assign([place])
    read = 0
    while read < end:
        for message in consumer.consume(500, 1.0):
            batch = batches_.decode(codec.decode("proposal", message.value())["body"])
            times[batch.stream, batch.number] = message.timestamp()[1]
            read = message.offset() + 1
    consumer.close()
    return times


def _latencies(tail: LedgerTail, first: int, appended: dict[tuple[str, int], int]) -> list[int]:
    """Of every record in the blocks from the `first` on: from its proposal's append to its block's, ms."""
    return [
        shown - appended[batch["stream"], batch["number"]]
        for block, shown in tail.blocks[first:]
        for batch in block.header["batches"]
        for _ in range(batch["records"])
    ]


if __name__ == "__main__":
    for judged in (True, False):
        found = measure(judged=judged)
        print("with evidence" if judged else "records alone", end=": ")
        print(
            f"{found.rate:,.0f} records/s of {found.record_bytes:.0f} bytes, {found.records_per_block:.0f} a block;",
            end=" ",
        )
        print(f"floor {found.floor:,.0f}; CPU a record {found.cpu_us:.0f} µs in each member;", end=" ")
        print(f"at half the rate p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms")
