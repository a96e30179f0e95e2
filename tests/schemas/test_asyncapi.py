import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest
import yaml

from schemas import asyncapi, codec
from schemas.topics import Bounds, contracts, topic

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "asyncapi.yaml"
PARSER = "@asyncapi/parser@3.6.3"
VALIDATE = """
import { Parser } from "@asyncapi/parser";
import { readFileSync } from "node:fs";
const found = await new Parser().validate(readFileSync(process.argv[2], "utf8"));
const faults = found.filter((each) => each.severity < 2);
console.log(JSON.stringify(faults.map((each) => each.path.join("/") + ": " + each.message)));
"""


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load(COMMITTED.read_text())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part]
    return document


def test_the_committed_document_is_what_the_contracts_makes() -> None:
    assert COMMITTED.read_text() == asyncapi.text()


def test_every_topic_has_a_channel(document: Any) -> None:
    assert set(document["channels"]) == {topic.name for topic in contracts()}
    for name, channel in document["channels"].items():
        assert list(channel["messages"]) == [topic(name).schema]
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == name


def test_a_channel_states_the_settings_that_its_topic_is_made_with(document: Any) -> None:
    for name, channel in document["channels"].items():
        binding = channel["bindings"]["kafka"]
        assert binding["partitions"] == topic(name).partitions
        stated = dict(binding["topicConfiguration"])
        if "cleanup.policy" in stated:
            stated["cleanup.policy"] = ",".join(stated["cleanup.policy"])
        assert {key: str(value) for key, value in stated.items()} == topic(name).config(Bounds())
        assert all(isinstance(stated[key], int) for key in ("retention.ms", "max.message.bytes"))


def test_payloads_are_the_schemas_with_their_ids(document: Any) -> None:
    stated = {name: message["payload"] for name, message in document["components"]["messages"].items()}
    for name, message in document["components"]["messages"].items():
        assert message["x-schema-id"] == codec.schema_ids()[name]
    stated |= document["components"]["schemas"]
    assert set(stated) == {name for name in codec.schema_ids() if "@" not in name}
    for name, payload in stated.items():
        assert payload["schema"] == codec.schema_json(name)
        fastavro.parse_schema(payload["schema"])


def test_every_reference_leads_somewhere(document: Any) -> None:
    found = list(references(document))
    assert len(found) == 3 * len(document["channels"])
    for reference in found:
        assert resolve(document, reference)


def test_an_operation_belongs_to_every_channel(document: Any) -> None:
    operations = document["operations"].values()
    assert len(operations) == len(document["channels"])
    received = {
        each["channel"]["$ref"].removeprefix("#/channels/") for each in operations if each["action"] == "receive"
    }
    assert received == {"gateway.commands", "meter.readings", "meter.frames", "meter.single", "records.proposed"}


@pytest.mark.extra("node", "npm")
def test_asyncapis_own_parser_has_nothing_against_it(tmp_path: Path) -> None:
    """The parser checks the document against the JSON schema of AsyncAPI 3.0, of the Kafka binding and of Avro."""

    def complaints(document: str) -> Any:
        (tmp_path / "document.yaml").write_text(document)
        command = [shutil.which("node") or "node", "validate.mjs", "document.yaml"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(said.stdout)

    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", PARSER], cwd=tmp_path, check=True)
    (tmp_path / "validate.mjs").write_text(VALIDATE)
    good = COMMITTED.read_text()
    assert complaints(good) == []
    for right in ("partitions: 4", "type: record", "action: send"):
        assert complaints(good.replace(right, right + "x", 1)) != []
