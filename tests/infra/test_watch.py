"""What waits before each group: figures by topic, asked by consumers that stay open."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from infra import watch
from infra.errors import EnvironmentFault
from infra.watch import Stage, Watch

ENDS = {("alerts", 0): 50, ("meter.readings", 0): 9, ("meter.readings", 1): 7}
COMMITTED = {"carbon.sink": {("alerts", 0): 40}, "carbon.ingest": {("meter.readings", 0): 5, ("meter.readings", 1): 7}}


class Broker:
    """A broker in memory, and every consumer that was opened there."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.is_away = False

    def consumer(self, client: Any, group: str) -> "Consumer":
        self.opened.append(group)
        return Consumer(self, group)


class Consumer:
    """What `Watch` asks of Kafka's client."""

    def __init__(self, broker: Broker, group: str) -> None:
        self._broker, self._group = broker, group
        self._at: TopicPartition | None = None

    def list_topics(self, timeout: float) -> Any:
        if self._broker.is_away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        names = {name for name, _ in ENDS}
        return SimpleNamespace(
            topics={name: SimpleNamespace(partitions=[n for found, n in ENDS if found == name]) for name in names}
        )

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        offsets = COMMITTED[self._group]
        return [TopicPartition(p.topic, p.partition, offsets.get((p.topic, p.partition), -1001)) for p in places]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, ENDS[place.topic, place.partition]

    def assign(self, places: list[TopicPartition]) -> None:
        (self._at,) = places

    def unassign(self) -> None:
        self._at = None

    def poll(self, timeout: float) -> Any:
        assert self._at is not None
        if self._at.topic == "alerts":
            return None  # not said in time
        return SimpleNamespace(error=lambda: None, timestamp=lambda: (2, 0))

    def close(self) -> None:
        self._broker.closed.append(self._group)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(watch, "_consumer", made.consumer)
    monkeypatch.setattr("time.time", lambda: 30.0)
    return made


WANTED = [
    Stage("carbon.ingest", "meter.readings", 4, 30.0, 12),
    Stage("carbon.sink", "alerts", 10, None, 40),
]


def test_consumers_stay_open_from_look_to_look(broker: Broker, tmp_path: Path) -> None:
    one = Watch({})
    assert one.stages(COMMITTED, tmp_path) == one.stages(COMMITTED, tmp_path) == WANTED
    assert sorted(broker.opened) == ["carbon.ingest", "carbon.sink", "carbon.status"] and broker.closed == []
    one.close()
    assert sorted(broker.closed) == sorted(broker.opened)


def test_asked_once_they_are_closed(broker: Broker, tmp_path: Path) -> None:
    assert watch.stages({}, COMMITTED, tmp_path) == WANTED
    assert len(broker.opened) == 3 and sorted(broker.closed) == sorted(broker.opened)


def test_a_broker_that_is_away_is_said_so_and_asked_again(broker: Broker, tmp_path: Path) -> None:
    one, broker.is_away = Watch({"bootstrap.servers": "kafka:1"}), True
    with pytest.raises(EnvironmentFault, match="kafka:1 doesn't answer"):
        one.stages(COMMITTED, tmp_path)
    broker.is_away = False
    assert one.stages(COMMITTED, tmp_path) == WANTED


def test_the_committee_is_a_stage_by_the_aggregators_own_account(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / watch.AGGREGATE_HEALTH
    file.parent.mkdir(parents=True)
    file.write_text('{"unconfirmed_batches": 3, "oldest_seconds": 2.5}')
    assert watch.stages({}, (), tmp_path) == [Stage("committee", "records.proposed", 3, 2.5)]
