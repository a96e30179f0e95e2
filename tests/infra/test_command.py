"""`carbonledger command`: what an operator types reaches the gateway, and its answer comes back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from carbon import factors
from carbon import registry as registries
from carbon.refusal import Refusal
from carbon.registry import Registry
from consensus.log import genesis as geneses
from consensus.log.committee import AHEAD
from schemas import topics
from streams.edge.commands import Answer, Reason, outcome, sign, verify
from streams.edge.downlink import Downlink
from streams.edge.signer import Signer
from streams.edge.store import Store
from tests.consensus.test_registration import Scene
from tests.infra.copies import Invoke, invoker
from tests.registrars import rotation
from tests.small import genesis_bytes, registry_bytes, seed
from tests.streams.edge.test_commands import OPERATORS, POINT, RULES
from tests.streams.edge.test_downlink import messages
from tests.streams.edge.test_serving import publish

REGISTRY = registry_bytes(gateways=2, operators=OPERATORS)
GENESIS = genesis_bytes(REGISTRY)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The settings of a client of librdkafka's own mock cluster, which lives as long as the producer that holds it."""
    holder = Producer({"test.mock.num.brokers": "1", "bootstrap.servers": "mock"})
    (broker,) = holder.list_topics(timeout=10).brokers.values()
    for topic in (topics.GATEWAY_COMMANDS, topics.GATEWAY_OUTCOMES, topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS):
        # the cluster makes a topic once it is asked for
        while not holder.list_topics(topic, timeout=10).topics[topic].partitions:
            pass
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", f"{broker.host}:{broker.port}")
    yield {"bootstrap.servers": f"{broker.host}:{broker.port}"}


@pytest.fixture
def downlink(kafka: dict[str, str], tmp_path: Path) -> Iterator[None]:
    known = registries.parse(REGISTRY, factors.load())
    with obeying(kafka, tmp_path, "gw-0", known, geneses.parse(GENESIS).digest):
        yield


@contextmanager
def obeying(kafka: dict[str, str], folder: Path, key: str, known: Registry, channel: bytes) -> Iterator[None]:
    """The downlink of gw-0, which signs with the seed of `key`."""
    signer = Signer("gw-0", 0, seed(key), channel, {})
    with Store(folder / "store") as store:
        one = Downlink(kafka, store, signer, known, RULES, lambda rules: None)
        running = threading.Thread(target=one.run)
        running.start()
        try:
            yield
        finally:
            one.stop.set()
            running.join()


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    for name, data in (("registry.json", REGISTRY), ("genesis.json", GENESIS)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "operator.seed").write_text(seed("control-room").hex())
    (tmp_path / "operator.seed").chmod(0o600)
    files = {"--seed-file": "operator.seed", "--genesis": "genesis.json", "--registry": "registry.json"}
    return ["--operator", "control-room", *(part for o, name in files.items() for part in (o, str(tmp_path / name)))]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def test_an_interval_is_obeyed_and_another_refused(downlink: None, options: list[str], invoke: Invoke) -> None:
    done = invoke("command", "gw-0", POINT, "--interval", "2000", *options)
    assert done[0] == 0 and done[1].endswith(": obeyed\n"), done
    done = invoke("command", "gw-0", POINT, "--bounds", "1000", "9000", *options)
    assert done[0] == 1 and done[1].endswith(": outside_bounds\n"), done


