"""Ingest and aggregate as real processes on a real broker, against the real contract: nothing lost, nothing twice."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consensus.log.leaf import Refusal
from schemas import topics
from tests.streams.committee import Committee
from tests.streams.pipeline import Tap, Worker, reset, send, tap, wait_until
from tests.streams.world import HOUR, MINUTE, START, Chain, World

pytestmark = pytest.mark.broker
GATEWAYS = {f"gw-{g}": [f"gw-{g}-p{i}" for i in range(3)] for g in range(3)}
HOURS = 8


@pytest.fixture
def bootstrap(broker: str) -> str:
    reset(broker)
    return broker


@pytest.fixture
def world() -> World:
    return World(GATEWAYS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


class Line:
    """Everything behind the workers: the committee takes what is proposed and writes the ledger."""

    def __init__(self, bootstrap: str, world: World, chains: list[Chain], proposed: Tap) -> None:
        self.bootstrap, self.proposed, self.committee = bootstrap, proposed, Committee(world)
        for chain in chains:
            self.committee.packets.add(chain.packets)

    def turn(self) -> None:
        """One round: new proposals into a block, the block onto the ledger."""
        block = self.committee.take(m.value() for m in self.proposed.poll())
        if block is not None:
            height = len(self.committee.ledger).to_bytes(8, "big")
            send(self.bootstrap, topics.LEDGER_BLOCKS, [(height, block)], 0)

    def finished(self, windows: int) -> bool:
        self.turn()
        first = [r for r in self.committee.records if r[2].version == 1 and r[3] is Refusal.PASS]
        return len(first) >= windows


def chains_of(world: World, hours: int = HOURS) -> list[Chain]:
    """Readings of some hours, one of each gateway late, then silence that closes the windows."""
    chains = []
    for gateway, points in world.gateways.items():
        chain = world.chain(gateway)
        chain.minutes(points, 60 * hours - 1)
        chain.pack([], START + hours * HOUR + 10 * MINUTE)
        chain.pack([(points[0], START + (60 * hours - 1) * MINUTE, 5)], START + hours * HOUR + 11 * MINUTE)
        chains.append(chain)
    return chains


def messages(chains: list[Chain]) -> list[tuple[str | bytes | None, bytes]]:
    """The chains' packets in turn, as gateways would send them side by side."""
    rounds = zip(*(chain.messages for chain in chains), strict=True)
    return [(chain.gateway, message) for turn in rounds for chain, message in zip(chains, turn, strict=True)]


def check_ledger(committee: Committee, chains: list[Chain], hours: int = HOURS) -> None:
    """Every window once, all accepted, and the counted sum is the sum of all readings."""
    assert {refusal for *_, refusal in committee.records} == {Refusal.PASS}
    counts = Counter((point, start, ruling.version) for point, start, ruling, _ in committee.records)
    assert set(counts.values()) == {1}
    points = {point for chain in chains for packet in chain.packets for point in packet.points}
    wanted = {(p, START + h * HOUR, 1) for p in points for h in range(hours)}
    late = {(chain.packets[-1].points[0], START + (hours - 1) * HOUR, 2) for chain in chains}
    assert set(counts) == wanted | late


def test_readings_become_certified_records(bootstrap: str, world: World, tmp_path: Path, stack: ExitStack) -> None:
    chains = chains_of(world)
    line = Line(bootstrap, world, chains, stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world))
    aggregate = stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world))
    send(bootstrap, topics.METER_READINGS, messages(chains))
    wait_until(lambda: line.finished(9 * HOURS + 0), "the ledger of all windows")
    wait_until(lambda: line.finished(0) and len(line.committee.records) == 9 * HOURS + 3, "the corrections")
    check_ledger(line.committee, chains)
    assert aggregate.stop() == 0
