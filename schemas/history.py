"""Every version of every schema that was ever published, each under an id of its own that never means anything else.

`schemas/avro/<name>.avsc` is the current schema and `ids.json` its id; `schemas/history/<name>/v<n>-id<id>.avsc` keeps
what was published. A leaf of the ledger names the schema id of its payload, so a published file is never edited and
never removed: a change is a new version (`schemas.publish`), and an old id stays decodable for ever.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SCHEMAS_DIR = Path(__file__).parent
_FILE = re.compile(r"v([1-9][0-9]*)-id([1-9][0-9]*)\.avsc")


class HistoryError(ValueError):
    """Schemas that do not stand to their history as they must."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one schema: the `number`-th of `name`, on the wire under `id`."""

    name: str
    number: int
    id: int
    schema: Any

    @property
    def path(self) -> str:
        """Its file, relative to the folder of the schemas."""
        return f"history/{self.name}/v{self.number}-id{self.id}.avsc"


def current_ids(folder: Path = SCHEMAS_DIR) -> dict[str, int]:
    """Schema name to the id of its current version, as `ids.json` states it."""
    ids: dict[str, int] = json.loads((folder / "avro" / "ids.json").read_text())
    return ids


def current_schema(name: str, folder: Path = SCHEMAS_DIR) -> Any:
    """The current Avro schema `name` as its file states it."""
    return json.loads((folder / "avro" / f"{name}.avsc").read_text())


def published(folder: Path = SCHEMAS_DIR) -> dict[str, list[Version]]:
    """The published versions of each schema, oldest first. Raises HistoryError on a file of another name."""
    found: dict[str, list[Version]] = {}
    for path in (folder / "history").glob("*/*"):
        version = _read(path)
        found.setdefault(version.name, []).append(version)
    return {name: sorted(found[name], key=lambda version: version.number) for name in sorted(found)}


def _read(path: Path) -> Version:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise HistoryError(f"{path.parent.name}/{path.name}: not named v<number>-id<id>.avsc")
    return Version(path.parent.name, int(match[1]), int(match[2]), json.loads(path.read_text()))


def versions(folder: Path = SCHEMAS_DIR) -> list[Version]:
    """Every version by id: the published ones, and a current one that was not published yet (while it is drafted)."""
    past = published(folder)
    known = {version.id: version for version in _flat(past)}
    for name, number in current_ids(folder).items():
        known.setdefault(number, Version(name, len(past.get(name, ())) + 1, number, current_schema(name, folder)))
    return [known[number] for number in sorted(known)]


@cache
def all_versions() -> tuple[Version, ...]:
    """Every version of the product's own schemas by id, read once."""
    return tuple(versions())


def _flat(past: dict[str, list[Version]]) -> Iterable[Version]:
    return (version for found in past.values() for version in found)