def test_the_same_command_again_gets_its_answer_again(downlink: None, options: list[str], invoke: Invoke) -> None:
    number = str(time.time_ns() // 1_000_000)
    first = invoke("command", "gw-0", POINT, "--interval", "2000", "--number", number, *options)
    again = invoke("command", "gw-0", POINT, "--interval", "2000", "--number", number, *options)
    assert first == again == (0, f"gw-0 {number}: obeyed\n", "")
    code, said, _ = invoke("command", "gw-0", POINT, "--interval", "3000", "--number", number, *options)
    assert (code, said) == (1, f"gw-0 {number}: outdated\n")


def test_what_others_put_on_the_topic_is_no_outcome(kafka: dict[str, str], options: list[str], invoke: Invoke) -> None:
    channel = geneses.parse(GENESIS).digest
    fields = {"operator": "control-room", "gateway": "gw-0", "number": 7, "until": 3_600_007}
    body = sign(seed("control-room"), channel, **fields, kind="interval", point=POINT, first=1, last=1)
    asked = verify(body, registries.parse(REGISTRY, factors.load()), channel, "gw-0")
    other = asked._replace(digest=bytes(32))
    producer = Producer(kafka)

    def say() -> None:
        for value in (
            b"noise",
            outcome(seed("gw-1"), channel, asked, Answer(7, asked.digest, 0, Reason.OBEYED)),
            outcome(seed("gw-0"), channel, other, Answer(7, other.digest, 0, Reason.OBEYED)),
            outcome(seed("gw-0"), channel, asked, Answer(7, asked.digest, 0, Reason.EXPIRED)),
        ):
            producer.produce(topics.GATEWAY_OUTCOMES, value, "gw-0", partition=0)
        producer.flush(10)

    answering = threading.Thread(target=lambda: (messages(kafka, topics.GATEWAY_COMMANDS, 1), say()))
    answering.start()
    done = invoke("command", "gw-0", POINT, "--interval", "1", "--number", "7", *options)
    answering.join()
    assert done[:2] == (1, "gw-0 7: expired\n")


def test_silence_says_how_to_go_on(kafka: dict[str, str], options: list[str], invoke: Invoke) -> None:
    code, _, said = invoke("command", "gw-0", POINT, "--interval", "2000", "--number", "77", "--wait", "1", *options)
    assert code == 3 and "again with --number 77" in said


@pytest.mark.parametrize(
    "orders", [[], ["--interval", "2", "--bounds", "1", "2"], ["--backfill", "yesterday", "5"]], ids=str
)
def test_one_order_and_times_that_are_some(options: list[str], invoke: Invoke, orders: list[str]) -> None:
    code, _, said = invoke("command", "gw-0", POINT, *orders, *options)
    assert code == 2 and "--backfill" in said


def test_an_outcome_is_signed_by_the_key_that_the_ledger_says(
    kafka: dict[str, str], options: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    scene = Scene(gateways=2, operators=OPERATORS)
    assert scene.change(rotation(scene.now, "gw-0", "next")) is Refusal.PASS
    scene.until(AHEAD)
    publish(kafka, scene.store.kept)
    registry = scene.ledger.registries[0].file
    (tmp_path / "registry.json").write_bytes(registry)
    (tmp_path / "genesis.json").write_bytes(genesis_bytes(registry))
    with obeying(kafka, tmp_path, "next", scene.now, scene.world.channel):
        done = invoke("command", "gw-0", POINT, "--interval", "2000", *options)
    assert done[:2] == (0, done[1]) and done[1].endswith(": obeyed\n"), done


def test_a_ledger_that_can_not_be_read_to_its_end_is_said(
    kafka: dict[str, str], options: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    scene = Scene(gateways=2, operators=OPERATORS)
    scene.until(2)
    publish(kafka, scene.store.kept[1:])
    (tmp_path / "registry.json").write_bytes(scene.now.file)
    (tmp_path / "genesis.json").write_bytes(genesis_bytes(scene.now.file))
    code, _, said = invoke("command", "gw-0", POINT, "--interval", "2000", "--wait", "1", *options)
    assert code == 3 and "the ledger was not read to its end in 1 s" in said


def test_a_registry_that_the_genesis_does_not_name_is_refused(
    options: list[str], invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "registry.json").write_bytes(registry_bytes(gateways=2))
    code, _, said = invoke("command", "gw-0", POINT, "--interval", "2000", *options)
    assert code == 2 and "not the registry that the genesis names" in " ".join(said.split())
