"""A committee of seven processes on a broker of its own, under a steady load of batches, watched from outside."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from consensus import batch as batches
from consensus.log.follower import Follower, LedgerError
from consensus.log.reader import certified_height
from consensus.member.store import read_packages
from infra import verification
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from tests.benchmarks.committee import MEMBERS, Work, work
from tests.committee import LedgerTail, Processes, produce, write_channel
from tests.consensus.aggregator import Aggregator
from tests.scenarios import lying
from tests.small import World

EVERY_S = 0.15
"""From one batch of the load to the next."""
AGAIN_S = 10.0
"""What is not recorded is proposed again so often, as its submitter would."""
PATIENCE_S = 240.0
"""How long anything may take: many times what it takes on a machine with other work."""
WAITING = 12
"""The load waits while so many batches are not recorded, except where a scenario wants more."""
GATEWAYS, POINTS, DAYS = 3, 1, 80
ALL = range(MEMBERS)

Name = tuple[str, int]
"""A batch: its stream and its number there."""


@cache
def _work(channel: bytes, days: int) -> Work:
    """The load of a channel, made once: all scenarios have the same keys."""
    return work(_worlds[channel], GATEWAYS, days, Aggregator)


_worlds: dict[bytes, World] = {}


class Tail(LedgerTail):
    """Reads the ledger topic where noise, repeats and early blocks may stand too, and keeps when each batch came."""

    def __init__(self, bootstrap: str, world: World) -> None:
        super().__init__(bootstrap, world)
        self._early: dict[int, list[tuple[bytes, int]]] = {}
        self.recorded: dict[Name, float] = {}
        self.again: list[Name] = []
        """Batches that were recorded twice: none ever."""

    def read(self, timeout: float = 0.05) -> None:
        for message in self._consumer.consume(100, timeout):
            if message.error() is None:
                self._take(message.value() or b"", message.timestamp()[1])

    def _take(self, value: bytes, shown: int) -> None:
        height = certified_height(value, self.follower)
        if height > self.follower.height:
            self._early.setdefault(height, []).append((value, shown))
        while due := self._early.pop(self.follower.height + 1, []):
            if not any(self._accept(*copy) for copy in due):
                break

    def _accept(self, value: bytes, shown: int) -> bool:
        try:
            block = self.follower.accept(value)
        except LedgerError:
            return False
        if block is not None:
            self.blocks.append((block, shown))
            for batch in block.header["batches"]:
                name = (batch["stream"], batch["number"])
                self.again += [name] if name in self.recorded else []
                self.recorded[name] = shown / 1000
        return True


class Load:
    """Batches, proposed one after the other; what isn't recorded is proposed again."""

    def __init__(self, bootstrap: str, todo: Work, recorded: dict[Name, float]) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": "true", "log_level": 0})
        self._todo, self._recorded = todo, recorded
        self.offered: list[Name] = []
        self.records = 0
        self.wanted = 0
        """Batches to propose however many wait."""
        self.is_on = True
        self._next_s = self._again_s = time.monotonic()

    def step(self) -> None:
        """Propose what is due."""
        now = time.monotonic()
        number = len(self.offered)
        has_room = number < self.wanted or (self.is_on and number < len(self._recorded) + WAITING)
        if has_room and now >= self._next_s and number < len(self._todo.batches):
            self._next_s = now + EVERY_S
            key, value = self._todo.batches[number]
            batch = batches.decode(codec.decode("proposal", value)["body"])
            self.offered.append((batch.stream, batch.number))
            self.records += len(batch)
            self._propose(key, value)
        if now >= self._again_s + AGAIN_S:
            self._again_s = now
            for name, message in zip(self.offered, self._todo.batches, strict=False):
                if name not in self._recorded:
                    self._propose(*message)
        self._producer.poll(0)

    def _propose(self, key: str, value: bytes) -> None:
        self._producer.produce(topics.RECORDS_PROPOSED, value, key.encode(), 0)


