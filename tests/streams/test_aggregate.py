"""The aggregator's worker goes over to another registry by itself: without a broker, driven as Faust drives it."""

import asyncio
from collections.abc import Collection
from datetime import date
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from carbon import amendment, coding, packet, record
from carbon.factors.succession import entry_of
from carbon.proposing import OTHER_REGISTRY, Verdict
from carbon.registry import Registry
from schemas import codec, topics
from streams.aggregate import Aggregate, AggregateConfig
from streams.faust_app import Kafka
from tests import registrars, small
from tests.streams.world import AGGREGATOR, HOUR, MINUTE, START, Chain, World, seed

GATEWAY, POINTS = "gw", ["p-1", "p-2"]
FIRST = 100


class Topic:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, *, value: bytes, **_: object) -> Any:
        self.sent.append(value)
        delivered = asyncio.get_running_loop().create_future()
        delivered.set_result(None)
        return delivered


class Scene:
    """The worker, with the registry in force at hand."""

    def __init__(self, folder: Path) -> None:
        self.world = World({GATEWAY: POINTS}, horizon=86_400)
        self.in_force: tuple[int, Registry] = (0, self.world.registry)
        self.topics = {name: Topic() for name in (topics.READINGS_REJECTED, topics.ALERTS, topics.RECORDS_PROPOSED)}
        app = MagicMock()
        app.topic.side_effect = self.topics.__getitem__
        app.Table.return_value = SimpleNamespace(changelog_topic=Topic(), data={})
        app.consumer.assignment.return_value = [SimpleNamespace(topic=topics.READINGS_CODED, partition=0)]
        config = AggregateConfig(
            Kafka("127.0.0.1:1"), self.world.genesis, lambda: self.in_force, AGGREGATOR, seed(AGGREGATOR), folder
        )
        self.log: list[bytes] = []
        self.worker = Aggregate(app, config)
        self.worker._reader = self  # type: ignore[assignment] all that is asked of it is `read`

    async def read(self, _partition: int, offsets: Collection[int]) -> dict[int, bytes]:
        return {offset: self.log[offset] for offset in offsets}

    def amend(self, put: registrars.Put) -> None:
        now = self.world.registry
        change = amendment.amendment(now, 1, 0, FIRST, [put], [])
        self.in_force = (FIRST, amendment.amended(now, change))

    async def take(self, message: bytes) -> None:
        value = coding.code(message, self.in_force[1], self.world.channel).message
        self.log.append(value)
        place = {"topic": topics.READINGS_CODED, "partition": 0, "offset": len(self.log) - 1, "key": GATEWAY.encode()}
        await self.worker._take(SimpleNamespace(value=value, **place))

    async def begin(self) -> Chain:
        """The worker takes two and a half hours of minutes; their chain."""
        chain = self.world.chain(GATEWAY)
        for message in chain.minutes(POINTS, 150):
            await self.take(message)
        return chain

    def proposed(self) -> list[dict[str, Any]]:
        sent = self.topics[topics.RECORDS_PROPOSED].sent
        return [codec.decode_bare("batch", codec.decode("proposal", message)["body"]) for message in sent]

    async def decide(self, reason: int) -> None:
        """The ledger's verdict on all that is pending."""
        for batch in list(self.worker._gateways[GATEWAY].stream.pending.values()):
            verdicts = [Verdict(not reason, reason, link.commitment) for link in batch.links]
            await self.worker.confirm(GATEWAY, batch.number, batch.digest, verdicts)


def windows(batches: list[dict[str, Any]]) -> list[int]:
    return sorted(int.from_bytes(b["window"][i : i + 8], "big") for b in batches for i in range(0, len(b["window"]), 8))


