"""A live gateway under loggers, the broker, the workers and seven members, killed with -9 again and again.

    python -m tests.e2e.live [--kills 50] [--seed 1]

HJ 212 loggers send a frame for every second, the same one until it is answered, some of them twice, some readings out
of their range. Which process is killed at which moment of the running load is the seed's to say; the next kill comes
when loggers were answered and records were certified again. At the end, from the broker's topics alone: each answered
reading is in exactly one packet, and counted in exactly one recorded window or refused in exactly one dead letter.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from carbon import merkle
from carbon import packet as packets
from carbon import record as records
from carbon.proposing import FIRST_STATE_REASON
from carbon.refusal import label
from consensus.log.follower import Follower
from consensus.log.reader import LedgerReader
from infra.broker import Broker
from infra.ports import free_port
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from tests import small
from tests.committee import Processes, write_files
from tests.streams.edge.hj212.logger import PASSWORD, NotAnsweredError, connected
from tests.streams.pipeline import Tap, tap

GATEWAY = "gw-0"
LOGGERS, POINTS = 24, 4
MEMBERS = 7
WINDOW_SECONDS, LATENESS_SECONDS = 5, 5
KINDS = ("gateway", "ingest", "aggregate", "broker", "member")
TWICE, OUT_OF_RANGE = 29, 17
"""Of so many frames one is sent once more although it was answered, of so many readings one is no plausible value."""
RECOVERS_WITHIN = 180.0
LONGEST_WAIT = 3.0

Reading = tuple[str, int, int]
"""Point, time in ms UTC, scaled value."""


class Found(NamedTuple):
    """What a campaign came to."""

    kills: Counter[str]
    answered: int
    sent_again: int
    packets: int
    windows: int
    corrected: int
    dead_letters: int


# -- the load


def point_of(logger: int, item: int) -> str:
    return f"plant-0-{POINTS * logger + item}"


def value_of(logger: int, item: int, second: int) -> int:
    """What was measured: now and then more than the point's registered range."""
    serial = second + 7 * logger + 3 * item
    return 2 * 10**9 if serial % OUT_OF_RANGE == 0 else 1_000 + serial % 977


