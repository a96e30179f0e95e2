"""Ingest on a real broker. Faust's traps each have a test that fails when the trap is opened again.

- exactly_once: never on; a kill between output and offset repeats the output with the same bytes.
- skipped after a crash: no acknowledgement out of order, so nothing between the committed offset and the end is lost.
- left out at a rebalance, first, in the middle or last: `streams.guard` reads it again.
- a handler that raised loses its message: it becomes a dead letter, or is tried again in place.
- windows that never close: `test_pipeline` and `tests.carbon.test_aggregation`, without any clock.
"""

import asyncio
import random
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carbon import coding
from carbon.amendment import amended, amendment
from schemas import codec, topics, tracing
from streams import faust_app, ingest
from streams.faust_app import Health, Kafka, Output
from streams.guard import Guard
from tests import registrars
from tests.streams.pipeline import Worker, committed, reset, send, tap, wait_until
from tests.streams.test_guard import App, PartitionLog, Stream
from tests.streams.world import START, Chain, World
from tests.tracing import traced

POINTS = ["p-1", "p-2"]


@pytest.fixture(scope="module")
def world() -> World:
    return World({"gw": POINTS})


@pytest.fixture
def chain(world: World) -> Chain:
    chain = world.chain("gw")
    chain.minutes(POINTS, 600)
    return chain


def config(world: World, folder: Path, bootstrap: str = "127.0.0.1:1") -> ingest.IngestConfig:
    return ingest.IngestConfig(Kafka(bootstrap), world.channel, lambda: (0, world.registry), folder)


# -- settings


def test_the_settings_that_close_traps(world: World, tmp_path: Path) -> None:
    app = ingest.create_app(config(world, tmp_path))
    conf = app.conf
    assert conf.processing_guarantee.name == "AT_LEAST_ONCE"
    assert not conf.topic_allow_declare and not conf.web_enabled and not conf.producer_threaded
    assert (conf.key_serializer, conf.value_serializer, str(conf.store)) == ("raw", "raw", "memory:")
    most = 4 * conf.stream_buffer_maxsize // 5 + conf.broker_max_poll_records
    assert most < conf.stream_buffer_maxsize, "or a poll that no longer fits holds up all partitions"
    assert conf.broker_max_poll_interval >= 86_400, "or an agent that is held is taken for a dead one"
    assert app.transport.Consumer is faust_app.Consumer, "or Faust commits over what it leaves out"
    assert conf.broker_request_timeout >= conf.broker_session_timeout
    assert conf.consumer_metadata_max_age_ms <= 5_000, "or a group that saw no topics stays empty for minutes"


def test_headers_of_a_trace_change_nothing_that_is_sent(world: World, chain: Chain, tmp_path: Path) -> None:
    """What comes in and what goes out has the same bytes; only the headers say where it came from."""
    app, health = SimpleNamespace(topic=lambda name: name), Health(tmp_path / "ingest.health.json")
    agent = ingest.Ingest(app, config(world, tmp_path), None, health)  # type: ignore[arg-type]
    place = {"topic": "meter.readings", "partition": 0, "offset": 0, "key": b"gw"}
    for value in (chain.messages[0], b"nonsense"):
        plain = agent.outputs(SimpleNamespace(**place, value=value))
        with traced():
            with tracing.span("gateway.send") as headers:
                pass
            found = agent.outputs(SimpleNamespace(**place, value=value, headers=headers))
        assert [replace(one, headers=()) for one in found] == [replace(one, headers=()) for one in plain]
        assert all(dict(one.headers)["traceparent"][:35] == headers[0][1][:35] for one in found)


# -- without a broker: what the agent does with deliveries


