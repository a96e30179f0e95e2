"""A slow reader holds back who writes for it, step by step up to the device, and nothing is lost when it comes back."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas import topics
from streams import aggregate, flow
from streams.edge.live import Uplink
from streams.edge.signer import Signer
from streams.edge.store import Store
from streams.faust_app import Health
from tests.streams.edge.lines import CHANNEL, GATEWAY, SEED
from tests.streams.pipeline import Worker, committed, send, tap, wait_until
from tests.streams.test_pipeline import Line, check_ledger, messages
from tests.streams.world import HOUR, MINUTE, START, Chain, World

HOURS = 24
BEFORE, LATER = 900, 1_500
"""Packets of 900 readings: more than the workers hold in memory, and as many again and more behind them."""


def chain_of(world: World) -> Chain:
    """A packet an hour, one of them late, and the silence that closes the windows."""
    (gateway,) = world.gateways
    points, chain = world.gateways[gateway], world.chain(gateway)
    for hour in range(HOURS):
        at = [START + hour * HOUR + minute * MINUTE for minute in range(60)]
        last = hour == HOURS - 1
        readings = [(point, one, 5) for one in at for point in points if not (last and one == at[-1])]
        chain.pack(readings, at[-1])
    chain.pack([], START + HOURS * HOUR + 10 * MINUTE)
    chain.pack([(points[0], START + HOURS * HOUR - MINUTE, 5)], START + HOURS * HOUR + 11 * MINUTE)
    return chain


def state_in(folder: Path, name: str) -> dict[str, float]:
    """What a worker said of itself last."""
    path = folder / name / f"{name}.health.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def test_a_writer_waits_from_the_bound_on_until_half_of_it_is_done() -> None:
    assert [flow.holds(behind, 10, held=False) for behind in (0, 10, 11)] == [False, False, True]
    assert [flow.holds(behind, 10, held=True) for behind in (11, 6, 5)] == [True, True, False]


@pytest.mark.broker
def test_a_committee_that_stands_holds_the_workers_and_all_is_recorded_when_it_goes_on(
    bootstrap: str, tmp_path: Path, stack: ExitStack
) -> None:
    world = World({"gw-0": ["p-0", "p-1", "p-2"]})
    chain = chain_of(world)
    line = Line(bootstrap, world, [chain], stack.enter_context(tap(bootstrap, topics.RECORDS_PROPOSED)))
    coded = stack.enter_context(tap(bootstrap, topics.READINGS_CODED))
    stack.enter_context(Worker("ingest", tmp_path / "ingest", bootstrap, world, most_behind=4))
    options = {"most_unconfirmed": 9, "again_after": 600.0}
    stack.enter_context(Worker("aggregate", tmp_path / "aggregate", bootstrap, world, **options))

    state = partial(state_in, tmp_path)
    every = messages([chain])
    send(bootstrap, topics.METER_READINGS, every[:11])
    wait_until(lambda: bool(state("aggregate").get("held")), "the aggregator held")
    assert state("aggregate")["unconfirmed_records"] == 9, "three windows of three points"
    assert state("aggregate")["unconfirmed_batches"] == 3
    place = aggregate.APP_ID, topics.READINGS_CODED
    wait_until(lambda: committed(bootstrap, *place) == 4, "four of eleven packets done")

    def two_looks() -> None:
        begun = state("ingest")["at"]
        wait_until(lambda: state("ingest")["at"] > begun + 2 * flow.LOOK_EVERY, "two looks")

    two_looks()
    assert state("ingest")["held"] and state("ingest")["behind"] > 4
    coded.poll()
    held = len(coded.messages)
    send(bootstrap, topics.METER_READINGS, every[11:])
    two_looks()
    coded.poll()
    assert len(coded.messages) == held <= 11, "the rest waits on meter.readings"
    assert state("aggregate")["unconfirmed_records"] == 9
    wait_until(lambda: line.finished(3 * HOURS) and len(line.committee.records) == 3 * HOURS + 1, "the ledger")
    check_ledger(line.committee, [chain], HOURS)
    wait_until(lambda: committed(bootstrap, *place) == len(every), "all offsets")
    wait_until(lambda: not state("ingest")["held"] and not state("aggregate")["held"], "nobody held")
    wait_until(lambda: state("aggregate")["unconfirmed_records"] == 0, "nothing waits for the committee")


@pytest.mark.broker
def test_memory_stays_flat_while_the_committee_stands(bootstrap: str, tmp_path: Path, stack: ExitStack) -> None:
    world = World({"gw-0": [f"p-{number}" for number in range(15)]})
    chain = world.chain("gw-0")
    chain.minutes(world.gateways["gw-0"], 60 * (BEFORE + LATER), 60)
    every: list[tuple[str | bytes | None, bytes]] = [("gw-0", message) for message in chain.messages]
    workers = [
        Worker("ingest", tmp_path / "ingest", bootstrap, world, most_behind=100),
        Worker("aggregate", tmp_path / "aggregate", bootstrap, world, most_unconfirmed=100, again_after=600.0),
    ]
    for worker in workers:
        stack.enter_context(worker)

    def settled() -> list[float]:
        """The memory of both once they have stood still for two looks, MiB."""
        wait_until(lambda: all(state_in(tmp_path, worker.name).get("held") for worker in workers), "both held")
        begun = state_in(tmp_path, "ingest")["at"]
        wait_until(lambda: state_in(tmp_path, "ingest")["at"] > begun + 4 * flow.LOOK_EVERY, "four looks")
        return [worker.memory for worker in workers]

    send(bootstrap, topics.METER_READINGS, every[:BEFORE])
    before = settled()
    send(bootstrap, topics.METER_READINGS, every[BEFORE:])
    later = settled()
    waits = sum(map(len, chain.messages[BEFORE:])) / 2**20
    grown = [after - first for first, after in zip(before, later, strict=True)]
    print(f"{waits:.0f} MiB more wait; memory {before} MiB, then {later}")
    assert max(grown) < waits / 4, f"{waits:.0f} MiB more wait, and memory grew by {grown}"


def take_all(bootstrap: str) -> None:
    """Commit, as ingest, whatever is on meter.readings."""
    read = Consumer({"bootstrap.servers": bootstrap, "group.id": flow.INGEST, "enable.auto.commit": False})
    try:
        places = [TopicPartition(topics.METER_READINGS, p) for p in range(topics.METER_PARTITIONS)]
        ends = [read.get_watermark_offsets(place, timeout=10)[1] for place in places]
        at = [TopicPartition(place.topic, place.partition, end) for place, end in zip(places, ends, strict=True)]
        read.commit(offsets=at, asynchronous=False)
    finally:
        read.close()


@pytest.mark.broker
def test_the_intake_takes_no_reading_while_ingest_is_behind(bootstrap: str, tmp_path: Path, stack: ExitStack) -> None:
    world = World({"intake": ["p-0"]})
    packets = stack.enter_context(tap(bootstrap, topics.METER_READINGS))
    intake = stack.enter_context(Worker("intake", tmp_path / "intake", bootstrap, world, age=0.1, most_behind=1))

    def reads(count: int) -> None:
        readings = [{"point": "p-0", "at": START + MINUTE * k, "value": "1"} for k in range(count)]
        send(bootstrap, topics.METER_SINGLE, [("p-0", json.dumps(reading).encode()) for reading in readings])

    def held() -> bool:
        reads(1)
        return "waits for its reader" in intake.log

    wait_until(held, "the intake held")
    packets.poll()
    assert len(packets.messages) >= 2
    reads(600)
    assert not packets.poll(), "what comes waits on meter.single"
    take_all(bootstrap)
    wait_until(lambda: bool(packets.poll()), "a packet")
    assert "goes on" in intake.log


@pytest.mark.broker
def test_a_live_gateway_keeps_its_packets_while_ingest_is_behind(bootstrap: str, tmp_path: Path) -> None:
    kafka = {"bootstrap.servers": bootstrap}
    with Store(tmp_path / "store.db") as store:
        signer = Signer(GATEWAY, 1, SEED, CHANNEL, {})
        for second in range(300):
            store.append(*signer.packet(store.head(), [], second), "0", None, 0)
        uplink = Uplink(kafka, GATEWAY, store, 10)
        sending = Thread(target=uplink.run)
        sending.start()
        try:
            wait_until(lambda: uplink.ingest.held, "the uplink held")
            kept = 300 - uplink.delivered
            assert kept > 100, "at most what is under way at once goes out beyond the bound"

            def caught_up() -> bool:
                take_all(bootstrap)
                return uplink.delivered == 300

            wait_until(caught_up, "all packets sent")
        finally:
            uplink.stop.set()
            sending.join()


def test_a_worker_that_waits_says_so(tmp_path: Path) -> None:
    Health(tmp_path / "health.json", lambda: {"held": True}).report()
    assert json.loads((tmp_path / "health.json").read_text())["held"] is True