@dataclass
class Fleet:
    """The loggers, and what each of them has had answered."""

    port: int
    first: int
    """The first second that is reported, Unix seconds."""
    answered: set[Reading] = field(default_factory=set)
    sent_again: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Report every second until `stop`."""
        await asyncio.gather(*(self._logger(number, stop) for number in range(LOGGERS)))

    async def _logger(self, number: int, stop: asyncio.Event) -> None:
        second, sent = self.first, 0
        while not stop.is_set():
            try:
                async with connected(f"LOGGER{number:02}", self.port) as logger:
                    while not stop.is_set():
                        # a period of a second is over a second later
                        await asyncio.sleep(second + 2 - time.time())
                        raw = logger.upload(self._data(number, second), QN=f"{second * 1000:017}")
                        self.sent_again += second == sent
                        sent = second
                        await logger.report(raw)
                        self._note(number, second)
                        if (second + number) % TWICE == 0:
                            self.sent_again += 1
                            await logger.report(raw)
                        second += 1
            except (OSError, NotAnsweredError):
                await asyncio.sleep(0.1)

    def _data(self, number: int, second: int) -> str:
        local = datetime.fromtimestamp(second, UTC) + timedelta(hours=8)
        items = (f"c{item}-Rtd={value_of(number, item, second)},c{item}-Flag=N" for item in range(POINTS))
        return f"DataTime={local:%Y%m%d%H%M%S};" + ";".join(items)

    def _note(self, number: int, second: int) -> None:
        self.answered |= {(point_of(number, i), 1000 * second, value_of(number, i, second)) for i in range(POINTS)}


# -- the processes


def write_world(data: Path, now: int) -> small.World:
    """The channel of a pipeline whose windows are short and begin at `now`, Unix seconds."""
    start = 1000 * (now - now % WINDOW_SECONDS)
    points = LOGGERS * POINTS
    more = {f"plant-0-{i}": {"start": start, "window_seconds": WINDOW_SECONDS} for i in range(points)}
    registry_file = small.registry_bytes(points, 1, 1, more)
    times = {"window_seconds": WINDOW_SECONDS, "lateness_seconds": LATENESS_SECONDS}
    return write_files(data, registry_file, small.genesis_bytes(registry_file, MEMBERS, **times), 1, MEMBERS)


def write_gateway(data: Path, bootstrap: str, port: int, world: small.World) -> Path:
    """The settings of the live gateway."""
    path = data / "edge.json"
    item = {"command": 2011, "field": "Rtd", "unit": "Wh", "point_unit": "Wh", "time": "instant"}
    devices = [
        {
            "mn": f"LOGGER{number:02}",
            "password": PASSWORD,
            "items": [item | {"code": f"c{i}", "point": point_of(number, i)} for i in range(POINTS)],
        }
        for number in range(LOGGERS)
    ]
    settings = {
        "gateway": GATEWAY,
        "run": 0,
        "seed_file": str(data / "channel" / "keys" / f"{GATEWAY}.seed"),
        "channel": world.channel.hex(),
        "kafka": {"bootstrap.servers": bootstrap},
        "folder": str(data / "edge"),
        "packet": {"readings": 500, "age": 1, "silence": 2},
        "sources": [{"kind": "hj212", "port": port, "devices": devices}],
    }
    path.touch(0o600)
    path.write_text(json.dumps(settings))
    return path


class Pipeline:
    """The processes under test, each of which can be killed and is started again."""

    def __init__(self, data: Path, broker: Broker, processes: Processes, edge: Path) -> None:
        self._data, self._broker, self.processes, self._edge = data, broker, processes, edge

    def start(self) -> None:
        for role in ("ingest", "aggregate", *(f"member-{index}" for index in range(MEMBERS))):
            self.processes.start(role)
        self._start_gateway()

    def _start_gateway(self) -> None:
        self.processes.start("gateway", arguments=["gateway", "--config", str(self._edge)])

    def kill(self, kind: str, chance: random.Random) -> str:
        """kill -9 of one process of a kind, and its next start; its name."""
        if kind == "broker":
            self._broker.kill()
            self._broker.start()
            return kind
        role = f"member-{chance.randrange(MEMBERS)}" if kind == "member" else kind
        self.processes.kill(role)
        if kind == "gateway":
            # long enough, now and then, that what loggers send again is late for its window
            time.sleep(chance.choice((0, WINDOW_SECONDS + LATENESS_SECONDS)))
            self._start_gateway()
        else:
            self.processes.start(role)
        return role

    def recorded(self) -> int:
        """Accepted records by the account of the member that has most."""
        found = [0]
        for path in (self._data / "members").glob("*/status.json"):
            found.append(int(json.loads(path.read_text())["accepted"]))
        return max(found)


@contextmanager
def pipeline(data: Path) -> Iterator[tuple[Pipeline, Fleet, Broker, small.World]]:
    """Everything but the load, running in a folder and on a broker of its own."""
    now, port = int(time.time()), free_port()
    world = write_world(data, now)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(data / "broker", message_bytes=Bounds().message_bytes))
        ensure_topics({"bootstrap.servers": broker.bootstrap}, topics.catalogue(), Bounds())
        processes = stack.enter_context(Processes(data, broker.bootstrap))
        running = Pipeline(data, broker, processes, write_gateway(data, broker.bootstrap, port, world))
        running.start()
        yield running, Fleet(port, now), broker, world


# -- the campaign


async def campaign(data: Path, seed: int, kills: int, say: Callable[[str], None] = lambda _: None) -> Found:
    """So many kills under load, then the account. Raises AssertionError for anything lost, doubled or unexplained."""
    chance, hit, stop = random.Random(seed), Counter[str](), asyncio.Event()
    with pipeline(data) as (running, fleet, broker, world):
        load = asyncio.create_task(fleet.run(stop))
        try:
            await _recovered(running, fleet)
            for number in range(kills):
                await asyncio.sleep(chance.uniform(0, LONGEST_WAIT))
                kind = KINDS[number] if number < len(KINDS) else chance.choice(KINDS)
                process = await asyncio.to_thread(running.kill, kind, chance)
                hit[kind] += 1
                began = time.monotonic()
                await _recovered(running, fleet)
                say(f"{number + 1:3} {process:10} recovered after {time.monotonic() - began:5.1f} s")
        finally:
            stop.set()
            await asyncio.wait([load])
        load.result()
        account = await asyncio.to_thread(settled, broker.bootstrap, world, fleet.answered, running)
    return Found(hit, len(fleet.answered), fleet.sent_again, *account)


async def _recovered(running: Pipeline, fleet: Fleet) -> None:
    """Wait until loggers were answered, and more was recorded than the one window that may have been under way."""
    answered, recorded = len(fleet.answered), running.recorded() + LOGGERS * POINTS
    deadline = time.monotonic() + RECOVERS_WITHIN
    while len(fleet.answered) == answered or running.recorded() <= recorded:
        running.processes.check()
        assert time.monotonic() < deadline, f"stands still at {answered} answers and {recorded} records"
        await asyncio.sleep(0.1)


class Account(NamedTuple):
    """What the topics came to."""

    packets: int
    windows: int
    corrected: int
    dead_letters: int


def settled(bootstrap: str, world: small.World, answered: set[Reading], running: Pipeline) -> Account:
    """The account once it comes out; waits for what is under way. Raises AssertionError that says what doesn't fit."""
    deadline = time.monotonic() + RECOVERS_WITHIN
    with ExitStack() as stack:
        names = (topics.METER_READINGS, topics.READINGS_REJECTED, topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)
        books = Books(world, *(stack.enter_context(tap(bootstrap, name)) for name in names))
        while True:
            running.processes.check()
            books.read()
            try:
                return books.check(answered)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)


