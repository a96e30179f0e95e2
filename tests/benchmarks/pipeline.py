"""The whole pipeline in readings a second, with the CPU time of each of its processes, beside bare hashing.

Packets that were signed beforehand go to a real broker; ingest, aggregate, seven members, accounts and sink run as the
supervisor would start them. The clock starts when all of them have brought a first day through, and stops when ledger,
balances and tables have the rest. Readings are synthetic; the point of the benchmark is how they are cut:

* quarter hours, as the demonstration has them: 4 readings a record
* minutes: 60 readings a record

The floor is what salting, hashing and treeing as many readings nine times takes (ingest, aggregate and seven members
each must), over the cores, measured beside it in this process. Another is the broker's: the same packets produced and
consumed bare, before anything else is started. `python -m tests.benchmarks.pipeline` prints the rows, with CPU time and
memory of each process; with `--minutes 10` those of minutes alone, of as many as take that long at AIM a second.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import psutil
from confluent_kafka import Consumer, TopicPartition

from carbon import merkle, packet
from infra.broker import Broker
from infra.processes import STORES
from infra.topics import ensure_topics
from schemas import topics
from schemas.topics import METER_PARTITIONS, Bounds, Topic
from sinks.clickhouse.query import query, running_port
from tests.committee import Processes, cpu_of, produce, write_channel
from tests.small import HOUR, START, World, seed

GATEWAYS, POINTS = 4, 12
"""The demonstration has 48 points behind four gateways."""
ROLES = ("ingest", "aggregate", "accounts", "sink", *(f"member-{index}" for index in range(7)))
HASHED_BY = 9
PATIENCE = 600.0
CARRIED = 2_000
"""Packets, at most, by which the bare broker is measured."""
AIM = 30_000
BARE = Topic("bench.bare", "gateway id", "none", "of the benchmark", METER_PARTITIONS, large=True)


@dataclass(frozen=True)
class Shape:
    """How readings are cut: a reading each `step_seconds`, `hours` in a packet, `days` in all, the first to warm up."""

    name: str
    step_seconds: int
    hours: int
    days: int

    @property
    def readings(self) -> int:
        """Readings that are measured."""
        return GATEWAYS * POINTS * (self.days - 1) * 86_400 // self.step_seconds


SHAPES = (Shape("quarter hours, 4 readings a record", 900, 24, 46), Shape("minutes, 60 readings a record", 60, 6, 4))


def lasting(minutes: float) -> Shape:
    """Minutes' readings, as many as AIM a second come to."""
    return replace(SHAPES[1], days=1 + math.ceil(minutes * 60 * AIM / (GATEWAYS * POINTS * 1440)))


@dataclass(frozen=True)
class Measured:
    """One run. Rates in readings a second of wall time; of each process `cpu_us`, CPU time a reading in µs, and
    `memory`, MiB resident when the clock starts and when it stops. `carried` is the broker's rate with nothing else."""

    shape: Shape
    rate: float
    floor: float
    carried: float
    cpu_us: dict[str, float]
    memory: dict[str, tuple[float, float]]


def packets(world: World, shape: Shape) -> Iterator[tuple[str, bytes]]:
    """Signed packets of all gateways in the order of their times, and one more each so that all windows close."""
    sides = [replace(world, gateway=f"gw-{g}") for g in range(GATEWAYS)]
    for first in range(0, 24 * shape.days, shape.hours):
        for side in sides:
            yield side.gateway, pack(side, shape, START + first * HOUR)
    for side in sides:
        yield side.gateway, side.pack(START + (24 * shape.days + 1) * HOUR, [])


