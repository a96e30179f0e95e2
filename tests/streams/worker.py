"""A worker as a process of its own: `python -m tests.streams.worker <name> <config.json>`.

`lose` in the configuration makes Faust leave out the messages at these offsets of each partition, as it does at a
rebalance: it skips them, as if they were of another generation of the group, and hands on what comes after them.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carbon import factors, registry
from consensus.log import genesis
from schemas import topics
from streams import aggregate, faust_app, ingest, intake
from streams.faust_app import Kafka
from tests.streams.world import AGGREGATOR, seed


def main(name: str, path: Path) -> None:
    raw, folder = json.loads(path.read_text()), path.parent
    known = registry.parse((folder / "registry.json").read_bytes(), factors.load())
    first = genesis.parse((folder / "genesis.json").read_bytes())
    bootstrap, lost = raw.pop("bootstrap"), raw.pop("lose", ())
    kafka = Kafka(bootstrap)
    match name:
        case "ingest":
            app = ingest.create_app(ingest.IngestConfig(kafka, first.digest, lambda: (0, known), folder, **raw))
            faust_app.run(losing(app, topics.METER_READINGS, lost))
        case "aggregate":
            key = seed(AGGREGATOR)
            app = aggregate.create_app(
                aggregate.AggregateConfig(kafka, first, lambda: (0, known), AGGREGATOR, key, folder, **raw)
            )
            faust_app.run(losing(app, topics.READINGS_CODED, lost))
        case "intake":
            client, gateway = {"bootstrap.servers": bootstrap}, "intake"
            own = seed(gateway)
            intake.main(intake.IntakeConfig(client, first.digest, lambda: (0, known), gateway, own, folder, **raw))


def losing(app: Any, topic: str, offsets: Sequence[int]) -> Any:
    """The app, whose stream skips each of these messages once."""
    on_message, seen = app.topics.on_message, set[tuple[int, int]]()

    async def lossy(message: Any) -> None:
        place = message.partition, message.offset
        if message.topic == topic and message.offset in offsets and place not in seen:
            seen.add(place)
            message.generation_id = -1
        await on_message(message)

    app.topics.on_message = lossy
    return app


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
