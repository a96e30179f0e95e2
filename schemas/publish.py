"""Publishing a new version of a schema, and the rule that every version stands to every other: FULL_TRANSITIVE.

To change a contract: edit `schemas/avro/<name>.avsc`, then run `python -m schemas.publish`. Each changed schema gets
the next version number and an id that was never used before. Refused is a change that an older reader could not read,
or that could not read an older message: fields come and go only with a default, and no type changes.

A schema whose bare bytes stand inside another message without an id of their own (`packet-body`, `batch`,
`block-header`, the committee's bodies) can't have a second version that readers tell from the first: a change there is
a schema of a new name, and a new version of the message around it says which of the two it holds.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType, type_mismatch

from schemas.history import (
    SCHEMAS_DIR,
    HistoryError,
    Version,
    current_ids,
    current_schema,
    published,
    versions,
)


class _Checker(ReaderWriterCompatibilityChecker):  # type: ignore[misc]
    """Avro's resolution rules without its promotion of bytes to string: not every bytes value is UTF-8 text."""

    def calculate_compatibility(self, reader: Any, writer: Any, location: list[str]) -> Any:
        if {reader.type, writer.type} == {"bytes", "string"}:
            return type_mismatch(reader, writer, location)
        return super().calculate_compatibility(reader, writer, location)


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Why what `writer` writes can't all be read with `reader` (Avro 1.12, "Schema Resolution"); empty when it can."""
    result = _Checker().get_compatibility(avro.schema.parse(json.dumps(reader)), avro.schema.parse(json.dumps(writer)))
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return [f"{' '.join(sorted(result.locations))}: {', '.join(sorted(result.messages))}"]


def incompatibilities(version: Version, older: Iterable[Version]) -> Iterator[str]:
    """Why `version` can't follow `older` ones: it must read each of them, and be read by it."""
    for past in older:
        for reason in unreadable(version.schema, past.schema):
            yield f"{version.name}: version {version.number} can't read version {past.number} ({reason})"
        for reason in unreadable(past.schema, version.schema):
            yield f"{version.name}: version {past.number} can't read version {version.number} ({reason})"


def problems(folder: Path = SCHEMAS_DIR) -> list[str]:
    """What is wrong between the current schemas, their ids and the history; empty when all is published and fits."""
    return [*_history_problems(folder), *_current_problems(folder)]


def _history_problems(folder: Path, new: Sequence[Version] = ()) -> Iterator[str]:
    current, past = current_ids(folder), published(folder)
    for version in new:
        past.setdefault(version.name, []).append(version)
    used = Counter(version.id for found in past.values() for version in found)
    yield from (f"id {number} stands for {count} versions" for number, count in used.items() if count > 1)
    for name, found in past.items():
        if name not in current:
            yield f"{name}: published, but without a current schema"
        if [version.number for version in found] != list(range(1, len(found) + 1)):
            yield f"{name}: its versions are not numbered 1, 2, 3 …"
        for place, version in enumerate(found):
            yield from incompatibilities(version, found[:place])


def _current_problems(folder: Path) -> Iterator[str]:
    past = published(folder)
    for name, number in current_ids(folder).items():
        found = past.get(name)
        if not found:
            yield f"{name}: not published (python -m schemas.publish)"
        elif found[-1].schema != current_schema(name, folder):
            yield f"{name}: differs from its newest published version (python -m schemas.publish)"
        elif found[-1].id != number:
            yield f"{name}: ids.json says {number}, its newest published version is {found[-1].id}"


def publish(folder: Path = SCHEMAS_DIR) -> list[Version]:
    """Keep every current schema that is not the newest published version as a new one, and return those.

    Raises HistoryError, and writes nothing, when one is not FULL_TRANSITIVE compatible or the history is unsound.
    """
    ids = current_ids(folder)
    new = list(_unpublished(folder, ids))
    reasons = "\n".join(_history_problems(folder, new))
    if reasons:
        raise HistoryError(reasons)
    for version in new:
        _keep(version, folder)
    stated = ids | {version.name: version.id for version in new}
    (folder / "avro" / "ids.json").write_text(json.dumps(stated, indent=2) + "\n")
    return new


def _unpublished(folder: Path, ids: dict[str, int]) -> Iterator[Version]:
    """What `publish` has to keep: a first version under the id that ids.json gives it, a later one under a new id."""
    past = published(folder)
    free = max(version.id for version in versions(folder)) + 1
    for name, number in ids.items():
        found, schema = past.get(name, []), current_schema(name, folder)
        if not found:
            yield Version(name, 1, number, schema)
        elif found[-1].schema != schema:
            yield Version(name, len(found) + 1, free, schema)
            free += 1


def _keep(version: Version, folder: Path) -> None:
    path = folder / version.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((folder / "avro" / f"{version.name}.avsc").read_bytes())


def main() -> None:
    """Publish what has changed, and say so. Exits with the reasons when a change is not compatible."""
    try:
        new = publish()
    except HistoryError as error:
        raise SystemExit(str(error)) from None
    for version in new:
        print(f"{version.name} version {version.number} is id {version.id}")


if __name__ == "__main__":
    main()
