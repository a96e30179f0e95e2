"""A committee of real processes on a real broker, for tests and benchmarks: a channel folder and its members."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from carbon import factors, registry
from consensus.log import genesis as geneses
from consensus.log.follower import Follower, VerifiedBlock
from infra.channel import party_key
from schemas import topics
from tests import small

ROOT = Path(__file__).parent.parent


def write_channel(
    data: Path, points: int, gateways: int, members: int = 7, step_seconds: int = 900, **changes: Any
) -> small.World:
    """A channel folder whose keys are those of `tests.small`, and the world that packs for its gateways."""
    registry_file = small.registry_bytes(points, gateways, step_seconds, **changes)
    return write_files(data, registry_file, small.genesis_bytes(registry_file, members), gateways, members)


def write_files(data: Path, registry_file: bytes, genesis_file: bytes, gateways: int, members: int) -> small.World:
    """The same, of a registry and a genesis that are given."""
    folder = data / "channel"
    (folder / "keys").mkdir(parents=True)
    (folder / "registry.json").write_bytes(registry_file)
    (folder / "genesis.json").write_bytes(genesis_file)
    (folder / "scenario.json").write_text('{"days": null}\n')
    names = {f"gw-{g}": f"gw-{g}" for g in range(gateways)} | {"aggregator": "aggregator"}
    for m in range(members):
        names |= {f"member-{m}.{use}": f"{use}-{m}" for use in ("vote", "note")}
    names |= {party_key(party["id"]): party["id"] for party in json.loads(registry_file).get("parties", ())}
    for name, seed in names.items():
        path = folder / "keys" / f"{name}.seed"
        path.touch(0o600)
        path.write_text(small.seed(seed).hex() + "\n")
    return small.World(registry.parse(registry_file, factors.load()), geneses.parse(genesis_file))


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system


class Processes:
    """Roles of a channel, each a process of its own as the supervisor would start it; all end with the block."""

    def __init__(self, data: Path, bootstrap: str) -> None:
        self.data = data
        self._env = os.environ | {"CARBONLEDGER_DATA": str(data), "CARBONLEDGER_BOOTSTRAP": bootstrap}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []

    def start(self, role: str, program: str = "infra.cli", arguments: Sequence[str] = ()) -> None:
        """Start a role; with `arguments`, that command of the program under the role's name."""
        log = (self.data / f"{role}.log").open("ab")
        self._logs.append(log)
        argv = [sys.executable, "-m", program, *(arguments or ("run", role))]
        self.running[role] = subprocess.Popen(argv, cwd=ROOT, env=self._env, stdout=log, stderr=log)

    def kill(self, role: str) -> None:
        """kill -9."""
        self.running[role].kill()
        self.running.pop(role).wait()

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {role: cpu_of(child.pid) for role, child in self.running.items()}

    def check(self) -> None:
        """Raises AssertionError with the end of the log when a process has ended by itself."""
        for role, process in self.running.items():
            if process.poll() is not None:
                raise AssertionError(f"{role} ended: {(self.data / f'{role}.log').read_text()[-3000:]}")

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        for log in self._logs:
            log.close()


class LedgerTail:
    """Reads `ledger.blocks` as a stranger does, with the broker's time of each block."""

    def __init__(self, bootstrap: str, world: small.World) -> None:
        own = {"bootstrap.servers": bootstrap, "group.id": "test.tail", "enable.auto.commit": "false"}
        self._consumer = Consumer(own | {"log_level": "0"})
        self._consumer.assign([TopicPartition(topics.LEDGER_BLOCKS, 0, 0)])
        self.follower = Follower(world.genesis)
        self.blocks: list[tuple[VerifiedBlock, int]] = []

    def read(self, timeout: float = 0.2) -> None:
        for message in self._consumer.consume(100, timeout):
            if message.error() is None:
                block = self.follower.accept(message.value() or b"")
                if block is not None:
                    self.blocks.append((block, message.timestamp()[1]))

    def until(self, records: int, seconds: float, processes: Processes) -> None:
        """Read until that many leaves are certified. Raises AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.follower.position.tree.size < records:
            processes.check()
            assert time.monotonic() < deadline, f"{self.follower.position.tree.size} of {records} after {seconds} s"
            self.read()

    def close(self) -> None:
        self._consumer.close()


def produce(bootstrap: str, topic: str, messages: list[tuple[str, bytes]], partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2, "message.max.bytes": 4_000_000})
    where: dict[str, Any] = {} if partition < 0 else {"partition": partition}
    for key, value in messages:
        producer.produce(topic, value, key.encode(), **where)
        producer.poll(0)
    assert producer.flush(60) == 0
