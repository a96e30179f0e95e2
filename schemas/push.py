"""Registering every schema on somebody else's registry, with the ids and versions that they have here.

The ids in our messages are fixed, so a registry is of use to a reader only if it knows the schemas under these very
ids. Confluent's registry takes an id that the client names while a subject is in mode IMPORT; that is what `push` asks
for, and it gives the subject its own mode back afterwards. A registry that refuses the mode numbers schemas itself:
they are registered all the same, for people to read and for producers of their own to be checked against, but where
`Pushed.kept` is false, a deserializer that asks that registry for the id of one of our messages finds nothing or
another schema. It then needs a registry to itself, or ours.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from schemas.history import Version, all_versions
from schemas.registry import LEVEL, schema_text, subjects_of

_NO_IMPORT = (404, 405, 422, 501)
"""How registries say that they know no modes, or that theirs can't be changed. Anything else is a failure to report."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A version that another registry now holds under `subject`, with the id that it has there."""

    subject: str
    version: Version
    id: int

    @property
    def kept(self) -> bool:
        """Whether the registry resolves our messages: the id there is the one on the wire."""
        return self.id == self.version.id


class _Pinned(Schema):  # type: ignore[misc]
    """A schema to be registered under the id and version that it has here; the client's own has no place for them."""

    def __init__(self, version: Version) -> None:
        super().__init__(schema_text(version), "AVRO")
        object.__setattr__(self, "_pins", {"id": version.id, "version": version.number})

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), **self._pins}


def push(config: Mapping[str, Any], versions: Iterable[Version] | None = None) -> list[Pushed]:
    """Register all versions (the product's own if not given), oldest first, each subject FULL_TRANSITIVE.

    `config` is SchemaRegistryClient's: `url`, and `basic.auth.user.info` or `ssl.*` where they are needed. What is
    registered already stays as it is. Raises SchemaRegistryError when the registry refuses a schema.
    """
    subjects: dict[str, list[Version]] = {}
    for version in all_versions() if versions is None else versions:
        for subject in subjects_of(version):
            subjects.setdefault(subject, []).append(version)
    with SchemaRegistryClient(dict(config)) as client:
        return [pushed for subject in sorted(subjects) for pushed in _push_subject(client, subject, subjects[subject])]


def _push_subject(client: Any, subject: str, versions: list[Version]) -> list[Pushed]:
    client.set_compatibility(subject, LEVEL)
    held = {version.id: _held(client, subject, version) for version in versions}
    if None in held.values():
        with _importing(client, subject) as named:
            for version in versions:
                if held[version.id] is None:
                    schema = _Pinned(version) if named else Schema(schema_text(version), "AVRO")
                    held[version.id] = client.register_schema(subject, schema)
    return [Pushed(subject, version, held[version.id] or 0) for version in versions]


def _held(client: Any, subject: str, version: Version) -> int | None:
    """The id of a version that the registry has already."""
    found = _unless_missing(client.lookup_schema, subject, Schema(schema_text(version), "AVRO"))
    return None if found is None else int(found.schema_id)


def _unless_missing(ask: Any, *args: Any) -> Any:
    try:
        return ask(*args)
    except SchemaRegistryError as error:
        if error.http_status_code == 404:
            return None
        raise


@contextmanager
def _importing(client: Any, subject: str) -> Iterator[bool]:
    """Mode IMPORT for `subject` for a while; False where the registry does not let us name ids."""
    try:
        before = _unless_missing(client.get_mode, subject)
        client.update_mode(subject, "IMPORT", force=True)
    except SchemaRegistryError as error:
        if error.http_status_code not in _NO_IMPORT:
            raise
        yield False
        return
    try:
        yield True
    finally:
        if before is None:
            client.delete_mode(subject)
        else:
            client.update_mode(subject, before)


def main() -> None:
    """`python -m schemas.push URL`: push, list what was pushed, and exit 1 if the registry gave ids of its own."""
    pushed = push({"url": sys.argv[1]})
    for each in pushed:
        print(f"{each.subject} version {each.version.number}: id {each.id}{'' if each.kept else ' (not ours)'}")
    sys.exit(not all(each.kept for each in pushed))


if __name__ == "__main__":
    main()
