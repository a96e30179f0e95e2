"""The anomaly processor: from coded packets to messages on anomalies and alerts, the same whatever crashes."""

import random
from contextlib import closing
from math import sin
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carbon import coding
from infra.anomalies import standing
from schemas import codec, topics
from schemas.metrics import LAG
from streams.anomaly.processor import Anomalies, AnomalyConfig, Headers
from tests.small import START, World

DAYS, HELD = 14, 11
STEP = 900_000
Sent = list[tuple[str, str, bytes]]


class Deaf(Anomalies):
    """A processor without a broker: what it sends is kept, what it reads is handed to it."""

    def __init__(self, world: World, store: Path) -> None:
        self.sent: Sent = []
        kafka = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
        super().__init__(AnomalyConfig(kafka, world.genesis, world.registry, lambda: (0, world.registry), store))

    def _send(self, topic: str, key: str, value: bytes, headers: Headers = ()) -> None:
        assert topic == topics.ANOMALIES or dict(headers)["ce_type"] == b"carbonledger.alert.anomaly"
        self.sent.append((topic, key, value))

    def keep(self) -> None:
        self._write()


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(points=2, step_seconds=900)


@pytest.fixture(scope="module")
def packets(world: World) -> list[bytes]:
    """Two weeks of two points, six hours a packet; the first is held for a day from the eleventh on."""
    rng, made = random.Random(5), list[bytes]()
    names = sorted(world.registry.points)
    for first in range(0, DAYS * 96, 24):
        readings = []
        for step in range(first, first + 24):
            for name in names:
                value = round(4_000 + 1_500 * sin(step / 96 * 6.283) + rng.gauss(0, 150))
                if name == names[0] and HELD * 96 <= step < (HELD + 1) * 96:
                    value = 4_321
                readings.append((name, START + step * STEP, value))
        message = world.pack(START + (first + 24) * STEP, readings)
        made.append(coding.code(message, world.registry, world.genesis.digest).message)
    return made


def told(sent: Sent, topic: str, schema: str) -> list[dict[str, Any]]:
    return [codec.decode(schema, value) for name, _, value in sent if name == topic]


def test_what_breaks_is_told_with_its_figures_and_when_it_is_over(
    world: World, packets: list[bytes], tmp_path: Path
) -> None:
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        for packet in packets:
            one.packet(packet)
    point = min(world.registry.points)
    found = [row for row in told(one.sent, topics.ANOMALIES, "anomaly") if row["kind"] == "stuck"]
    raised, resolved = found
    assert (raised["point"], raised["subject"], raised["resolved"]) == (
        point,
        world.registry.points[point].subject,
        False,
    )
    assert raised["since"] == START + HELD * 96 * STEP < raised["at"] < raised["since"] + 12 * STEP
    assert resolved["resolved"] and resolved["key"] == raised["key"] and resolved["at"] > START + (HELD + 1) * 96 * STEP
    assert {figure["name"] for figure in raised["figures"]} == {"statistic", "limit", "steps", "value"}
    assert standing([raised]) == [raised] and standing(found) == []
    alert = next(row for row in told(one.sent, topics.ALERTS, "alert") if row["id"] == raised["id"])
    assert (alert["kind"], alert["severity"], alert["since"]) == ("anomaly", "warning", raised["since"])
    assert alert["proof"] == f"carbonledger anomalies {point}" and "4321" in alert["text"]


def test_whenever_it_is_killed_the_same_is_told_with_the_same_ids(
    world: World, packets: list[bytes], tmp_path: Path
) -> None:
    with closing(Deaf(world, tmp_path / "whole.sqlite")) as whole:
        for packet in packets:
            whole.packet(packet)
    sent: Sent = []
    for kept, died in ((18, 20), (30, 47), (47, 50), (56, 56)):
        with closing(Deaf(world, tmp_path / "killed.sqlite")) as one:
            for place, packet in enumerate(packets[:died]):
                one.packet(packet)
                if place + 1 == kept:
                    one.keep()
            sent += one.sent
    assert list(dict.fromkeys(sent)) == whole.sent and len(whole.sent) >= 4


def test_a_packet_that_comes_twice_counts_once(world: World, packets: list[bytes], tmp_path: Path) -> None:
    with (
        closing(Deaf(world, tmp_path / "once.sqlite")) as once,
        closing(Deaf(world, tmp_path / "twice.sqlite")) as twice,
    ):
        for packet in packets[:50]:
            once.packet(packet)
            twice.packet(packet)
            twice.packet(packet)
    assert once.sent == twice.sent and once.sent
    for name in world.registry.points:
        assert once._watcher.state(name) == twice._watcher.state(name)


def test_it_shows_how_far_it_is_behind(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every partition, as the broker last said; one that it has said nothing of counts nothing."""
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        one._offsets = {"0": 3, "1": 5, "2": 0, "3": 9}
        ends = {0: 7, 1: 5, 2: -1_001, 3: 10}
        said = lambda place, cached: (0, ends[place.partition])  # noqa: E731
        consumer = SimpleNamespace(get_watermark_offsets=said, consume=lambda *_: [], close=one._consumer.close)
        monkeypatch.setattr(one, "_consumer", consumer)
        one.step()
        lags = {figure.labels: figure.value for figure in one.figures() if figure.metric is LAG}
        assert lags == {(topics.READINGS_CODED,): 5, (topics.LEDGER_BLOCKS,): 0, (topics.LEDGER_PAYLOADS,): 0}


def test_bytes_that_are_no_packet_are_passed_over(world: World, tmp_path: Path) -> None:
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        one.packet(b"")
        assert one.sent == []
