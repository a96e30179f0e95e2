"""How many records may be under way before `streams.aggregate` takes no further packet, without a broker."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

from carbon import coding
from carbon.proposing import Verdict
from streams.aggregate import Aggregate, AggregateConfig
from streams.faust_app import Kafka
from tests.streams.world import AGGREGATOR, HOUR, MINUTE, START, World, seed

WORLD = World({"one": ["a", "b"], "two": ["c"]}, lateness=0)


def aggregate_of(folder: Path, most: int) -> Aggregate:
    async def send(**_: object) -> "asyncio.Future[None]":
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    topic = SimpleNamespace(send=send)
    table = SimpleNamespace(data={}, changelog_topic=topic)
    app = MagicMock(**{"Table.return_value": table, "topic.return_value": topic})
    app.consumer.assignment.return_value = []
    keys = (AGGREGATOR, seed(AGGREGATOR))
    config = AggregateConfig(
        Kafka("nowhere"), WORLD.genesis, lambda: (0, WORLD.registry), *keys, folder, most_unconfirmed=most
    )
    return Aggregate(app, config)


async def hours(aggregate: Aggregate, gateway: str, count: int) -> None:
    """A packet that closes so many hours of each point of a gateway."""
    message = WORLD.chain(gateway).pack([(WORLD.gateways[gateway][0], START, 1)], START + count * HOUR + MINUTE)
    coded = coding.code(message, WORLD.registry, WORLD.channel)
    await aggregate._take(SimpleNamespace(topic="t", partition=0, offset=0, key=b"", value=coded.message))


async def confirmed(aggregate: Aggregate, gateway: str) -> None:
    for number, batch in list(aggregate._gateways[gateway].stream.pending.items()):
        verdicts = [Verdict(True, 0, link.commitment) for link in batch.links]
        await aggregate.confirm(gateway, number, batch.digest, verdicts)


def test_the_records_under_way_of_all_gateways_count_and_those_on_the_ledger_do_not(tmp_path: Path) -> None:
    async def main() -> None:
        aggregate = aggregate_of(tmp_path, most=7)
        room = []
        for step in (hours(aggregate, "one", 2), hours(aggregate, "two", 3), confirmed(aggregate, "one")):
            await step
            room.append((aggregate.state()["unconfirmed_records"], aggregate._room.is_set()))
        assert room == [(4, True), (7, False), (3, True)]

    asyncio.run(main())


def test_a_worker_that_loses_its_partitions_has_nothing_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        aggregate = aggregate_of(tmp_path, most=4)
        await hours(aggregate, "one", 2)
        assert not aggregate._room.is_set()
        aggregate._load()
        assert (aggregate.state()["unconfirmed_records"], aggregate._room.is_set()) == (0, True)

    asyncio.run(main())
