"""The committee: committed records a second and their latency, with seven processes on a real broker.

Batches of real records are put before it as fast as it takes them. The floor beside it is what one process needs for
the evidence half alone of the same batches, times seven members over the cores of the machine.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from consensus.contract import Contract
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import topics
from schemas.topics import Bounds
from tests.committee import LedgerTail, Processes, produce, write_channel
from tests.consensus.aggregator import Aggregator, Evidence
from tests.small import HOUR, START, World


def work(world: World, gateways: int, days: int) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]], float]:
    """Packets and batches of every gateway by day, and the seconds that the evidence half alone takes here."""
    packets, batches, seconds, records = [], [], 0.0, 0
    sides = [replace(world, gateway=f"gw-{g}", sequence=0, previous=bytes(32)) for g in range(gateways)]
    evidence = [Evidence(side) for side in sides]
    aggregators = [Aggregator(side, held) for side, held in zip(sides, evidence, strict=True)]
    contract = Contract(world.genesis, world.registry)
    for day in range(days):
        for side, held, aggregator in zip(sides, evidence, aggregators, strict=True):
            message = side.pack(START + (day + 1) * 24 * HOUR, side.day(24, 24 * day))
            packets.append((side.gateway, message))
            held.add(message)
            first = 24 * day - (day > 0)
            made = aggregator.message(aggregator.hours(first, 24 * day + 23 - first))
            batches.append((side.gateway, made))
            batch = aggregator_batch(aggregator, made)
            started = time.perf_counter()
            contract.judge(batch, held)
            seconds += time.perf_counter() - started
            records += len(batch)
    return packets, batches, seconds / records


def aggregator_batch(aggregator: Aggregator, message: bytes):
    from consensus import batch

    return batch.verify(message, aggregator.world.registry, aggregator.world.channel, 2_000)


def run(gateways: int = 4, points: int = 12, days: int = 40) -> dict[str, float]:
    """One measurement with everything in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        world = write_channel(data, points, gateways)
        packets, batches, judged = work(world, gateways, days)
        with Broker(data / "broker", message_bytes=Bounds().message_bytes) as broker:
            client = {"bootstrap.servers": broker.bootstrap}
            ensure_topics(client, topics.catalogue(), Bounds())
            with Processes(data, broker.bootstrap) as processes:
                for member in range(7):
                    processes.start(f"member-{member}")
                tail = LedgerTail(broker.bootstrap, world)
                produce(broker.bootstrap, topics.METER_READINGS, packets)
                # one batch to wait until all seven are there, then the clock starts
                produce(broker.bootstrap, topics.RECORDS_PROPOSED, batches[:1], 0)
                tail.until(1, 60, processes)
                time.sleep(3)
                started = time.monotonic()
                produce(broker.bootstrap, topics.RECORDS_PROPOSED, batches[1:], 0)
                total = points * gateways * (24 * days - 1)
                tail.until(total, 300, processes)
                seconds = time.monotonic() - started
                warm = len(tail.blocks[0][0].leaves)
                tail.close()
                if "-v" in sys.argv:
                    print((data / "members/0/status.json").read_text())
    sizes = [len(block.leaves) for block, _ in tail.blocks[1:]]
    return {
        "records_per_second": (total - warm) / seconds,
        "blocks": len(sizes),
        "records_per_block": float(np.mean(sizes)),
        "floor_records_per_second": (os.cpu_count() or 1) / (7 * judged),
        "judged_us": judged * 1e6,
    }


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:28} {value:12,.1f}")
