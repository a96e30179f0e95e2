"""Topics on a real broker: made once, compared afterwards; and what the broker says about lag and height."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra import watch
from infra.errors import EnvironmentFault
from infra.ports import free_port
from infra.topics import differences, ensure_topics, inspect
from infra.watch import Stage, ledger_height, stages
from schemas.topics import Bounds, Topic, catalogue

pytestmark = pytest.mark.broker
BOUNDS = Bounds()


@pytest.fixture
def client(broker: str) -> dict[str, str]:
    return {"bootstrap.servers": broker, "log_level": "0"}


def test_the_catalogue_is_created_once(client: dict[str, str]) -> None:
    topics = list(catalogue())
    assert set(ensure_topics(client, topics, BOUNDS)) <= {topic.name for topic in topics}
    assert ensure_topics(client, topics, BOUNDS) == []
    assert {s.state for s in inspect(client, topics, BOUNDS)} == {"ok"}


def test_a_topic_is_led_as_soon_as_it_is_made(client: dict[str, str], topic_factory: Callable[..., str]) -> None:
    name = topic_factory(4)
    consumer = Consumer({**client, "group.id": "test"})
    try:
        for number in range(4):
            assert consumer.get_watermark_offsets(TopicPartition(name, number), timeout=5) == (0, 0)
    finally:
        consumer.close()


def test_a_topic_that_differs_is_reported_and_left_alone(client: dict[str, str]) -> None:
    made = Topic("test.differs", "any", "none", "", 2, settings={"retention.ms": "1000"})
    ensure_topics(client, [made], BOUNDS)
    wanted = replace(made, partitions=3, settings={"retention.ms": "2000"})
    found = "test.differs: partitions is 2, not 3, retention.ms is 1000, not 2000"
    with pytest.raises(EnvironmentFault, match=rf"Topics differ from the catalogue \({found}\)"):
        ensure_topics(client, [wanted], BOUNDS)
    assert inspect(client, [made], BOUNDS)[0].state == "ok"
    assert inspect(client, [wanted], BOUNDS)[0].state == "differs"


def test_a_missing_topic_is_missing(client: dict[str, str]) -> None:
    (standing,) = inspect(client, [Topic("test.never", "any", "none", "")], BOUNDS)
    assert (standing.state, standing.partitions) == ("missing", None)


def test_a_broker_that_refuses_is_said(client: dict[str, str]) -> None:
    with pytest.raises(EnvironmentFault, match="The broker refuses topic test/slash"):
        ensure_topics(client, [Topic("test/slash", "any", "none", "")], BOUNDS)


def test_a_broker_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.topics._TIMEOUT", 1.0)
    nobody = {"bootstrap.servers": f"127.0.0.1:{free_port()}"}
    with pytest.raises(EnvironmentFault, match=r"doesn't answer .* 'carbonledger up'"):
        ensure_topics(nobody, catalogue(), BOUNDS)


def test_only_what_the_catalogue_sets_is_compared() -> None:
    topic = Topic("t", "any", "none", "", settings={"cleanup.policy": "compact"})
    found = {**topic.config(BOUNDS), "segment.bytes": "5"}
    assert differences(topic, BOUNDS, 1, found) == ()
    assert differences(topic, BOUNDS, 1, {**found, "cleanup.policy": "delete"}) == (
        "cleanup.policy is delete, not compact",
    )


def test_what_waits_is_what_a_group_has_not_committed(
    client: dict[str, str], topic_factory: Callable[..., str], tmp_path: Path
) -> None:
    name = topic_factory(2)
    producer = Producer(client)
    for number in range(10):
        producer.produce(name, str(number).encode(), partition=number % 2)
    assert producer.flush(10) == 0
    consumer = Consumer({**client, "group.id": f"group.{name}", "enable.auto.commit": False})
    try:
        consumer.commit(offsets=[TopicPartition(name, 0, 5), TopicPartition(name, 1, 2)], asynchronous=False)
    finally:
        consumer.close()
    (found,) = stages(client, [f"group.{name}", "group.unknown"], tmp_path)
    assert (found.group, found.topic, found.waiting) == (f"group.{name}", name, 3)
    assert found.oldest is not None and found.oldest >= 0


def test_what_waits_for_the_committee_is_said_by_the_aggregator(tmp_path: Path) -> None:
    health = tmp_path / watch.AGGREGATE_HEALTH
    assert stages({}, [], tmp_path) == []
    health.parent.mkdir(parents=True)
    health.write_text('{"unconfirmed_batches": 3, "oldest_seconds": 1.5}')
    assert stages({}, [], tmp_path) == [Stage("committee", "records.proposed", 3, 1.5)]


def test_the_height_is_the_greatest_of_the_newest(
    client: dict[str, str], topic_factory: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several members publish the same block, and one that starts again may publish an old one last."""
    name = topic_factory()
    monkeypatch.setattr(watch, "LEDGER_BLOCKS", name)
    assert ledger_height(client) is None
    producer = Producer(client)
    for height in [*range(40), 39, 38]:
        producer.produce(name, b"", key=height.to_bytes(8, "big"))
    assert producer.flush(10) == 0
    assert ledger_height(client) == 39