class Books:
    """What a stranger reads from the topics: packets, dead letters and the ledger with its payloads."""

    def __init__(self, world: small.World, packets_: Tap, letters: Tap, blocks: Tap, payloads: Tap) -> None:
        self._world, self._taps = world, (packets_, letters, blocks, payloads)
        self._reader = LedgerReader(Follower(world.genesis))
        self._packets: dict[int, packets.Packet] = {}
        self._refused: set[tuple[Reading, str, bytes, int]] = set()
        self._windows: dict[tuple[str, int], dict[str, object]] = {}

    def read(self) -> None:
        """Take what is new. Raises AssertionError for a fork, or a reading that a packet holds twice."""
        packets_, letters, blocks, payloads = (tap.poll() for tap in self._taps)
        for message in packets_:
            packet = self._world.decode(message.value())
            known = self._packets.setdefault(packet.sequence, packet)
            assert known.digest == packet.digest, f"two packets {packet.sequence}"
        for message in letters:
            letter = codec.decode("rejection", message.value())
            for item in letter["items"]:
                reading = (item["point"], item["at"], item["value"])
                self._refused.add((reading, item["reason"], letter["digest"], item["index"]))
        for message in payloads:
            self._reader.offer_payload(message.key(), message.value(), message.offset())
        for message in blocks:
            self._reader.offer_block(message.value(), message.offset())
        for opened in self._reader.ready():
            for leaf in opened.leaves:
                reason = leaf.leaf.leaf.reason
                if not leaf.leaf.leaf.accepted:
                    # what only its place in the chain is held against is built again, and counts then
                    assert reason >= FIRST_STATE_REASON, f"refused for {label(reason)}: {records.decode(leaf.payload)}"
                    continue
                record = records.decode(leaf.payload)
                key = record["point"], record["window_start"]
                version = self._windows.get(key, {"version": 0})["version"]
                assert record["version"] == version + 1, f"{key}: version {record['version']} behind {version}"  # type: ignore[operator]
                self._windows[key] = record

    def check(self, answered: set[Reading]) -> Account:
        """Hold everything against each other."""
        leaves = dict[Reading, list[bytes]]()
        for _, packet in sorted(self._packets.items()):
            for reading, leaf in zip(_readings(packet), packets.leaf_hashes(packet), strict=True):
                leaves.setdefault(reading, []).append(leaf)
        assert not (lost := answered - leaves.keys()), f"{len(lost)} answered readings in no packet: {min(lost)}"
        doubled = [reading for reading, places in leaves.items() if len(places) > 1]
        assert not doubled, f"{len(doubled)} readings in two packets: {doubled[0]}"
        refused = Counter(reading for reading, *_ in self._refused)
        assert max(refused.values(), default=1) == 1, f"refused twice: {refused.most_common(1)}"
        strange = {reason for _, reason, *_ in self._refused} - {"out_of_range"}
        assert not strange, f"refused without being planted: {strange}"
        planted = {reading for reading in leaves if reading[2] > 10**9}
        assert planted == refused.keys(), f"{len(planted)} planted, {len(refused)} dead letters"
        self._check_windows({reading: leaf for reading, (leaf,) in leaves.items() if reading not in planted})
        corrected = sum(record["version"] != 1 for record in self._windows.values())
        return Account(len(self._packets), len(self._windows), corrected, len(refused))

    def _check_windows(self, counted: dict[Reading, bytes]) -> None:
        """Every counted reading stands in the evidence of the latest version of its window, once, and nothing else."""
        wanted: dict[tuple[str, int], list[tuple[Reading, bytes]]] = defaultdict(list)
        length = 1000 * WINDOW_SECONDS
        for (point, at, value), leaf in counted.items():
            wanted[point, at - at % length].append(((point, at, value), leaf))
        missing = wanted.keys() - self._windows.keys()
        assert not missing, f"{len(missing)} windows are not recorded: {min(missing)}"
        for key, record in self._windows.items():
            held = wanted.get(key, [])
            found = record["count"], record["quantity"], record["evidence_root"]
            own = len(held), sum(reading[2] for reading, _ in held), merkle.root([leaf for _, leaf in held])
            assert found == own, f"{key}: version {record['version']} counts {found[:2]}, the packets {own[:2]}"


def _readings(packet: packets.Packet) -> Iterator[Reading]:
    for point, at, value in zip(packet.point.tolist(), packet.at.tolist(), packet.value.tolist(), strict=True):
        yield packet.points[point], at, value


def main() -> None:
    """Run one long campaign and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carbonledger-live-") as folder:
        found = asyncio.run(campaign(Path(folder), chosen.seed, chosen.kills, lambda line: print(line, flush=True)))
    print(f"seed {chosen.seed}: {found}")


if __name__ == "__main__":
    main()
