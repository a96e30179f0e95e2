"""A member's memory over the heights, and over its life.

The whole member process runs as it is: loop, contract, core, ledger, stores, vote log, publisher. Simulated is what is
around it: three peers that say to everything what the member said, a broker in memory that hands back what is
published, gateways and an aggregator that make one packet and one record a height. Signatures are not computed, nor is
anything synced to the disk. A past is filled in, where one is asked for: rows of noise for its blocks and packets, and
one block at its end; the heights after it are real.

`python -m tests.benchmarks.memory [--past HEIGHT] HEIGHT …` prints each height, resident memory in MiB after a
collection, and where it grew by a tenth what there is most of. A real height takes some 5 ms of CPU time.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha512
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from carbon import factors, merkle, registry, signing
from consensus.core.bodies import Checkpoint, Recall, Recalled, Status
from consensus.core.effects import OrderedBlock
from consensus.core.messages import Kind, Message
from consensus.ledger import Ledger
from consensus.log import genesis as geneses
from consensus.log.follower import Position
from consensus.member import archive, process, store
from consensus.member.archive import Archive
from consensus.member.config import KeyPair, MemberConfig
from consensus.member.store import LedgerFile
from schemas import topics
from tests.consensus.aggregator import Aggregator
from tests.small import HOUR, START, World, genesis_bytes, registry_bytes, seed

PEERS = (1, 2, 3)
GATEWAYS = 8
LIFE = (10_000, 30_000)
HIGH = 1_000_000
GROWN = 1.1
"""Ratio from which on memory is said to have grown."""


class Taken(NamedTuple):
    """A message as the wire hands it over."""

    of: str
    data: bytes
    number: int = 0

    def topic(self) -> str:
        return self.of

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return self.data


class Gateway:
    """One gateway with one point, and the aggregator of its windows: a packet and a record an hour."""

    def __init__(self, world: World, archive: Archive) -> None:
        self._world, self._aggregator = world, Aggregator(world, archive.under(0))
        (self._point,) = world.registry.points_of[world.gateway]
        self._hour = 0

    def packet(self) -> bytes:
        self._hour += 1
        now = START + self._hour * HOUR
        return self._world.pack(now, [(self._point.id, now - HOUR, 1_000 + self._hour % 7)])

    def proposal(self) -> bytes:
        """The record of the window that the last packet closed."""
        draft = self._aggregator.draft(self._point.id, START + (self._hour - 2) * HOUR)
        return self._aggregator.message([self._aggregator.record(draft)])


class Surroundings:
    """Stands in for the wire: peers, broker, gateways."""

    def __init__(self, *_: object) -> None:
        self._votes: deque[Taken] = deque()
        self._sources: deque[Taken] = deque()
        self._offsets: Counter[str] = Counter()
        self._work: Iterator[list[tuple[str, bytes]]] = iter(())

    def begin(self, sides: list[World], archive: Archive) -> None:
        """The gateways begin to send."""
        self._work = self._rounds([Gateway(side, archive) for side in sides])

    def _rounds(self, gateways: list[Gateway]) -> Iterator[list[tuple[str, bytes]]]:
        yield [(topics.METER_READINGS, gateway.packet()) for gateway in gateways]
        while True:
            yield [(topics.METER_READINGS, gateway.packet()) for gateway in gateways]
            yield [(topics.RECORDS_PROPOSED, gateway.proposal()) for gateway in gateways]

    @property
    def is_busy(self) -> bool:
        """Whether something that arrived was not taken yet."""
        return bool(self._sources)

    def next_round(self) -> None:
        """Have the next packets, or the records that rest on the last ones, arrive."""
        for topic, value in next(self._work):
            self.produce(topic, b"", value)

    def partitions(self, topic: str) -> list[int]:
        return [0]

    def start(self, sources: dict[tuple[str, int], int]) -> None:
        pass

    def votes(self, timeout: float) -> list[Taken]:
        found = list(self._votes)
        self._votes.clear()
        return found

    def sources(self, count: int, timeout: float) -> list[Taken]:
        return [self._sources.popleft() for _ in range(min(count, len(self._sources)))]

    def send(self, data: bytes, to: int | None) -> None:
        message = Message.decode(data)
        for peer in PEERS:
            self._votes += [Taken("", answer.encode()) for answer in _answers(peer, message)]

    def produce(self, topic: str, key: bytes, value: bytes, headers: object = ()) -> None:
        if topic in (topics.METER_READINGS, topics.RECORDS_PROPOSED, topics.LEDGER_BLOCKS):
            self._sources.append(Taken(topic, value, self._offsets[topic]))
            self._offsets[topic] += 1

    def pump(self) -> None:
        pass

    def show_lag(self, places: object) -> None:
        pass

    def close(self) -> None:
        pass


def _answers(peer: int, message: Message) -> Iterator[Message]:
    """What a peer says that goes along with everything; a vote's bytes are the same whoever casts it."""
    body, kind = message.body, message.kind
    if kind is Kind.PRE_PREPARE:
        kind = Kind.PREPARE
    elif kind is Kind.CHECKPOINT:
        said = Checkpoint.decode(body)
        body = Checkpoint(said.epoch, said.height, _signature(bytes([peer]), body)).encode()
    elif kind is Kind.RECALL:
        asked = Recall.decode(body)
        kind, body = Kind.RECALLED, Recalled(asked.epoch, message.member, asked.question, b"", ()).encode()
    elif kind is Kind.STATUS:
        body = replace(Status.decode(body), suspects=False, stalled=False).encode()
    elif kind not in (Kind.ENDORSEMENT, Kind.COMMIT):
        return
    yield Message(kind, peer, body, _signature(bytes([peer]), body))


