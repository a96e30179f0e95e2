"""What a reading costs ingest and aggregate with more points: from 100 to 100,000, a hundred behind each gateway.

The agents' own code without a broker: every message is delivered when it is handed over, and the ledger accepts each
batch at once. Readings each ten minutes; a packet holds an hour of a gateway's points, and closes the hour before. Each
gateway's first two packets are not measured. CPU time of one process. `python -m tests.benchmarks.points` prints rows.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import MagicMock

from carbon import coding
from carbon.proposing import Verdict
from infra.cli import COLLECT
from streams.aggregate import Aggregate, AggregateConfig
from streams.faust_app import Kafka
from tests.streams.world import AGGREGATOR, HOUR, MINUTE, START, World, seed

SIZES = (100, 1_000, 10_000, 100_000)
A_GATEWAY, STEP, PACKETS = 100, 10 * MINUTE, 1_000
"""Points, ms between two readings of one, and packets that are measured at each size."""
EACH = A_GATEWAY * HOUR // STEP


class Measured(NamedTuple):
    """CPU time a reading in µs, of each worker, at so many points."""

    points: int
    ingest_us: float
    aggregate_us: float

    @property
    def rate(self) -> float:
        """Readings a second of one core that does both."""
        return 1e6 / (self.ingest_us + self.aggregate_us)


class _Topic:
    """Takes messages as a broker does that always answers at once."""

    def __init__(self) -> None:
        self._delivered = asyncio.get_running_loop().create_future()
        self._delivered.set_result(None)

    async def send(self, **_: Any) -> "asyncio.Future[None]":
        return self._delivered


def _packets(world: World, size: int) -> Iterator[bytes]:
    """Packet after packet, the gateways in turn."""
    chains = [world.chain(gateway) for gateway in world.gateways]
    for hour in range(2 + PACKETS * A_GATEWAY // size):
        times = range(START + hour * HOUR, START + (hour + 1) * HOUR, STEP)
        for chain in chains:
            names = world.gateways[chain.gateway]
            rows = [(p, at, (at // STEP * 7 + i) % 1000) for at in times for i, p in enumerate(names)]
            # what is late by more than the lateness was in the packet before
            yield chain.pack(rows, START + (hour + 1) * HOUR + 6 * MINUTE)


async def _measure(size: int, folder: Path) -> Measured:
    gateways = {f"gw-{g}": [f"gw-{g}-p{i:02}" for i in range(A_GATEWAY)] for g in range(size // A_GATEWAY)}
    world = World(gateways, step=STEP // 1000)
    topic, table = _Topic(), SimpleNamespace(data={}, changelog_topic=_Topic())
    app = MagicMock(**{"Table.return_value": table, "topic.return_value": topic})
    config = AggregateConfig(
        Kafka("nowhere"), world.genesis, lambda: (0, world.registry), AGGREGATOR, seed(AGGREGATOR), folder
    )
    aggregate = Aggregate(app, config)
    used = [0.0, 0.0]
    gc.collect()
    for number, message in enumerate(_packets(world, size)):
        began = time.process_time()
        coded = coding.code(message, world.registry, world.channel)
        between = time.process_time()
        key = coded.packet.gateway.encode()
        await aggregate._take(SimpleNamespace(topic="t", partition=0, offset=number, key=key, value=coded.message))
        await _accept(aggregate, coded.packet.gateway)
        if number >= 2 * len(gateways):
            used[0] += between - began
            used[1] += time.process_time() - between
    return Measured(size, *(1e6 * seconds / (PACKETS * EACH) for seconds in used))


async def _accept(aggregate: Aggregate, gateway: str) -> None:
    """The ledger takes every batch of the gateway as it is."""
    for number, batch in list(aggregate._gateways[gateway].stream.pending.items()):
        verdicts = [Verdict(True, 0, link.commitment) for link in batch.links]
        await aggregate.confirm(gateway, number, batch.digest, verdicts)


def run() -> list[Measured]:
    """Each size, one after the other."""
    gc.set_threshold(*COLLECT)  # as every command does
    with tempfile.TemporaryDirectory() as folder:
        return [asyncio.run(_measure(size, Path(folder))) for size in SIZES]


if __name__ == "__main__":
    for one in run():
        print(f"{one.points:>8,} points: ingest {one.ingest_us:.2f} µs a reading, aggregate {one.aggregate_us:.2f}")