def pack(side: World, shape: Shape, start: int) -> bytes:
    """One packet of every point of a gateway: `shape.hours` from `start` on, values a function of time and point."""
    at = np.repeat(np.arange(start, start + shape.hours * HOUR, 1000 * shape.step_seconds), POINTS)
    point = np.tile(np.arange(POINTS), len(at) // POINTS)
    columns = {"point": point, "at": at, "value": at // 1000 % 977 + point, "flag": np.full(len(at), ord("N"))}
    side.sequence += 1
    body = packet.encode_body(
        gateway=side.gateway,
        run=0,
        sequence=side.sequence,
        previous=side.previous,
        sent_at=start + shape.hours * HOUR,
        salt=sha256(b"%d" % side.sequence).digest()[:16],
        points=sorted(p.id for p in side.registry.points_of[side.gateway]),
        columns=columns,
    )
    side.previous = sha256(body).digest()
    return packet.sign(seed(side.gateway), side.channel, body)


def floor(world: World, messages: list[tuple[str, bytes]]) -> float:
    """Readings a second if all cores did nothing but salt, hash and tree each reading `HASHED_BY` times."""
    decoded = [world.decode(message) for _, message in messages]
    started = time.process_time()
    for one in decoded:
        merkle.root(packet.leaf_hashes(one))
    each = (time.process_time() - started) / sum(map(len, decoded))
    return (os.cpu_count() or 1) / (HASHED_BY * each)


def measure(shape: Shape) -> Measured:
    """One run in a folder and on a broker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        world = write_channel(data, POINTS, GATEWAYS, step_seconds=shape.step_seconds)
        messages = list(packets(world, shape))
        day = GATEWAYS * 24 // shape.hours
        bare = floor(world, messages)
        with Broker(data / "broker", message_bytes=Bounds().message_bytes) as broker:
            ensure_topics({"bootstrap.servers": broker.bootstrap}, [*topics.catalogue(), BARE], Bounds())
            bare_wire = carried(broker.bootstrap, messages[:-GATEWAYS][:CARRIED], shape)
            with Processes(data, broker.bootstrap) as processes:
                for role in ROLES:
                    processes.start(role)
                run = _Run(data, broker, processes)
                run.bring(messages[:day], hours=23)
                before, held, started = run.cpu(), run.memory(), time.monotonic()
                run.bring(messages[day:], hours=24 * shape.days, patience=PATIENCE + shape.readings / AIM * 10)
                seconds, after, holding = time.monotonic() - started, run.cpu(), run.memory()
    used = {role: 1e6 * (after[role] - before[role]) / shape.readings for role in after}
    memory = {role: (held[role], holding[role]) for role in holding}
    return Measured(shape, shape.readings / seconds, bare, bare_wire, used, memory)


def carried(bootstrap: str, messages: list[tuple[str, bytes]], shape: Shape) -> float:
    """Readings a second when these packets are produced and consumed and nothing is done with them."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare"})
    reader.assign([TopicPartition(BARE.name, partition, 0) for partition in range(METER_PARTITIONS)])
    started, left = time.monotonic(), len(messages)
    produce(bootstrap, BARE.name, messages)
    while left:
        left -= sum(message.error() is None for message in reader.consume(500, 0.1))
    reader.close()
    return len(messages) * POINTS * shape.hours * 3600 / shape.step_seconds / (time.monotonic() - started)


@dataclass(frozen=True)
class _Run:
    data: Path
    broker: Broker
    processes: Processes

    def bring(self, messages: list[tuple[str, bytes]], hours: int, patience: float = PATIENCE) -> None:
        """Send packets and wait until the records of that many hours since the start are everywhere."""
        produce(self.broker.bootstrap, topics.METER_READINGS, messages)
        wanted, deadline = GATEWAYS * POINTS * hours, time.monotonic() + patience
        while (arrived := self._arrived(wanted)) < wanted:
            self.processes.check()
            assert time.monotonic() < deadline, f"{arrived} of {wanted} records arrived"
            time.sleep(0.2)

    def _recorded(self) -> int:
        status = self.data / "members" / "0" / "status.json"
        return int(json.loads(status.read_text())["accepted"]) if status.exists() else 0

    def _arrived(self, wanted: int) -> int:
        """Accepted records that ledger, tables and the balances, which the tables show too, all have.

        The tables are only asked once a member has them: answering costs the sink more than a block's rows.
        """
        if (recorded := self._recorded()) < wanted:
            return recorded
        records = "(SELECT count() FROM records WHERE verdict = 'accepted')"
        posted = "(SELECT sum(records) FROM balances WHERE account LIKE 'emissions:%')"
        if running_port(self.data / STORES) is None:  # asked before, the tables would be opened here
            return 0
        answer = query(f"SELECT least({records}, {posted}) AS n", self.data / STORES, format_="JSONEachRow")
        return int(json.loads(answer)["n"])

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {"broker": cpu_of(self.broker.pid)} | self.processes.cpu()

    def memory(self) -> dict[str, float]:
        """Resident memory of each process, MiB."""
        pids = {"broker": self.broker.pid} | {role: child.pid for role, child in self.processes.running.items()}
        return {role: psutil.Process(pid).memory_info().rss / 2**20 for role, pid in pids.items()}


def run(shapes: Sequence[Shape] = SHAPES) -> Iterator[Measured]:
    """Every shape, one after the other."""
    return map(measure, shapes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float)
    minutes = parser.parse_args().minutes
    for one in run(SHAPES if minutes is None else [lasting(minutes)]):
        print(f"{one.rate:>9,.0f} readings/s  {one.shape.readings:,} as {one.shape.name}")
        print(f"          floors: hashing {one.floor:,.0f}, the broker alone {one.carried:,.0f}")
        print(f"          {'process':<12} CPU µs a reading   MiB at the start, at the end")
        for role, us in one.cpu_us.items():
            print(f"          {role:<12} {us:>16.2f} {one.memory[role][0]:>8.0f} {one.memory[role][1]:>8.0f}")
        print(f"          {'all':<12} {sum(one.cpu_us.values()):>16.2f}", flush=True)


if __name__ == "__main__":
    main()
