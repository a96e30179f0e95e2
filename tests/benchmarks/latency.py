"""From a window's close to its balance, at a steady load through the whole pipeline.

Packets of an hour of minutes come at LOAD readings a second, as so many points' readings would in real time, only that
hours pass in about a second. A window closes with the packet that moves the watermark past its end and the allowed
lateness; the clock starts when that packet is handed to the producer, and stops with the broker's time of the balance
that its record is in. Each gateway has a subject, and so an account, of its own: its records come in the order of their
windows, and a balance says how many it holds. `python -m tests.benchmarks.latency` prints the row.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from tests import small
from tests.benchmarks.pipeline import GATEWAYS, POINTS, ROLES, Shape, pack
from tests.committee import Processes, write_files
from tests.small import HOUR, START

LOAD = 3_000
SHAPE = Shape("minutes", 60, 1, 0)
WARM_HOURS, HOURS = 25, 60
OPEN_HOURS = 1
"""Hours whose windows the last packets leave open: the allowed lateness."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Measured:
    """One run: milliseconds from a window's close to its balance, over so many windows."""

    p50_ms: float
    p99_ms: float
    windows: int
    offered: float
    """Readings a second as they were really sent."""


def write_world(data: Path) -> small.World:
    """The channel, with a plant for each gateway."""
    subjects = [{"id": "region", "name": "Region", "kind": "region", "parent": None}]
    subjects += [
        {"id": f"plant-{g}", "name": f"Plant {g}", "kind": "plant", "parent": "region"} for g in range(GATEWAYS)
    ]
    own = {f"plant-{g}-{i}": {"subject": f"plant-{g}"} for g in range(GATEWAYS) for i in range(POINTS)}
    registry_file = small.registry_bytes(POINTS, GATEWAYS, 60, own, subjects=subjects)
    return write_files(data, registry_file, small.genesis_bytes(registry_file), GATEWAYS, 7)


class Accounts:
    """The balances, and when the broker had each: by gateway, the time at which so many windows were in."""

    def __init__(self, bootstrap: str) -> None:
        own = {"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": "false"}
        self._consumer = Consumer(own)
        self._consumer.assign([TopicPartition(topics.ACCOUNTS_BALANCES, 0, 0)])
        self.at: dict[str, list[int]] = {f"gw-{g}": [] for g in range(GATEWAYS)}
        """Milliseconds UTC of the balance that first held each hour's windows, in the order of the hours."""

    def read(self, timeout: float) -> None:
        for message in self._consumer.consume(500, timeout):
            balance = codec.decode("balance", message.value() or b"") if message.error() is None else {}
            if balance.get("account", "").startswith("emissions:"):
                hours = self.at[balance["subject"].replace("plant", "gw")]
                hours += [message.timestamp()[1]] * (balance["records"] // POINTS - len(hours))

    def close(self) -> None:
        self._consumer.close()


def measure() -> Measured:
    """One run in a folder and on a broker of its own."""
    with tempfile.TemporaryDirectory(prefix="carbonledger-bench-") as folder:
        data = Path(folder)
        world = write_world(data)
        with Broker(data / "broker", message_bytes=Bounds().message_bytes) as broker:
            ensure_topics({"bootstrap.servers": broker.bootstrap}, topics.catalogue(), Bounds())
            with Processes(data, broker.bootstrap) as processes:
                for role in ROLES:
                    processes.start(role)
                return _offer(world, broker.bootstrap, processes)


def _offer(world: small.World, bootstrap: str, processes: Processes) -> Measured:
    sides = [replace(world, gateway=f"gw-{g}") for g in range(GATEWAYS)]
    producer, accounts = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0}), Accounts(bootstrap)
    sent: dict[str, list[float]] = {side.gateway: [] for side in sides}
    gap, began = POINTS * 60 / LOAD, 0.0
    try:
        for hour in range(WARM_HOURS + HOURS):
            if hour == WARM_HOURS:
                # everything runs now, and what gathered while it started is through
                _until(accounts, hour - OPEN_HOURS, processes)
                began = time.monotonic()
            for place, side in enumerate(sides):
                message = pack(side, SHAPE, START + hour * HOUR)
                due = began + gap * ((hour - WARM_HOURS) * GATEWAYS + place) if began else 0.0
                while (left := due - time.monotonic()) > 0:
                    accounts.read(min(left, 0.05))
                sent[side.gateway].append(1000 * time.time())
                producer.produce(topics.METER_READINGS, message, side.gateway.encode())
                producer.poll(0)
            processes.check()
        offered = POINTS * 60 * GATEWAYS * HOURS / (time.monotonic() - began)
        assert producer.flush(30) == 0
        _until(accounts, WARM_HOURS + HOURS - OPEN_HOURS, processes)
    finally:
        accounts.close()
    # the packet of an hour, sent at its end, closes the hour before it: its end plus the lateness of an hour
    waits = [
        accounts.at[gateway][hour - 1] - at
        for gateway, times in sent.items()
        for hour, at in enumerate(times)
        if hour > WARM_HOURS
    ]
    p50, p99 = np.percentile(waits, [50, 99])
    return Measured(float(p50), float(p99), POINTS * len(waits), offered)


def _until(accounts: Accounts, hours: int, processes: Processes) -> None:
    deadline = time.monotonic() + PATIENCE
    while min(map(len, accounts.at.values())) < hours:
        processes.check()
        assert time.monotonic() < deadline, f"hours in the balances: {[len(at) for at in accounts.at.values()]}"
        accounts.read(0.2)


if __name__ == "__main__":
    found = measure()
    print(
        f"{found.offered:,.0f} readings/s offered: window's close to balance p50 {found.p50_ms:.0f} ms, "
        f"p99 {found.p99_ms:.0f} ms over {found.windows:,} windows"
    )
