"""The live gateway on its loop: packets when they are due, on both topics in order, and no end by a source's fault."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from carbon import frames, packet
from carbon.packet import Packet
from schemas import codec, topics
from streams.edge import live
from streams.edge.live import LiveGateway, Packer
from streams.edge.packing import Load, PacketLimits
from streams.edge.signer import Signer
from streams.edge.sources import Arrival, Keep
from streams.edge.store import Store
from tests.streams.edge.lines import CHANNEL, GATEWAY, SEED, arrival, gateway

LIMITS = PacketLimits(readings=2, bytes=100_000, age=3_600.0, silence=3_600.0)
NOW = 1_700_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db") as store:
        yield store


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAST_SECONDS", 0.1)
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(live, "REPORT_SECONDS", 0.01)


@pytest.fixture
def kafka() -> Iterator[dict[str, str]]:
    """The settings of a client of librdkafka's own mock cluster, which lives as long as the producer that holds it."""
    holder = Producer({"test.mock.num.brokers": "1", "bootstrap.servers": "mock"})
    (broker,) = holder.list_topics(timeout=10).brokers.values()
    yield {"bootstrap.servers": f"{broker.host}:{broker.port}"}


class Scripted:
    """A source that does what its script says, and then nothing until it is cancelled."""

    def __init__(self, script: Callable[[Keep], Awaitable[None]]) -> None:
        self._script = script
        self.counts = Counter(scripted=1)

    async def serve(self, keep: Keep) -> None:
        await self._script(keep)
        await asyncio.Event().wait()


def packer(store: Store, limits: PacketLimits = LIMITS) -> Packer:
    return Packer(store, Signer(GATEWAY, 1, SEED, CHANNEL, {}), limits, future_ms=60_000)


def packets(store: Store) -> list[Packet]:
    return [packet.decode_body(stored.body) for stored in store.unsent()]


def until(gateway: LiveGateway, done: Callable[[], bool], seconds: float = 60) -> None:
    """Run the gateway until `done`."""

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(gateway.run(stop))

        async def wait() -> None:
            while not done() and not running.done():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), seconds)
        stop.set()
        await running

    asyncio.run(run())


@pytest.mark.parametrize("steps", range(6))
def test_the_end_is_heard_while_something_comes_in(store: Store, steps: int) -> None:
    """Whatever the loop had done of the wake-up by then: a cancellation that is swallowed is an end that never is."""

    async def run() -> None:
        served = gateway(store, {})
        waiting = asyncio.create_task(served._wait())
        await asyncio.sleep(0)
        served.inbox.filled.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        is_over = waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled() or is_over

    asyncio.run(run())