def _signature(secret: bytes, message: bytes) -> bytes:
    return sha512(secret + message).digest()


def _simulate() -> None:
    """Nothing signed, nothing synced, nothing of Kafka."""
    signing.sign_raw = _signature
    signing.verify_raw = lambda *_: True
    os.fdatasync = lambda _: None
    opened = store.open_database
    for module in (archive, store):
        module.open_database = lambda path, schema, _: opened(path, schema, "OFF")
    process.Wire = Surroundings  # type: ignore[assignment, misc]


def _world() -> World:
    file = registry_bytes(1, GATEWAYS, 3_600)
    raw = json.loads(genesis_bytes(file, 1 + len(PEERS)))
    return World(
        registry.parse(file, factors.load()),
        geneses.parse(geneses.build(raw | {"block": {"bytes": 4_000_000, "records": 1}})),
    )


def _sides(world: World, past: int) -> list[World]:
    """A world for each gateway, behind its packets of the past."""
    return [replace(world, gateway=f"gw-{g}", sequence=past // GATEWAYS, previous=bytes(32)) for g in range(GATEWAYS)]


def _fill_in(folder: Path, config: MemberConfig, past: int) -> None:
    """Blocks and packets up to a height: noise, but for the last block and what stands after it."""
    genesis = config.genesis
    file = LedgerFile(folder / process.LEDGER)
    rows = "WITH RECURSIVE row(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < ?) "
    file._database.execute(rows + "INSERT INTO block SELECT n, randomblob(200) FROM row", (past - 1,))
    peaks = [_signature(b"peak", bytes([n]))[:32] for n in range((past - 1).bit_count())]
    before = Position(past - 1, bytes(32), 0, past - 1, 0, merkle.GrowingTree(past - 1, peaks))
    file.note_checked(before)
    ledger = Ledger(genesis, config.registry, _Past(file, before))
    ledger.execute(OrderedBlock(0, past, 0, (), ()))
    ledger.settle(past, [(peer, _signature(bytes([peer]), b"")) for peer in (0, *PEERS[:-1])])
    file.close()
    archive = Archive(folder / process.ARCHIVE, {0: config.registry}, genesis.digest, HOUR)
    for side in _sides(_world(), past):
        name = (side.sequence, side.gateway)
        archive._database.execute(
            rows + "INSERT INTO packet SELECT ?, 0, n, zeroblob(32), n, 0, randomblob(200) FROM row", name
        )
        archive._database.execute(rows + "INSERT INTO watermark SELECT ?, 0, n, n FROM row", name)
    archive.commit({process._SEEN: {0: past}})
    archive.close()


class _Past:
    """A ledger's store that stands at a position although nothing was kept."""

    def __init__(self, file: LedgerFile, position: Position) -> None:
        self._position, self.keep, self.package = position, file.keep, file.package

    def resume(self) -> tuple[Position, bytes]:
        return self._position, b""


def _resident_mb() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 2**20


def _most() -> str:
    """Objects by type, and the longest containers."""
    objects = gc.get_objects()
    counts = Counter(type(one).__name__ for one in objects).most_common(12)
    longest = sorted((len(one), type(one).__name__) for one in objects if isinstance(one, dict | list | set))[-6:]
    return f"most objects: {dict(counts)}; longest containers: {longest[::-1]}"


def run(past: int, heights: list[int], folder: Path) -> Iterator[float]:
    """Resident memory in MiB at each height, of a member that begins behind a past, with its data in a folder."""
    _simulate()
    world = _world()
    keys = KeyPair(seed("vote-0"), seed("note-0"))
    config = MemberConfig(
        {},
        world.genesis,
        world.registry,
        "member-0",
        lambda: (keys,),
        folder,
        batch_records=1,
        batch_delay_ms=0,
        endorse_delay_ms=0,
    )
    if past:
        _fill_in(folder, config, past)
    file, _ = LedgerFile.opened(folder / process.LEDGER, world.genesis)
    member = process.Member(config, file)
    around: Any = member._wire
    member.start()
    around.begin(_sides(world, past), member._archive)
    for height in heights:
        while member._ledger.kept.height < height:
            member.turn()
            if not (member._unjudged or member._ledger._held or around.is_busy):
                around.next_round()
        assert member._ledger.kept.rejected == 0
        yield _resident_mb()
    member.close()
    file.close()


def measure(past: int, *heights: int) -> list[float]:
    """Resident memory in MiB at each height, of a process of its own."""
    argv = [sys.executable, "-m", "tests.benchmarks.memory", "--past", str(past), *map(str, heights)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [float(line.split()[1]) for line in said.splitlines() if line[0].isdigit()]


def main() -> None:
    """Print height and MiB, and the ratio of the last to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--past", type=int, default=0, help="heights that are filled in")
    parser.add_argument("heights", type=int, nargs="+", help="where to measure, in rising order")
    asked, found = parser.parse_args(), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        for height, mb in zip(asked.heights, run(asked.past, asked.heights, Path(folder)), strict=True):
            found.append(mb)
            print(f"{height} {mb:.1f}", flush=True)
            if mb > GROWN * found[0]:
                print(_most(), flush=True)
    print(f"ratio {found[-1] / found[0]:.3f}")


if __name__ == "__main__":
    main()
