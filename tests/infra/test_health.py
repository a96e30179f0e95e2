"""What is told of the pipeline: every process, every topic that it reads, and what has no process."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from infra.health import Health, HealthConfig, rows
from infra.runfile import Member
from infra.watch import Stage
from schemas import codec, topics
from tests.small import START, World

REGISTRY = World.make().registry

NOTHING = {"epoch": None, "view": None}


def member(process: str, group: str | None) -> Member:
    return Member(process, "ready", 7, 1.0, 2, 3.0, None, group)


def test_every_process_and_topic_has_its_message() -> None:
    stages = [
        Stage("carbon.clickhouse", "alerts", 3, 1.5, 40),
        Stage("carbon.clickhouse", "ledger.blocks", 0, None, 9),
        Stage("committee", "records.proposed", 2, 0.5),
    ]
    processes = [member("broker", None), member("sink", "carbon.clickhouse"), member("ingest", "carbon.ingest")]
    told = list(rows(processes, stages, {"ingest": {"held": False}}, 5))
    found = [
        (row["process"], row["topic"], row["state"], row["waiting"], row["oldest_seconds"], row["done"]) for row in told
    ]
    assert found == [
        ("broker", "", "ready", None, None, None),
        ("sink", "alerts", "ready", 3, 1.5, 40),
        ("sink", "ledger.blocks", "ready", 0, None, 9),
        ("ingest", "", "ready", None, None, None),
        ("committee", "records.proposed", "", 2, 0.5, None),
    ]
    assert all(codec.decode("health", codec.encode("health", row)) == NOTHING | row for row in told)


def test_a_member_says_in_which_view_it_is() -> None:
    members = [member("member-0", None), member("member-1", None)]
    told = rows(members, [], {"member-1": {"epoch": 2, "view": 3, "height": 7}}, 5)
    read = [codec.decode("health", codec.encode("health", row)) for row in told]
    assert [(row["process"], row["epoch"], row["view"]) for row in read] == [
        ("member-0", None, None),
        ("member-1", 2, 3),
    ]


class Deaf(Health):
    """Without a broker: what it sends is kept, looks and letters are handed to it."""

    def __init__(self, store: Path) -> None:
        kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
        self.sent: list[dict[str, Any]] = []
        super().__init__(HealthConfig(kafka, store.parent, store, "carbonledger/test", lambda: (0, REGISTRY)))

    def _send(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        alert = codec.decode("alert", value)
        assert topic == topics.ALERTS and key == alert["id"]
        assert dict(headers)["ce_type"].decode() == f"carbonledger.alert.{alert['kind']}"
        self.sent.append(alert)

    def letters(self, first: int, count: int) -> None:
        """Refused readings of a point, one a second."""
        item = {"index": 0, "point": "plant-0-0", "at": 1, "value": 1, "reason": "too_old", "detail": "2 days"}
        place = {"stage": "ingest", "topic": topics.METER_READINGS, "partition": 0, "key": None, "gateway": "gw-0"}
        for offset in range(first, first + count):
            content = {"offset": offset, "digest": bytes(32), "original": b"", "items": [item]}
            self._take(Letter(offset, codec.encode("rejection", place | content)))


class Letter(NamedTuple):
    """As Kafka's client gives one."""

    place: int
    content: bytes

    def offset(self) -> int:
        return self.place

    def value(self) -> bytes:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 2, START + 1_000 * self.place


def test_dead_letters_become_an_alert_with_the_same_id_whenever_it_was_killed(tmp_path: Path) -> None:
    sent = []
    for kept, died in ((5, 15), (18, 30), (30, 30)):
        one = Deaf(tmp_path / "stores" / "health.json")
        first = one._offset
        one.letters(first, kept - first)
        one._keep()
        one.letters(kept, died - kept)
        sent += one.sent
        one.close()
    assert {alert["id"] for alert in sent} == {f"readings_rejected/plant-0-0/too_old/{START + 19_000}"}
    assert [alert["subject"] for alert in sent] == ["plant", "plant"], "once by the second life, once by the third"


def test_a_letter_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    with closing(Deaf(tmp_path / "health.json")) as one:
        one._take(Letter(3, b"\0"))
        assert (one._offset, one.sent) == (4, [])


def test_nothing_is_kept_while_the_broker_has_not_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Deaf(tmp_path / "health.json")) as one:
        one.letters(0, 3)
        with monkeypatch.context() as patched:
            patched.setattr(one, "_producer", SimpleNamespace(flush=lambda seconds: 1))
            one._keep()
        assert not (tmp_path / "health.json").exists()
        one._keep()
    assert Deaf(tmp_path / "health.json")._offset == 3


def test_an_alert_that_the_broker_did_not_take_ends_the_process(tmp_path: Path) -> None:
    with closing(Deaf(tmp_path / "health.json")) as one:
        one._undelivered.append("too large")
        with pytest.raises(RuntimeError, match="too large"):
            one._keep()
    assert not (tmp_path / "health.json").exists()
