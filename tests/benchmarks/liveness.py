"""How soon and how steadily the committee answers: seven processes on a real broker, watched by one reader.

    python -m tests.benchmarks.liveness [idle] [kills] [steady] [--seconds 60]

`idle`: batches of one record, twenty a second, nothing else to do: from the proposal to the certified block as the
reader has it. `kills`: under half of what the committee can take, the primary is killed, then two followers: the
longest time between two blocks. `steady`: as much as it can take, for as long as asked: how often the view changed.
"""

import argparse
import json
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

from consensus import batch as batches
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from tests.benchmarks.committee import MEMBERS, days_of
from tests.committee import LedgerTail, Processes, write_channel
from tests.consensus.aggregator import Aggregator
from tests.small import World

GATEWAYS = 4
A_SECOND = 20
"""Batches of the idle committee."""
WAITING_RECORDS = 12_000
"""Records that wait at saturation: more than the heights in flight can hold."""
AGAIN_S = 10.0
PATIENCE_S = 180.0
ROUNDS = 3
"""Times that each kind of member is killed."""

Name = tuple[str, int]
"""A batch: its stream and its number there."""


class Watch(LedgerTail):
    """Reads block by block, and keeps when each batch came here, s."""

    def __init__(self, bootstrap: str, world: World) -> None:
        super().__init__(bootstrap, world)
        self.came: dict[Name, float] = {}

    def read(self, timeout: float = 0.01) -> None:
        message = self._consumer.poll(timeout)
        if message is None or message.error() is not None:
            return
        now = time.monotonic()
        block = self.follower.accept(message.value() or b"")
        if block is not None:
            self.blocks.append((block, message.timestamp()[1]))
            for batch in block.header["batches"]:
                self.came[batch["stream"], batch["number"]] = now

    def gaps(self, first: int) -> list[int]:
        """Times between blocks from the `first` on, by the broker's clock, ms."""
        times = [shown for _, shown in self.blocks[first:]]
        return [after - before for before, after in pairwise(times)]


