"""A worker as a process of its own: `python -m tests.streams.worker <name> <config.json>`."""

import json
import sys
from pathlib import Path

from streams import ingest
from streams.faust_app import Kafka
from tests.streams import world


def main(name: str, path: Path) -> None:
    raw = json.loads(path.read_text())
    registry = world.load(Path(raw["registry"]).read_bytes())
    kafka = Kafka(raw["bootstrap"])
    match name:
        case "ingest":
            ingest.main(ingest.IngestConfig(kafka, world.CHANNEL, registry, path.parent))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
