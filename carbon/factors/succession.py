"""The sets that a registry knows: the shipped one, and those that records of the ledger put after it, in their order.

The newest is in force. The others stay, so that what was computed with them can be computed again.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from carbon.factors import FactorError, FactorSet, factor_set

MOST_BYTES = 262_144
"""Of the tables of a set: it comes in one record."""


def succession(shipped: FactorSet, entries: Sequence[Mapping[str, Any]]) -> tuple[FactorSet, ...]:
    """All sets of a registry's entries {id: version, from: day, files: {name: text}}. Raises FactorError."""
    sets = [shipped]
    for entry in entries:
        sets.append(_next(sets, entry))
    return tuple(sets)


def entry_of(version: str, start: date, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The entry of a set of these tables. Raises FactorError for tables that are not as they should be."""
    made = FactorSet(version, start, files)
    return {
        "id": version,
        "from": start.isoformat(),
        "files": {name: data.decode() for name, data in made.files.items()},
    }


def _next(sets: Sequence[FactorSet], entry: Mapping[str, Any]) -> FactorSet:
    if set(entry) != {"id", "from", "files"} or type(entry["id"]) is not str:
        raise FactorError(f"a factor set has an id, the day from which it is valid and its files, not {sorted(entry)}")
    files = tuple((str(name), text.encode()) for name, text in sorted(entry["files"].items()))
    if sum(len(data) for _, data in files) > MOST_BYTES:
        raise FactorError(f"the tables of {entry['id']} have more than {MOST_BYTES} bytes")
    made = factor_set(entry["id"], date.fromisoformat(entry["from"]), files)
    if any(made.version == known.version or made.digest == known.digest for known in sets):
        raise FactorError(f"the set {made.version} is known, or its tables are: a set never changes")
    if made.start < sets[-1].start:
        raise FactorError(f"the set {made.version} is valid from {made.start}, before {sets[-1].version}")
    return made
