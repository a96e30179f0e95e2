"""The downlink: commands from their topic are obeyed once, kept over a restart, and answered on theirs."""

import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas import codec, topics
from streams.edge import downlink, live
from streams.edge.commands import CommandError, Reason, read_outcome
from streams.edge.downlink import Downlink
from streams.edge.sampling import Rule
from streams.edge.signer import Signer
from streams.edge.sources import RawReading
from streams.edge.store import Store
from tests.small import seed
from tests.streams.edge.lines import gateway
from tests.streams.edge.test_commands import CHANNEL, KNOWN, NOW, POINT, RULES, message
from tests.streams.edge.test_live import until

SIGNER = Signer("gw-0", 0, seed("gw-0"), CHANNEL, {})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downlink, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(live, "LAST_SECONDS", 0.1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db", horizon=2) as store:
        yield store


@pytest.fixture
def kafka() -> Iterator[dict[str, str]]:
    """The settings of a client of librdkafka's own mock cluster, which lives as long as the producer that holds it."""
    holder = Producer({"test.mock.num.brokers": "1", "bootstrap.servers": "mock"})
    (broker,) = holder.list_topics(timeout=10).brokers.values()
    yield {"bootstrap.servers": f"{broker.host}:{broker.port}"}


class Obeyed:
    """What a downlink told the sources last."""

    rules: Mapping[str, Rule]

    def __call__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = rules

    @property
    def bounds(self) -> tuple[int, int]:
        return tuple(self.rules[POINT].bounds)


def link(kafka: dict[str, str], store: Store, obey: Obeyed) -> Downlink:
    return Downlink(kafka, store, SIGNER, KNOWN, RULES, obey)


def messages(kafka: dict[str, str], topic: str, count: int) -> list[bytes]:
    consumer = Consumer({**kafka, "group.id": "reader"})
    while not (numbers := consumer.list_topics(topic, timeout=10).topics[topic].partitions):
        pass
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    found: list[bytes] = []
    try:
        while len(found) < count:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found.append(message.value() or b"")
    finally:
        consumer.close()
    return found


def reason(answer: bytes) -> Reason:
    return read_outcome(answer, KNOWN, CHANNEL)[1]


def keep_packets(store: Store, count: int) -> list[bytes]:
    """Packets of a reading a second from NOW - 100 s on, all sent; the store keeps the last two."""
    bodies = []
    for n in range(count):
        reading = RawReading(POINT, NOW - 100_000 + 1_000 * n, Decimal(n))
        signed = SIGNER.packet(store.head(), [reading], NOW - 50_000)
        store.append(*signed, "")
        bodies.append(signed.body)
    store.mark_sent(count)
    return bodies


def test_what_was_commanded_holds_after_a_restart(kafka: dict[str, str], store: Store) -> None:
    before, after = Obeyed(), Obeyed()
    first = link(kafka, store, before)
    assert before.bounds == RULES[POINT].bounds
    answer = first.take(message(first=3_000, last=3_000), NOW)
    assert reason(answer) is Reason.OBEYED and before.bounds == (3_000, 3_000)
    second = link(kafka, store, after)
    assert after.bounds == (3_000, 3_000)
    assert second.take(message(first=3_000, last=3_000), NOW + 1) == answer, "read again, answered as it was"
    assert reason(second.take(message(first=1_000, last=1_000), NOW)) is Reason.OUTDATED
    assert after.bounds == (3_000, 3_000)


def test_what_is_nobodys_command_changes_nothing(kafka: dict[str, str], store: Store) -> None:
    obeyed = Obeyed()
    with pytest.raises(CommandError):
        link(kafka, store, obeyed).take(message(signer="other-plant"), NOW)
    assert obeyed.bounds == RULES[POINT].bounds and store.commands() == ""


def test_what_is_asked_for_is_sent_again_byte_for_byte(kafka: dict[str, str], store: Store) -> None:
    bodies = keep_packets(store, 3)
    asked = message(kind="backfill", first=NOW - 99_000, last=NOW - 98_000)
    one = link(kafka, store, Obeyed())
    assert reason(one.take(asked, NOW)) is Reason.OBEYED
    (again,) = messages(kafka, topics.METER_READINGS, 1)
    assert codec.decode("packet", again)["body"] == bodies[1]


def test_what_is_kept_no_more_is_said(kafka: dict[str, str], store: Store) -> None:
    keep_packets(store, 3)
    one = link(kafka, store, Obeyed())
    gone = message(kind="backfill", first=NOW - 100_000, last=NOW - 99_000)
    assert reason(one.take(gone, NOW)) is Reason.NO_RANGE
    other = message(number=2, kind="backfill", first=NOW - 97_000, last=NOW)
    assert reason(one.take(other, NOW)) is Reason.NO_RANGE


def test_it_is_kept_only_once_it_was_sent_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downlink, "ANSWER_SECONDS", 0.01)
    keep_packets(store, 2)
    one = link({"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}, store, Obeyed())
    with pytest.raises(downlink.KafkaException):
        one.take(message(kind="backfill", first=0, last=NOW), NOW)
    assert store.commands() == ""


def test_packets_of_other_points_are_not_sent_again(kafka: dict[str, str], store: Store) -> None:
    store.append(*SIGNER.packet(store.head(), [RawReading("plant-0-1", NOW - 5, Decimal(1))], NOW), "")
    store.mark_sent(1)
    one = link(kafka, store, Obeyed())
    assert reason(one.take(message(kind="backfill", first=0, last=NOW), NOW)) is Reason.NO_RANGE


def test_it_listens_and_answers_on_the_topics(kafka: dict[str, str], store: Store) -> None:
    obeyed, far = Obeyed(), 2**52
    producer = Producer(kafka)
    for key, value in [
        ("gw-1", message(until=far, number=9)),
        ("gw-0", b"noise"),
        ("gw-0", message(until=far, first=4_000, last=4_000)),
        ("gw-0", message(until=far, number=2, first=9_000, last=9_000)),
    ]:
        producer.produce(topics.GATEWAY_COMMANDS, value, key)
    producer.flush(10)
    one = link(kafka, store, obeyed)
    running = threading.Thread(target=one.run)
    running.start()
    try:
        answers = messages(kafka, topics.GATEWAY_OUTCOMES, 2)
    finally:
        one.stop.set()
        running.join()
    assert [reason(answer) for answer in answers] == [Reason.OBEYED, Reason.OUTSIDE_BOUNDS]
    assert obeyed.bounds == (4_000, 4_000)


def test_a_live_gateway_takes_commands_and_ends_its_downlink(kafka: dict[str, str], store: Store) -> None:
    obeyed, producer = Obeyed(), Producer(kafka)
    producer.produce(topics.GATEWAY_COMMANDS, message(until=2**52, first=4_000, last=4_000), "gw-0")
    producer.flush(10)
    one = link(kafka, store, obeyed)
    until(gateway(store, {}, kafka=kafka, downlink=one), lambda: obeyed.bounds == (4_000, 4_000))
    assert one.stop.is_set()