class Run:
    """A committee under a load that never ends."""

    def __init__(self, data: Path, bootstrap: str, world: World, processes: Processes, most: int) -> None:
        self.data, self.processes = data, processes
        self.watch = Watch(bootstrap, world)
        self.proposed: dict[Name, float] = {}
        self._messages: dict[Name, tuple[str, bytes]] = {}
        self._again_s = 0.0
        self.records = 0
        self._days = days_of(world, GATEWAYS, Aggregator, most)
        self._ready: deque[tuple[str, bytes]] = deque()
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0})

    def propose(self) -> int:
        """Put the next batch before the committee, its packet before it; its records."""
        while not self._ready:
            _, (gateway, packet), made = next(self._days)
            self._producer.produce(topics.METER_READINGS, packet, gateway.encode())
            self._ready += made
        key, value = self._ready.popleft()
        batch = batches.decode(codec.decode("proposal", value)["body"])
        name = (batch.stream, batch.number)
        self.proposed[name], self._messages[name] = time.monotonic(), (key, value)
        self._producer.produce(topics.RECORDS_PROPOSED, value, key.encode(), 0)
        self._propose_again()
        self.records += len(batch)
        return len(batch)

    def _propose_again(self) -> None:
        """As a submitter does: an overloaded committee lets go of batches beyond its bounds."""
        self._producer.poll(0)
        now = time.monotonic()
        if now < self._again_s:
            return
        self._again_s = now + AGAIN_S
        for name in self._messages.keys() & self.watch.came.keys():
            del self._messages[name]
        for name, (key, value) in self._messages.items():
            if now > self.proposed[name] + AGAIN_S:
                self._producer.produce(topics.RECORDS_PROPOSED, value, key.encode(), 0)

    @property
    def waiting(self) -> int:
        """Records that were proposed and aren't certified."""
        return self.records - self.watch.follower.position.tree.size

    def offer(self, records_s: float, seconds: float) -> None:
        """A steady load."""
        start, given = time.monotonic(), 0
        while (now := time.monotonic() - start) < seconds:
            if given <= records_s * now:
                given += self.propose()
            else:
                self.watch.read(min((given / records_s) - now, 0.01))
        self.processes.check()

    def saturate(self, seconds: float) -> float:
        """As much as it can take; records a second."""
        start, before = time.monotonic(), self.watch.follower.position.tree.size
        while time.monotonic() - start < seconds:
            if self.waiting < WAITING_RECORDS:
                self.propose()
            self.watch.read(0 if self.waiting < WAITING_RECORDS else 0.01)
        self.processes.check()
        return (self.watch.follower.position.tree.size - before) / (time.monotonic() - start)

    def settle(self) -> None:
        """Wait until all is certified, and every member that runs stands there."""
        deadline = time.monotonic() + PATIENCE_S
        while self.waiting or any(self.status(m).get("height") != self.watch.follower.height for m in range(MEMBERS)):
            self.processes.check()
            assert time.monotonic() < deadline, f"{self.waiting} records wait, or a member does not come back"
            self._propose_again()
            self.watch.read(0.05)

    def status(self, member: int) -> dict[str, int]:
        """What a member last wrote about itself."""
        try:
            said: dict[str, int] = json.loads((self.data / "members" / str(member) / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return said

    @property
    def view(self) -> int:
        """The highest view that a member is in or seeks: how often one was left."""
        return max(self.status(member).get("view", 0) for member in range(MEMBERS))


@contextmanager
def running(points: int, most: int, *, brief: bool = True) -> Iterator[Run]:
    """A committee that has recorded its first batches, `most` records each at most, for a `brief` time or not."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = write_channel(data, points, GATEWAYS)
        broker = stack.enter_context(Broker(data / "broker", message_bytes=Bounds().message_bytes, brief=brief))
        ensure_topics({"bootstrap.servers": broker.bootstrap}, topics.catalogue(), Bounds())
        processes = stack.enter_context(Processes(data, broker.bootstrap))
        for member in range(MEMBERS):
            processes.start(f"member-{member}")
        run = Run(data, broker.bootstrap, world, processes, most)
        stack.callback(run.watch.close)
        for _ in range(GATEWAYS):
            run.propose()
        run.settle()
        yield run


def idle(seconds: float) -> str:
    """Batches of one record to a committee that does nothing else."""
    with running(1, 1) as run:
        run.offer(A_SECOND, 5)
        run.settle()
        first, blocks, used = len(run.proposed), len(run.watch.blocks), sum(run.processes.cpu().values())
        run.offer(A_SECOND, seconds)
        spent = (sum(run.processes.cpu().values()) - used) / MEMBERS / (len(run.watch.blocks) - blocks)
        run.settle()
        waits = [1000 * (run.watch.came[name] - at) for name, at in list(run.proposed.items())[first:]]
        p50, p99 = np.percentile(waits, [50, 99])
        return (
            f"idle: {len(waits)} batches of one record, p50 {p50:.0f} ms, p99 {p99:.0f} ms; "
            f"CPU a block {1000 * spent:.1f} ms in each member; view {run.view}"
        )


def kills() -> str:
    """The longest time between two blocks when the primary is killed, and when two followers are."""
    with running(12, 96) as run:
        run.saturate(8)
        rate = run.saturate(12) / 2
        run.settle()
        calm = len(run.watch.blocks)
        run.offer(rate, 15)
        calm_gap = max(run.watch.gaps(calm))
        found = {
            "primary": [_killed(run, rate, 1, 0) for _ in range(ROUNDS)],
            "two followers": [_killed(run, rate, 2, 3) for _ in range(ROUNDS)],
        }
        told = "; ".join(f"{who} killed: {', '.join(map(str, gaps))} ms" for who, gaps in found.items())
        return f"kills: at {rate:,.0f} records/s, longest gap untouched {calm_gap} ms; {told}; view {run.view}"


def _killed(run: Run, rate: float, count: int, rank: int) -> int:
    """Kill `count` members from the `rank`th after the primary on, under load; the longest gap, ms."""
    run.offer(rate, 3)
    members = [(run.view + rank + k) % MEMBERS for k in range(count)]
    first = len(run.watch.blocks) - 1
    for member in members:
        run.processes.kill(f"member-{member}")
    run.offer(rate, 5)
    gap = max(run.watch.gaps(first))
    for member in members:
        run.processes.start(f"member-{member}")
    run.settle()
    return gap


def steady(seconds: float) -> str:
    """Saturation, and the views that were left meanwhile."""
    with running(12, 288, brief=seconds < 120) as run:
        run.saturate(10)
        view, first = run.view, len(run.watch.blocks)
        rate = run.saturate(seconds)
        time.sleep(1.5)
        gaps = run.watch.gaps(first)
        p50, p99 = np.percentile(gaps, [50, 99])
        return (
            f"steady: {seconds:.0f} s at {rate:,.0f} records/s, {len(gaps)} blocks, between two p50 {p50:.0f} ms, "
            f"p99 {p99:.0f} ms, at most {max(gaps)} ms; view changes {run.view - view}"
        )


def main() -> None:
    """Measure what is asked for, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="idle, kills, steady; all if none is named")
    parser.add_argument("--seconds", type=float, default=60, help="how long `steady` lasts")
    asked = parser.parse_args()
    modes = {"idle": lambda: idle(30), "kills": kills, "steady": lambda: steady(asked.seconds)}
    for name in asked.what or modes:
        print(modes[name](), flush=True)


if __name__ == "__main__":
    main()
