"""What two registries don't have in common: entry by entry, and of a changed one field by field."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from carbon.amendment import SECTIONS
from carbon.registry import Registry

ALL = "channel"
"""Stands for a section where something is said once for all: prefix and time limits."""

Entry = Mapping[str, Any]


class Difference(NamedTuple):
    """One thing that is not the same in both, with what the files state.

    Of an entry that only one of them has, `field` is empty and the entry stands whole, but a factor set's tables by
    name. A field within a field is named with a dot.
    """

    section: str
    id: str
    what: str
    """`new`, `gone` or `changed`."""
    field: str
    before: Any
    after: Any


def differences(before: Registry, after: Registry) -> list[Difference]:
    """All of them, by section and id, both sorted within the file's order of sections."""
    was, stands = json.loads(before.file), json.loads(after.file)
    found = list(_changed(ALL, "", _single(was), _single(stands)))
    for section in SECTIONS:
        entries, others = _by_id(was, section), _by_id(stands, section)
        for name in sorted({*entries, *others}):
            found += _of_entry(section, name, entries.get(name), others.get(name))
    return found


def _single(raw: Entry) -> Entry:
    return {name: value for name, value in raw.items() if name not in SECTIONS}


def _by_id(raw: Entry, section: str) -> dict[str, Entry]:
    return {entry["id"]: _without_tables(entry) for entry in raw.get(section, ())}


def _without_tables(entry: Entry) -> Entry:
    return entry if "files" not in entry else {**entry, "files": sorted(entry["files"])}


def _of_entry(section: str, name: str, before: Entry | None, after: Entry | None) -> Iterator[Difference]:
    if before is None or after is None:
        yield Difference(section, name, "new" if before is None else "gone", "", before, after)
    else:
        yield from _changed(section, name, before, after)


def _changed(section: str, name: str, before: Entry, after: Entry, within: str = "") -> Iterator[Difference]:
    for field in sorted({*before, *after}):
        was, stands = before.get(field), after.get(field)
        if isinstance(was, dict) and isinstance(stands, dict):
            yield from _changed(section, name, was, stands, f"{within}{field}.")
        elif was != stands:
            yield Difference(section, name, "changed", f"{within}{field}", was, stands)
