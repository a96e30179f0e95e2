"""The embedded broker itself: restart on the same data and port, kills, ports, and what it says when it can't start."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra import broker as kafka
from infra.broker import Broker, explain, prepare
from infra.errors import EnvironmentFault
from infra.ports import free_port, listens
from infra.topics import ensure_topics
from schemas.topics import Bounds, Topic

pytestmark = pytest.mark.broker
TOPIC = Topic("test.kills", "number", "none", "numbers", 2)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that a test may kill: not the session's."""
    with Broker(tmp_path_factory.mktemp("own")) as running:
        ensure_topics({"bootstrap.servers": running.bootstrap}, [TOPIC], Bounds())
        yield running


def test_what_was_acknowledged_outlives_kills(own: Broker) -> None:
    """A producer writes on through two kills; everything that it got an acknowledgement for is there afterwards."""
    acknowledged: set[bytes] = set()
    producer = Producer(
        {"bootstrap.servers": own.bootstrap, "enable.idempotence": True, "linger.ms": 1, "log_level": 0}
    )
    for number in range(3000):
        value = str(number).encode()
        producer.produce(TOPIC.name, value, on_delivery=lambda e, m: acknowledged.add(m.value()) if e is None else None)
        producer.poll(0)
        if number in (1000, 2000):
            while len(acknowledged) < number // 2:
                producer.poll(0.01)
            own.kill()
            own.start()
    assert producer.flush(30) == 0
    assert len(acknowledged) == 3000
    assert sorted(_read(own.bootstrap, 3000)) == sorted(acknowledged)


def _read(bootstrap: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    try:
        consumer.assign([TopicPartition(TOPIC.name, number, 0) for number in range(TOPIC.partitions)])
        return [message.value() for message in consumer.consume(count, timeout=20)]
    finally:
        consumer.close()


def test_it_comes_back_with_its_data_on_its_port(own: Broker) -> None:
    before = own.bootstrap
    own.stop()
    again = prepare(own.home)
    assert again.bootstrap == before
    own.start()
    assert ensure_topics({"bootstrap.servers": before}, [TOPIC], Bounds()) == []


def test_a_second_start_needs_no_network_and_no_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a start with everything at hand reaches out")

    first = prepare(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    assert prepare(tmp_path) == first


def test_a_taken_remembered_port_is_changed_for_another(tmp_path: Path) -> None:
    """Nothing depends on it yet, so there is nothing to ask anybody."""
    first = prepare(tmp_path)
    with socket.create_server(("127.0.0.1", first.port)):
        assert prepare(tmp_path).port != first.port


def test_a_taken_wanted_port_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=rf"Port {port} is taken: stop .* CARBONLEDGER_PORT"):
            prepare(tmp_path, port=port)


def test_a_port_taken_after_all_is_explained(tmp_path: Path) -> None:
    """Somebody takes the port between the choice and the start."""
    late = Broker(tmp_path)
    with (
        socket.create_server(("127.0.0.1", int(late.bootstrap.split(":")[1]))),
        pytest.raises(EnvironmentFault, match="its port is taken"),
    ):
        late.start()
    assert not psutil.pid_exists(late.pid)


def test_a_second_broker_never_starts_on_the_same_data(own: Broker) -> None:
    ports = (own.home / "ports.json").read_text()
    with pytest.raises(EnvironmentFault, match="is in use by another process: stop it first"):
        prepare(own.home)
    assert (own.home / "ports.json").read_text() == ports


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_DISK_BYTES", 10**18)
    with pytest.raises(EnvironmentFault, match=r"MB are free .* free some space, or move"):
        prepare(tmp_path)


def test_a_format_cut_short_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "logs.new").mkdir()
    (tmp_path / "logs.new" / "bootstrap.checkpoint").write_bytes(b"half")
    prepare(tmp_path)
    assert (tmp_path / "logs" / "meta.properties").exists()
    assert not (tmp_path / "logs.new").exists()


def test_an_unknown_failure_is_not_explained_away() -> None:
    assert explain("java.lang.IllegalStateException: something new") is None


def test_it_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    with Broker(tmp_path) as running:
        port = int(running.bootstrap.split(":")[1])
        assert listens(port)
    assert not psutil.pid_exists(running.pid)
    assert not listens(port)