def on_topic(kafka: dict[str, str], topic: str) -> list[tuple[bytes | None, bytes]]:
    consumer = Consumer({**kafka, "group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    found = []
    try:
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            place = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            for _ in range(end):
                message = consumer.poll(10)
                assert message is not None and message.error() is None
                found.append((message.key(), message.value() or b""))
    finally:
        consumer.close()
    return found


def test_a_packet_takes_arrivals_in_order_with_their_frames(store: Store) -> None:
    came = [arrival("a", b"1"), arrival("b", b"2"), Arrival("c", b"login", ()), arrival("a", b"3")]
    store.keep([(NOW + n, one) for n, one in enumerate(came)])
    made = packer(store)
    assert [made.pack(NOW + 10), made.pack(NOW + 20)] == [Load.of(came[:3]), Load.of(came[3:])]
    first, second = packets(store)
    assert [(p.points, p.at.tolist(), p.value.tolist(), p.sent_at) for p in (first, second)] == [
        (("a-point", "b-point"), [1, 2], [1, 2], NOW + 10),
        (("a-point",), [3], [3], NOW + 20),
    ]
    signed = [stored.frames for stored in store.unsent()]
    said = [frames.decode_body(one.body) for one in signed if one is not None]
    assert [[(m.device, m.received, m.raw) for m in one.messages] for one in said] == [
        [("a", NOW, b"1"), ("b", NOW + 1, b"2"), ("c", NOW + 2, b"login")],
        [("a", NOW + 3, b"3")],
    ]
    assert [(one.gateway, one.run, one.sequence, one.packet) for one in said] == [
        (GATEWAY, 1, 1, first.digest),
        (GATEWAY, 1, 2, second.digest),
    ]


def test_without_arrivals_a_packet_is_empty_and_has_no_frames(store: Store) -> None:
    assert packer(store).pack(NOW) == Load()
    assert [(len(packets(store)[0]), next(store.unsent()).frames)] == [(0, None)]


def test_a_packets_time_does_not_go_back_over_a_restart_either(store: Store) -> None:
    packer(store).pack(NOW)
    again = packer(store)
    again.pack(NOW - 500_000)
    again.pack(NOW + 1)
    assert [p.sent_at for p in packets(store)] == [NOW, NOW, NOW + 1]


def test_a_clock_that_went_back_is_waited_for_only_while_readings_are_ahead_of_it(store: Store) -> None:
    made = packer(store)
    made.pack(NOW)
    store.keep([(0, arrival("a", b"%d" % (NOW + 60_001)))])
    assert (made.pack(NOW - 1), made.clock_is_back) == (None, True)
    assert (made.pack(NOW), made.clock_is_back) == (Load.of([arrival("a", b"%d" % (NOW + 60_001))]), False)
    assert len(packets(store)) == 2 and not list(store.inbox())


def test_what_comes_is_on_both_topics_in_order_and_counted(store: Store, kafka: dict[str, str], tmp_path: Path) -> None:
    async def script(keep: Keep) -> None:
        for number in range(20):
            await keep(arrival("a", b"%d" % number))
        await keep(arrival("a", b"3"))

    status = tmp_path / "progress.json"
    made = gateway(store, {"s": Scripted(script)}, kafka=kafka, limits=LIMITS, status=status)
    until(made, lambda: store.sent() == 10)
    sent = on_topic(kafka, topics.METER_READINGS)
    bodies = [packet.decode_body(codec.decode("packet", value)["body"]) for _, value in sent]
    assert {key for key, _ in sent} == {GATEWAY.encode()}
    assert [p.sequence for p in bodies] == list(range(1, 11))
    assert [at for p in bodies for at in p.at.tolist()] == list(range(20))
    said = [codec.decode("frames", value)["body"] for _, value in on_topic(kafka, topics.METER_FRAMES)]
    assert [frames.decode_body(body).packet for body in said] == [p.digest for p in bodies]
    stated = json.loads(status.read_text())
    expected = {"gateway": GATEWAY, "sequence": 10, "delivered": 10, "unsent": 0, "lag_seconds": 0.0, "done": True}
    expected |= {"arrivals": 21, "kept": 20, "repeated": 1, "refused": 0, "packets": 10, "waiting": 0}
    assert {name: stated[name] for name in expected} == expected
    assert stated["sources"] == {"s": {"scripted": 1}}
    assert 0 < stated["bytes"] < stated["bytes_bound"] == 1 << 30


def test_without_an_uplink_packets_gather_and_go_out_when_it_is_back(store: Store, kafka: dict[str, str]) -> None:
    async def script(keep: Keep) -> None:
        await asyncio.gather(*(keep(arrival("a", b"%d" % number)) for number in range(6 * live.IN_FLIGHT)))

    away = gateway(store, {"s": Scripted(script)}, limits=LIMITS)
    until(away, lambda: store.head().sequence == 3 * live.IN_FLIGHT)
    assert away.state()["unsent"] == 3 * live.IN_FLIGHT and away.state()["lag_seconds"] > 0
    kept = packets(store)
    until(gateway(store, {}, kafka=kafka), lambda: store.sent() == len(kept))
    bodies = [codec.decode("packet", value)["body"] for _, value in on_topic(kafka, topics.METER_READINGS)]
    assert bodies == [p.body for p in kept]


def test_a_source_that_fails_begins_again_and_the_others_go_on(store: Store) -> None:
    starts: list[int] = []

    async def failing(keep: Keep) -> None:
        starts.append(0)
        raise RuntimeError("a fault of its own")

    async def sound(keep: Keep) -> None:
        await keep(arrival("a", b"1"))

    until(gateway(store, {"f": Scripted(failing), "s": Scripted(sound)}), lambda: len(starts) > 2)
    assert [len(p) for p in packets(store)] == [1]


def test_what_waits_at_the_end_is_packed(store: Store) -> None:
    async def script(keep: Keep) -> None:
        await keep(arrival("a", b"1"))

    made = gateway(store, {"s": Scripted(script)}, limits=LIMITS)
    until(made, lambda: made.inbox.load.arrivals == 1)
    assert [p.at.tolist() for p in packets(store)] == [[1]]


def test_when_nothing_comes_empty_packets_let_windows_close_but_not_on_a_full_disk(store: Store) -> None:
    often = LIMITS._replace(silence=0.01)
    until(gateway(store, {}, limits=often), lambda: store.head().sequence >= 2)
    assert all(len(p) == 0 for p in packets(store))
    count, looks = store.head().sequence, iter(range(40))
    until(gateway(store, {}, limits=often, disk=1_000), lambda: next(looks, None) is None)
    assert store.head().sequence == count


def test_a_packet_that_is_refused_stays_and_the_gateway_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker's refusal is no reason to stop listening to devices."""
    refuse = live.SendError("packet 1 was refused: too large")
    monkeypatch.setattr(live.Sender, "send", lambda *_: (_ for _ in ()).throw(refuse))

    async def script(keep: Keep) -> None:
        await keep(arrival("a", b"1"))
        await keep(arrival("a", b"2"))

    made = gateway(store, {"s": Scripted(script)}, limits=LIMITS)
    until(made, lambda: made.state()["refusal"] == str(refuse) and made.inbox.counts["kept"] == 2)
    assert (made.state()["unsent"], made.state()["delivered"]) == (1, 0)


def test_settings_that_are_none_of_kafkas_are_said_at_once(store: Store) -> None:
    with pytest.raises(KafkaException, match=r"no\.such"):
        gateway(store, {}, kafka={"no.such": "setting"})


def test_a_failure_of_its_own_ends_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to run on half: whoever supervises it starts it again, and nothing that was kept is lost."""

    def fail(*_: Any) -> None:
        raise RuntimeError("a fault of the packing")

    monkeypatch.setattr(live, "fill", fail)

    async def script(keep: Keep) -> None:
        for number in range(2):
            await keep(arrival("a", b"%d" % number))

    with pytest.raises(RuntimeError, match="packing"):
        until(gateway(store, {"s": Scripted(script)}, limits=LIMITS), lambda: False)
    assert len(list(store.inbox())) == 2
