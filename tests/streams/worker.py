"""A worker as a process of its own: `python -m tests.streams.worker <name> <config.json>`."""

import json
import sys
from pathlib import Path

from carbon import factors, registry
from consensus.log import genesis
from streams import aggregate, ingest, intake
from streams.faust_app import Kafka
from tests.streams.world import AGGREGATOR, seed


def main(name: str, path: Path) -> None:
    raw, folder = json.loads(path.read_text()), path.parent
    known = registry.parse((folder / "registry.json").read_bytes(), factors.load())
    first = genesis.parse((folder / "genesis.json").read_bytes())
    bootstrap = raw.pop("bootstrap")
    kafka = Kafka(bootstrap)
    match name:
        case "ingest":
            ingest.main(ingest.IngestConfig(kafka, first.digest, known, folder))
        case "aggregate":
            key = seed(AGGREGATOR)
            aggregate.main(aggregate.AggregateConfig(kafka, first, known, AGGREGATOR, key, folder, **raw))
        case "intake":
            client, gateway = {"bootstrap.servers": bootstrap}, "intake"
            intake.main(intake.IntakeConfig(client, first.digest, known, gateway, seed(gateway), folder, **raw))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