def test_what_is_refused_for_its_registry_is_proposed_under_the_one_in_force(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        chain = await scene.begin()
        before = scene.proposed()
        assert {batch["registry_height"] for batch in before} == {0}
        scene.amend(registrars.entry(scene.world.registry, "points", "p-1", max=500))
        await scene.decide(OTHER_REGISTRY)
        await scene.take(chain.pack([], START + 3 * HOUR))
        after = scene.proposed()[len(before) :]
        assert {batch["registry_height"] for batch in after} == {FIRST}
        assert windows(after) == windows(before)
        assert scene.topics[topics.READINGS_REJECTED].sent == []

    asyncio.run(run())


def test_what_is_proposed_again_is_computed_by_the_factor_set_in_force(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        chain = await scene.begin()
        before = scene.proposed()
        tables = registrars.changed_tables(b"CN.national.2022,0.5366", b"CN.national.2022,0.5466")
        scene.amend(("factors", entry_of("2027-1", date(2027, 1, 1), tables)))
        await scene.decide(OTHER_REGISTRY)
        await scene.take(chain.pack([], START + 3 * HOUR))
        after = scene.proposed()[len(before) :]
        was, now = (
            [record.decode(payload) for batch in batches for payload in batch["payloads"]]
            for batches in (before, after)
        )
        assert {one["factors"] for one in was} == {scene.world.registry.factors.digest}
        assert {one["factors"] for one in now} == {scene.in_force[1].factors.digest}
        grams = {(one["point"], one["window_start"]): one["emission_g"] for one in was}
        assert sum(grams.values()) > 0
        for one in now:
            again = Fraction(one["quantity"], 10 ** one["scale"]) * Fraction("0.5466")
            assert grams[one["point"], one["window_start"]] < one["emission_g"] == round(again)

    asyncio.run(run())


def resigned(chain: Chain, rows: list[tuple[str, int, int]], hours: int) -> bytes:
    """The chain's next packet, signed by the next key."""
    body = packet.body_of(chain.pack(rows, START + hours * HOUR))
    return packet.sign(small.seed("next key"), chain.channel, body)


def test_a_packet_of_the_next_run_is_taken_once_the_registry_has_it(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        chain = await scene.begin()
        before = windows(scene.proposed())
        await scene.decide(0)
        scene.amend(registrars.rotation(scene.world.registry, GATEWAY, "next key"))
        assert scene.worker._gateways[GATEWAY].windows.number == 1
        chain = Chain(GATEWAY, scene.world.channel, run=2)
        await scene.take(resigned(chain, [("p-1", max(before) + HOUR, 5)], 3))
        await scene.take(resigned(chain, [], 4))
        assert scene.worker._gateways[GATEWAY].windows.number == 2
        assert scene.topics[topics.READINGS_REJECTED].sent == []
        again = [batch for batch in scene.proposed() if batch["registry_height"] == FIRST]
        assert windows(again) == [max(before) + HOUR] * 2
        counts = {f["point"]: f["count"] for b in again for f in map(record.decode, b["payloads"])}
        assert counts == {"p-1": 1, "p-2": 0}

    asyncio.run(run())


def due(scene: Scene, sequence_of: bytes) -> list[str]:
    """Reasons of the dead letters of a packet."""
    body = packet.body_of(sequence_of)
    letters = [codec.decode("rejection", value) for value in scene.topics[topics.READINGS_REJECTED].sent]
    return [item["reason"] for letter in letters if letter["original"] == body for item in letter["items"]]


@pytest.mark.parametrize("reason", [0, OTHER_REGISTRY])
def test_what_the_next_run_sends_again_is_counted_or_a_dead_letter(tmp_path: Path, reason: int) -> None:
    """Its packets come before the ledger has decided what the run before had proposed."""

    async def run() -> None:
        scene = Scene(tmp_path)
        chain = await scene.begin()
        before = scene.proposed()
        scene.amend(registrars.rotation(scene.world.registry, GATEWAY, "next key"))
        chain = Chain(GATEWAY, scene.world.channel, run=2)
        again = resigned(chain, [(p, START, 7) for p in POINTS], 3)
        more = resigned(chain, [] if reason else [("p-2", START + HOUR, 7)], 4)
        silence = resigned(chain, [], 99)
        late = resigned(chain, [("p-1", START + MINUTE, 7)], 100)
        for message in (again, more, silence, late):
            await scene.take(message)
        assert scene.proposed() == before and scene.topics[topics.READINGS_REJECTED].sent == []
        await scene.decide(reason)
        made = [record.decode(p) for batch in scene.proposed()[len(before) :] for p in batch["payloads"]]
        assert {f["version"] for f in made} == {1}
        assert sum(f["count"] for f in made) == (len(POINTS) if reason else 0)
        assert due(scene, again) == ([] if reason else ["too_late"] * len(POINTS))
        assert due(scene, late) == ["too_late"]
        assert due(scene, more) == ([] if reason else ["too_late"])

    asyncio.run(run())


def test_a_correction_that_is_refused_for_its_registry_makes_the_worker_go_over_too(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        chain = scene.world.chain(GATEWAY)
        for message in chain.minutes(["p-2"], 150):
            await scene.take(message)
        await scene.decide(0)
        await scene.take(chain.pack([("p-1", START, 1)], START + 150 * MINUTE))
        (correction,) = scene.worker._gateways[GATEWAY].stream.pending.values()
        assert [(link.point, link.window_start) for link in correction.links] == [("p-1", START)]
        scene.amend(registrars.entry(scene.world.registry, "points", "p-2", max=500))
        await scene.decide(OTHER_REGISTRY)
        await scene.decide(OTHER_REGISTRY)
        (again,) = scene.worker._gateways[GATEWAY].stream.pending.values()
        assert again.registry_height == FIRST
        assert again.links[0].payload == correction.links[0].payload

    asyncio.run(run())


def test_no_more_packets_wait_for_another_registry_than_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.aggregate.MOST_WAITING", 4)

    async def run() -> None:
        scene = Scene(tmp_path)
        for message in scene.world.chain(GATEWAY).minutes(POINTS, 150):
            await scene.take(message)
        scene.amend(registrars.rotation(scene.world.registry, GATEWAY, "next key"))
        chain, room = Chain(GATEWAY, scene.world.channel, run=2), scene.worker._room
        found = []
        for hours in (3, 4):
            await scene.take(resigned(chain, [], hours))
            found.append(room.is_set())
        assert found == [True, False]
        await scene.decide(OTHER_REGISTRY)
        assert room.is_set()

    asyncio.run(run())
