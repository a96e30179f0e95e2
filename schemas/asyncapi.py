"""The contract document: AsyncAPI 3.0 with the Kafka binding 0.5.0, made from the topic catalogue and the schemas.

`docs/asyncapi.yaml` is this text, committed: `python -m schemas.asyncapi > docs/asyncapi.yaml`.
"""

from typing import Any

import yaml

from schemas.codec import schema_ids, schema_json
from schemas.registry import LEVEL
from schemas.topics import (
    GATEWAY_COMMANDS,
    METER_FRAMES,
    METER_READINGS,
    METER_SINGLE,
    RECORDS_PROPOSED,
    Bounds,
    Topic,
    contracts,
)

VERSION = "1.0.0"
"""Of the contracts, not of the product: within it every change is compatible both ways with all that came before."""

OPEN_TOPICS = frozenset({GATEWAY_COMMANDS, METER_READINGS, METER_FRAMES, METER_SINGLE, RECORDS_PROPOSED})
"""Topics that gateways, producers and submitters of others write to; the rest the product writes itself."""

_AVRO = "application/vnd.apache.avro;version=1.9.0"
_BINDING = "0.5.0"
_DESCRIPTION = (
    "Carbon accounting that nobody has to take on trust: signed readings to a certified ledger. "
    "Values are Avro in Confluent wire format: a zero byte, the schema id as 4 bytes big-endian, the Avro bytes. "
    "The ids are fixed (`x-schema-id`), so no schema registry has to run. "
    f"Schemas change in ways that are {LEVEL} only. Where a field holds the canonical bytes of another schema, as a "
    "packet its body, that schema stands under `components.schemas`."
)


def document(bounds: Bounds | None = None) -> dict[str, Any]:
    """The AsyncAPI document as a JSON value; topic size limits are those of `bounds`."""
    limits = bounds or Bounds()
    topics = list(contracts())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "carbonledger",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "avro/binary",
        "servers": {"kafka": _server()},
        "channels": {topic.name: _channel(topic, limits) for topic in topics},
        "operations": {_operation_id(topic): _operation(topic) for topic in topics},
        "components": {
            "messages": {topic.schema: _message(topic) for topic in topics},
            "schemas": _nested({topic.schema for topic in topics}),
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "variables": {"bootstrap": {"description": "host:port of a broker of the cluster"}},
        "bindings": {"kafka": {"schemaRegistryVendor": "confluent", "bindingVersion": _BINDING}},
    }


def _channel(topic: Topic, bounds: Bounds) -> dict[str, Any]:
    binding = {
        "topic": topic.name,
        "partitions": topic.partitions,
        "topicConfiguration": {key: _setting(key, value) for key, value in sorted(topic.config(bounds).items())},
        "bindingVersion": _BINDING,
    }
    return {
        "address": topic.name,
        "summary": topic.summary,
        "messages": {topic.schema: {"$ref": f"#/components/messages/{topic.schema}"}},
        "bindings": {"kafka": binding},
    }


def _setting(key: str, value: str) -> list[str] | int | str:
    """A topic setting as the binding types it: numbers as numbers, the cleanup policies as a list."""
    if key == "cleanup.policy":
        return value.split(",")
    return int(value) if value.removeprefix("-").isdecimal() else value


def _operation_id(topic: Topic) -> str:
    return f"{_action(topic)}-{topic.name}"


def _action(topic: Topic) -> str:
    return "receive" if topic.name in OPEN_TOPICS else "send"


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": _action(topic),
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.schema}"}],
    }


def _message(topic: Topic) -> dict[str, Any]:
    binding = {
        "key": {"type": "string", "description": topic.key},
        "schemaIdLocation": "payload",
        "schemaIdPayloadEncoding": "confluent",
        "schemaLookupStrategy": "TopicNameStrategy",
        "bindingVersion": _BINDING,
    }
    schema = schema_json(topic.schema)
    return {
        "name": topic.schema,
        "summary": schema["doc"],
        "payload": {"schemaFormat": _AVRO, "schema": schema},
        "bindings": {"kafka": binding},
        "x-schema-id": schema_ids()[topic.schema],
    }


def _nested(carried: set[str]) -> dict[str, Any]:
    """The current schemas that no topic carries by itself."""
    names = (name for name in schema_ids() if name not in carried and "@" not in name)
    return {name: {"schemaFormat": _AVRO, "schema": schema_json(name)} for name in names}


class _Plain(yaml.SafeDumper):
    """YAML without anchors: a schema that stands in two places is written in both."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text() -> str:
    """The document as YAML: what `carbonledger schemas asyncapi` prints."""
    head = "# Made by `python -m schemas.asyncapi` from the topic catalogue and the schemas: change those.\n"
    return head + yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


def main() -> None:
    """Print the document."""
    print(text(), end="")


if __name__ == "__main__":
    main()