class Committee:
    """Seven members on a broker, their load, and a reader who knows the genesis alone. All ends with the block."""

    def __init__(self, data: Path, seed: int, lies: dict[int, str], *, long: bool = False) -> None:
        self.data, self.long, self.lies = data, long, lies
        world = write_channel(data, POINTS, GATEWAYS)
        self.genesis = world.genesis
        told = {f"member-{member}": {"lie": lie, "seed": str(seed)} for member, lie in lies.items()}
        (data / lying.FILE).write_text(json.dumps(told))
        _worlds.setdefault(world.channel, world)
        self._todo = _work(world.channel, DAYS * (4 if long else 1))
        self.broker = Broker(data / "broker", message_bytes=Bounds().message_bytes)
        self.client = {"bootstrap.servers": self.broker.bootstrap}
        self.processes = Processes(data, self.broker.bootstrap)
        self.tail = Tail(self.broker.bootstrap, world)
        self.load = Load(self.broker.bootstrap, self._todo, self.tail.recorded)
        self.recovered: list[float] = []
        self._paused: set[int] = set()

    def __enter__(self) -> "Committee":
        with ExitStack() as stack:
            stack.callback(self.tail.close)
            stack.enter_context(self.broker)
            self.make_topics()
            produce(self.broker.bootstrap, topics.METER_READINGS, self._todo.packets)
            stack.enter_context(self.processes)
            stack.callback(lambda: self.resume(*self._paused))
            self.start(*ALL)
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def make_topics(self) -> None:
        """What the operator does."""
        ensure_topics(self.client, topics.catalogue(), Bounds())

    def start(self, *members: int) -> None:
        for member in members:
            program = "tests.scenarios.lying" if member in self.lies else "infra.cli"
            self.processes.start(f"member-{member}", program)

    def kill(self, *members: int) -> None:
        """kill -9."""
        for member in members:
            self.processes.kill(f"member-{member}")

    def pause(self, *members: int) -> None:
        """SIGSTOP."""
        for member in members:
            self._paused.add(member)
            os.kill(self.processes.running[f"member-{member}"].pid, signal.SIGSTOP)

    def resume(self, *members: int) -> None:
        """SIGCONT."""
        for member in members:
            self._paused.discard(member)
            os.kill(self.processes.running[f"member-{member}"].pid, signal.SIGCONT)

    def folder(self, member: int) -> Path:
        return self.data / "members" / str(member)

    def status(self, member: int) -> dict[str, Any]:
        """What a member last wrote about itself."""
        try:
            said: dict[str, Any] = json.loads((self.folder(member) / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return said

    @property
    def primary(self) -> int:
        return max(int(self.status(member).get("view", 0)) for member in ALL) % MEMBERS

    @property
    def running(self) -> list[int]:
        return [member for member in ALL if f"member-{member}" in self.processes.running]

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Go on under load until something is so. Raises AssertionError with where everybody stands."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.load.step()
            self.tail.read()
            self.processes.check()
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s\n{self._standing()}"

    def _standing(self) -> str:
        members = "\n".join(f"member-{member}: {self.status(member)}" for member in ALL)
        missing = [name for name in self.load.offered if name not in self.tail.recorded]
        return f"{members}\ntopic at height {self.tail.follower.height}, not recorded: {missing[:9]} ({len(missing)})"

    def offer(self, count: int) -> list[Name]:
        """Propose some more batches; their names."""
        first = len(self.load.offered)
        self.load.wanted = first + count
        self.until(lambda: len(self.load.offered) >= first + count, f"{count} batches offered")
        return self.load.offered[first : first + count]

    def record(self, count: int = 6) -> None:
        """Go on until batches that were proposed from now on are recorded; how long the first took is kept."""
        asked = time.time()
        names = self.offer(count)
        self.until(lambda: self.tail.recorded.keys() >= set(names), "new batches recorded")
        self.recovered.append(self.tail.recorded[names[0]] - asked)

    def finish(self) -> None:
        """Everything recorded, every member caught up, all copies the same. Raises AssertionError, LedgerError."""
        self.load.is_on = False
        self.until(lambda: len(self.tail.recorded) == len(self.load.offered), "all recorded")
        height = self.tail.follower.height
        # who says nothing asks for nothing either: it neither catches up nor hears whether its disk was set back
        members = [member for member in self.running if self.lies.get(member) != "is silent"]
        self.until(lambda: all(self.status(m).get("height") == height for m in members), "all caught up")
        self.kill(*self.running)
        self.check_topic()
        self.check_copies(members, height)

    def check_topic(self) -> None:
        """Each batch once, all of them accepted, as the reader saw it from the genesis on."""
        now = self.tail.follower.position
        assert self.tail.again == [], f"recorded twice: {self.tail.again}"
        assert set(self.tail.recorded) <= set(self.load.offered)
        assert now.rejected == 0, f"{now.rejected} honest records were rejected"
        assert (
            sum(batch["records"] for block, _ in self.tail.blocks for batch in block.header["batches"]) == now.accepted
        )

    def check_copies(self, members: Iterable[int], height: int = 0) -> None:
        """Every copy verifies from the genesis and says what the topic says, height by height."""
        shown = [block.digest for block, _ in self.tail.blocks]
        first: list[tuple[bytes, ...]] = []
        for member in members:
            packages = list(read_packages(self.folder(member) / "ledger.sqlite"))
            content = [_content(package) for package in packages]
            assert len(packages) >= height, f"member {member} has {len(packages)} of {height} blocks"
            assert self._digests(packages)[: len(shown)] == shown[: len(packages)], f"member {member} differs"
            if not first:
                assert verification.verify(self.genesis, packages).refused == ""
            common = min(len(first), len(content)) if first else len(content)
            first = first or content
            assert first[:common] == content[:common], f"the payloads of member {member} differ"

    def _digests(self, packages: list[bytes]) -> list[bytes]:
        follower, digests = Follower(self.genesis), []
        for package in packages:
            follower.accept(codec.decode_bare("block-package", package)["block"])
            digests.append(follower.position.digest)
        return digests

    @property
    def longest_gap(self) -> float:
        """The longest time between two blocks of the ledger topic, by the broker's clock, s."""
        times = [shown for _, shown in self.tail.blocks]
        return max((after - before for before, after in pairwise(times)), default=0) / 1000

    def log(self, member: int) -> str:
        """Everything that a member printed."""
        return (self.data / f"member-{member}.log").read_text()

    def lied(self, member: int) -> set[str]:
        """The kinds of lies that a member told."""
        return {line.removeprefix("lie: ") for line in self.log(member).splitlines() if line.startswith("lie: ")}


def _content(package: bytes) -> tuple[bytes, ...]:
    """All of a package that may not differ between members: endorsements and signers may."""
    fields = codec.decode_bare("block-package", package)
    block = codec.decode("block", fields["block"])
    return block["header"], block["leaves"], fields["salts"], *fields["payloads"]
