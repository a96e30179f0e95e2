"""The aggregator's worker goes over to another registry by itself: without a broker, driven as Faust drives it."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from carbon import amendment, coding, packet, record
from carbon.proposing import OTHER_REGISTRY, Verdict
from carbon.registry import Registry
from schemas import codec, topics
from streams.aggregate import Aggregate, AggregateConfig
from streams.faust_app import Kafka
from tests import registrars, small
from tests.streams.world import AGGREGATOR, HOUR, START, Chain, World, seed

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
        self.world = World({GATEWAY: POINTS})
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
        chain = scene.world.chain(GATEWAY)
        for message in chain.minutes(POINTS, 150):
            await scene.take(message)
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


def resigned(chain: Chain, rows: list[tuple[str, int, int]], hours: int) -> bytes:
    """The chain's next packet, signed by the next key."""
    body = packet.body_of(chain.pack(rows, START + hours * HOUR))
    return packet.sign(small.seed("next key"), chain.channel, body)


def test_a_packet_of_the_next_run_is_taken_once_the_registry_has_it(tmp_path: Path) -> None:
    async def run() -> None:
        scene = Scene(tmp_path)
        chain = scene.world.chain(GATEWAY)
        for message in chain.minutes(POINTS, 150):
            await scene.take(message)
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