class Sent:
    """A topic whose deliveries a test decides."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.deliveries: list[asyncio.Future[None]] = []
        self.refusals = 0

    async def send(self, *, key: Any, value: Any, headers: Any, partition: Any) -> "asyncio.Future[None]":
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("no broker")
        self.values.append(value)
        self.deliveries.append(asyncio.get_running_loop().create_future())
        return self.deliveries[-1]


@dataclass
class Agent:
    """The agent behind its guard, on a log of these messages; what it sent, and the offsets that it acknowledged."""

    ingest: ingest.Ingest
    sent: Sent
    app: App

    @property
    def acked(self) -> list[int]:
        return [offset for _, offset in self.app.done]

    def run(self, values: list[bytes]) -> "asyncio.Task[None]":
        handed = [
            SimpleNamespace(topic="meter.readings", partition=0, offset=offset, key=b"gw", value=value)
            for offset, value in enumerate(values)
        ]
        return asyncio.create_task(self.ingest.run(Stream(handed)))


@pytest.fixture
def agent(world: World, tmp_path: Path) -> Agent:
    sent, app, health = Sent(), App(), Health(tmp_path / "ingest.health.json")
    topic = SimpleNamespace(topic=lambda name: sent)
    guard = Guard(app, topics.METER_READINGS, PartitionLog(), health)
    return Agent(ingest.Ingest(topic, config(world, tmp_path), guard, health), sent, app)


async def _settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


def test_no_acknowledgement_before_the_delivery_and_none_out_of_order(agent: Agent, chain: Chain) -> None:
    sent = agent.sent

    async def play() -> None:
        running = agent.run(chain.messages[:4])
        await _settled()
        assert len(sent.values) == 4 and agent.acked == []
        for later in (1, 2, 3):
            sent.deliveries[later].set_result(None)
        await _settled()
        assert agent.acked == []
        sent.deliveries[0].set_result(None)
        await _settled()
        assert agent.acked == [0, 1, 2, 3]
        running.cancel()

    asyncio.run(play())


def test_from_the_next_look_on_a_revoked_key_is_a_dead_letter(
    agent: Agent, chain: Chain, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = SimpleNamespace(topic="meter.readings", partition=0, offset=0, key=b"gw", value=chain.messages[0])
    change = registrars.entry(world.registry, "gateways", "gw", revoked=True)
    revoked = amended(world.registry, amendment(world.registry, 1, 0, 100, [change], []))
    assert len(agent.ingest.outputs(message)) == 1
    monkeypatch.setattr(agent.ingest, "_config", replace(agent.ingest._config, in_force=lambda: (100, revoked)))
    asyncio.run(agent.ingest.follow())
    (letter,) = agent.ingest.outputs(message)
    assert letter.value is not None and b"revoked_key" in letter.value
    assert agent.ingest.registry_height == 100


def test_a_delivery_that_fails_is_tried_again_before_the_acknowledgement(
    agent: Agent, chain: Chain, tmp_path: Path
) -> None:
    sent = agent.sent

    async def play() -> None:
        running = agent.run(chain.messages[:1])
        await _settled()
        sent.refusals = 1
        sent.deliveries[0].set_exception(ConnectionError("broker gone"))
        while len(sent.values) < 2:
            await asyncio.sleep(0.01)
        assert agent.acked == [] and '"ok": false' in (tmp_path / "ingest.health.json").read_text()
        sent.deliveries[1].set_result(None)
        await _settled()
        assert agent.acked == [0]
        running.cancel()

    asyncio.run(play())
    assert sent.values[0] == sent.values[1]


def test_a_stopped_agent_acknowledges_nothing_that_was_not_delivered(agent: Agent, chain: Chain) -> None:
    sent = agent.sent

    async def play() -> None:
        running = agent.run(chain.messages[:2])
        await _settled()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(sent.values) == 2 and agent.acked == []

    asyncio.run(play())


def test_a_bug_in_the_agent_makes_a_dead_letter_and_not_a_lost_message(
    agent: Agent, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> coding.CodedPacket:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(coding, "code", broken)
    message = SimpleNamespace(topic="meter.readings", partition=0, offset=3, key=b"gw", value=chain.messages[0])
    (out,) = agent.ingest.outputs(message)
    letter = codec.decode("rejection", out.value or b"")
    assert (letter["items"][0]["reason"], letter["original"]) == ("internal_error", chain.messages[0])


def test_persist_gives_up_never(tmp_path: Path) -> None:
    tries = []

    async def attempt() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no")

    asyncio.run(faust_app.persist(attempt, Health(tmp_path / "h.json"), "try"))
    assert len(tries) == 3


# -- what a message leads to


def outputs_of(world: World, tmp_path: Path, value: bytes | None) -> list[Output]:
    app, health = SimpleNamespace(topic=lambda name: name), Health(tmp_path / "ingest.health.json")
    guard = Guard(app, topics.METER_READINGS, PartitionLog(), health)
    message = SimpleNamespace(topic="meter.readings", partition=2, offset=9, key=b"gw", value=value)
    return ingest.Ingest(app, config(world, tmp_path), guard, health).outputs(message)


def test_refused_readings_of_a_packet_stand_in_one_letter_beside_the_coded_packet(world: World, tmp_path: Path) -> None:
    message = world.chain("gw").pack([("p-1", START, 1), ("p-1", START + 1, 2), ("nobody", START, 3)], START)
    coded, rejected = outputs_of(world, tmp_path, message)
    assert (coded.topic, coded.key) == ("readings.coded", b"gw")
    assert list(codec.decode("coded-packet", coded.value or b"")["reasons"]) == [0, 8, 1]
    letter = codec.decode("rejection", rejected.value or b"")
    assert [(i["index"], i["reason"]) for i in letter["items"]] == [(1, "unaligned"), (2, "unknown_point")]
    assert letter["items"][0]["code"].startswith("99.1.1/plant.electricity.20250101T000000001Z.")
    assert (letter["original"], letter["sequence"], rejected.key) == (message, 1, b"gw")
    headers = dict(rejected.headers)
    assert headers["__connect.errors.topic"] == b"meter.readings"
    assert (headers["__connect.errors.partition"], headers["__connect.errors.offset"]) == (b"2", b"9")
    assert headers["__connect.errors.class.name"] == b"unaligned"


@pytest.mark.parametrize("value", [None, b"", b"\0", b"hello", b"\0\0\0\0\x01", bytes(1000), b"\xff" * 1000])
def test_bad_bytes_become_one_letter(world: World, tmp_path: Path, value: bytes | None) -> None:
    (out,) = outputs_of(world, tmp_path, value)
    letter = codec.decode("rejection", out.value or b"")
    assert [(i["index"], i["reason"]) for i in letter["items"]] == [(-1, "not_a_packet")]
    assert letter["original"] == (value or b"")


def test_no_damage_to_a_packet_leaves_the_agent_as_an_exception(world: World, tmp_path: Path, chain: Chain) -> None:
    rng, whole = random.Random(3), chain.messages[0]
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        cut = bytes(damaged[: rng.randrange(len(damaged))]) if rng.random() < 0.3 else bytes(damaged)
        reasons = [i["reason"] for o in outputs_of(world, tmp_path, cut) for i in _items(o)]
        assert cut == whole or (reasons and "internal_error" not in reasons)


def _items(output: Output) -> list[Any]:
    value = output.value or b""
    return list(codec.decode("rejection", value)["items"]) if codec.split(value)[0] == "rejection" else []


def test_a_letter_of_a_large_packet_stays_below_its_topics_limit(world: World, tmp_path: Path) -> None:
    rows = [("p-1", START + k, k) for k in range(8_192)]
    message = world.chain("gw").pack(rows, START + 8_192)
    _, *rejected = outputs_of(world, tmp_path, message)
    assert len(rejected) == 5
    assert max(len(out.value or b"") for out in rejected) < 1_000_000


# -- on a broker


@pytest.mark.broker
def test_killed_again_and_again_it_skips_nothing_and_repeats_itself_byte_for_byte(
    broker: str, world: World, chain: Chain, tmp_path: Path
) -> None:
    reset(broker)
    rng = random.Random(11)
    bad = [(b"gw", b"bad %d" % k) for k in range(20)]
    with (
        Worker("ingest", tmp_path, broker, world) as worker,
        tap(broker, topics.READINGS_CODED) as coded,
        tap(broker, topics.READINGS_REJECTED) as rejected,
    ):
        for turn in range(3):
            part = [("gw", m) for m in chain.messages[20 * turn : 20 * turn + 20]]
            send(broker, topics.METER_READINGS, [*part, *bad[5 * turn : 5 * turn + 5]])
            before, some = len(coded.messages), rng.randrange(1, 15)
            wait_until(lambda b=before, s=some: coded.poll() is not None and len(coded.messages) >= b + s, "output")
            worker.kill()
            worker.start()
        send(broker, topics.METER_READINGS, bad[15:])
        wait_until(lambda: committed(broker, ingest.APP_ID, topics.METER_READINGS) == 80, "all offsets")
        coded.poll()
        rejected.poll()
        assert worker.stop() == 0
    packets = {coding.decode(m.value())[0].sequence: m.value() for m in coded.messages}
    assert sorted(packets) == list(range(1, 61))
    assert {m.value() for m in coded.messages} == set(packets.values())
    letters = {codec.decode("rejection", m.value())["original"] for m in rejected.messages}
    assert letters == {value for _, value in bad}


@pytest.mark.broker
def test_what_faust_leaves_out_is_coded_all_the_same(broker: str, world: World, chain: Chain, tmp_path: Path) -> None:
    reset(broker)
    sent, lost = chain.messages[:20], [0, 7, 8, 19]
    send(broker, topics.METER_READINGS, [("gw", message) for message in sent])
    with Worker("ingest", tmp_path, broker, world, lose=lost) as worker, tap(broker, topics.READINGS_CODED) as coded:
        wait_until(lambda: committed(broker, ingest.APP_ID, topics.METER_READINGS) == len(sent), "all offsets")
        coded.poll()
        assert "Faust left out the end         offset=19 " in worker.log
    assert [coding.decode(m.value())[0].sequence for m in coded.messages] == list(range(1, 21))
