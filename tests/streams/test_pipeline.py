"""Ingest and aggregate as real processes on a real broker, against the real contract: nothing lost, nothing twice."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from carbon.refusal import Refusal
from schemas import codec, topics
from streams import aggregate, ingest
from tests.streams.committee import Committee
from tests.streams.pipeline import Tap, Worker, committed, send, tap, wait_until
from tests.streams.world import HOUR, MINUTE, START, Chain, World

pytestmark = pytest.mark.broker
GATEWAYS = {f"gw-{g}": [f"gw-{g}-p{i}" for i in range(3)] for g in range(3)}
HOURS = 8


@pytest.fixture
def world() -> World:
    return World(GATEWAYS)


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


def test_what_faust_leaves_out_is_recorded_all_the_same(
    bootstrap: str, world: World, tmp_path: Path, stack: ExitStack
) -> None:
    chains = chains_of(world, 2)
    line = Line(bootstrap, world, chains, stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world))
    send(bootstrap, topics.METER_READINGS, messages(chains))
    coded = [len(chain.messages) for chain in chains]
    wait_until(lambda: committed(bootstrap, ingest.APP_ID, topics.METER_READINGS) == sum(coded), "the coded packets")
    lost = [0, 3, 4, *(count - 1 for count in coded)]
    stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world, lose=lost))
    wait_until(lambda: line.finished(0) and len(line.committee.records) >= 9 * 2 + 3, "the ledger of all windows")
    check_ledger(line.committee, chains, 2)
    place = aggregate.APP_ID, topics.READINGS_CODED
    wait_until(lambda: committed(bootstrap, *place) == sum(coded), "all offsets")


@pytest.mark.slow
def test_killed_at_any_moment_every_window_is_recorded_once(
    bootstrap: str, world: World, tmp_path: Path, stack: ExitStack
) -> None:
    rng, chains = random.Random(5), chains_of(world)
    line = Line(bootstrap, world, chains, stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    coded = stack.enter_context(tap(bootstrap, topics.READINGS_CODED))
    workers = [
        stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world)),
        stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world, again_after=2.0)),
    ]
    every = messages(chains)
    third = len(every) // 3
    for turn in range(3):
        send(bootstrap, topics.METER_READINGS, every[turn * third : (turn + 1) * third if turn < 2 else None])
        send(bootstrap, topics.READINGS_CODED, [(b"gw-0", b"bad bytes %d" % turn)])
        send(bootstrap, topics.LEDGER_BLOCKS, [(b"x", b"bad bytes %d" % turn)], 0)
        victim, seen = workers[turn % 2], len(line.proposed.messages)
        some = rng.randrange(1, 4)
        wait_until(lambda s=seen, n=some: line.finished(0) and len(line.proposed.messages) >= s + n, "proposals")
        victim.kill()
        line.turn()
        victim.start()
    wait_until(lambda: line.finished(0) and len(line.committee.records) >= 9 * HOURS + 3, "the ledger of all windows")
    check_ledger(line.committee, chains)
    coded.poll()
    assert all(worker.running for worker in workers)


def test_what_the_ledger_does_not_show_is_proposed_again_with_the_same_bytes(
    bootstrap: str, world: World, tmp_path: Path, stack: ExitStack
) -> None:
    chains = chains_of(world, 2)
    proposed = stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED))
    send(bootstrap, topics.METER_READINGS, messages(chains))
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world))
    aggregate = stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world, again_after=1.0))

    def times() -> Counter[bytes]:
        proposed.poll()
        return Counter(m.value() for m in proposed.messages)

    def batches() -> dict[tuple[str, int], set[bytes]]:
        found: dict[tuple[str, int], set[bytes]] = {}
        for value in times():
            body = codec.decode_bare("batch", codec.decode("proposal", value)["body"])
            found.setdefault((body["stream"], body["number"]), set()).add(value)
        return found

    wait_until(lambda: len(times()) >= 9 and min(times().values()) >= 2, "every batch twice")
    aggregate.kill()
    aggregate.start()
    before = dict(times())
    wait_until(lambda: all(times()[value] > count for value, count in before.items()), "every batch after a restart")
    assert all(len(values) == 1 for values in batches().values())
    line = Line(bootstrap, world, chains, proposed)
    block = line.committee.take(list(times()))
    assert block is not None
    line.committee.take(list(times()))
    for height, one in enumerate(line.committee.ledger, 1):
        send(bootstrap, topics.LEDGER_BLOCKS, [(height.to_bytes(8, "big"), one)], 0)
    check_ledger(line.committee, chains, 2)


def test_a_gateway_that_equivocates_is_stopped_and_the_others_go_on(
    bootstrap: str, world: World, tmp_path: Path, stack: ExitStack
) -> None:
    chains = chains_of(world, 2)
    line = Line(bootstrap, world, chains, stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    alerts = stack.enter_context(tap(bootstrap, topics.ALERTS))
    rejected = stack.enter_context(tap(bootstrap, topics.READINGS_REJECTED))
    twin = world.chain("gw-0")
    twin.pack([], START)
    forked = [("gw-0", chains[0].messages[0]), ("gw-0", twin.messages[0])]
    send(bootstrap, topics.METER_READINGS, [*forked, *messages(chains)])
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world))
    stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world))
    wait_until(lambda: line.finished(6 * 2), "the records of the other gateways")
    wait_until(lambda: bool(alerts.poll()), "the alert")
    alert = codec.decode("alert", alerts.messages[0].value())
    assert (alert["kind"], alert["severity"]) == ("equivocation", "critical")
    assert {point[:4] for point, *_ in line.committee.records} == {"gw-1", "gw-2"}
    rejected.poll()
    kept = [codec.decode("rejection", m.value())["original"] for m in rejected.messages]
    assert any(twin.packets[0].body in original for original in kept)


def test_a_packet_that_keeps_windows_open_is_told_once_and_its_windows_close_when_it_comes(
    bootstrap: str, world: World, tmp_path: Path, stack: ExitStack
) -> None:
    chains = chains_of(world, 2)
    line = Line(bootstrap, world, chains, stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    alerts = stack.enter_context(tap(bootstrap, topics.ALERTS))
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world))
    stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world))
    held = ("gw-1", chains[1].messages[4])
    send(bootstrap, topics.METER_READINGS, [message for message in messages(chains) if message != held])
    wait_until(lambda: line.finished(6 * 2), "the records of the other gateways")
    wait_until(lambda: bool(alerts.messages or alerts.poll()), "the alert")
    send(bootstrap, topics.METER_READINGS, [held])
    wait_until(lambda: line.finished(0) and len(line.committee.records) == 9 * 2 + 3, "the ledger of all windows")
    check_ledger(line.committee, chains, 2)
    alerts.poll()
    alert, over = (codec.decode("alert", message.value()) for message in alerts.messages)
    assert (over["key"], over["resolved"], alert["resolved"]) == (alert["key"], True, False)
    assert (alert["kind"], alert["severity"]) == ("packets_missing", "warning")
    assert alert["text"].startswith("gw-1 run 1: packet 5 is missing, ")
