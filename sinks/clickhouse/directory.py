"""Tables `channels`, `subjects` and `members`: whose figures the others hold, who is above whom, and who certifies."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from carbon.registry import Registry
from carbon.subjects import owners, regions
from consensus.log.committee import Committee
from consensus.log.genesis import Genesis
from sinks.clickhouse import engine
from sinks.clickhouse.rows import TIME

ALWAYS, STILL = 0, 10_413_791_999_999
"""1970, and the last moment that ClickHouse can show, ms UTC: a row without another beginning or end."""

_TEXTS = pa.list_(pa.string())
CHANNELS = pa.schema(
    [("channel", pa.string()), ("name", pa.string()), ("clock", pa.string()), ("utc_offset_minutes", pa.int32())]
)
SUBJECTS = pa.schema(
    [
        ("channel", pa.string()),
        ("first", pa.uint64()),
        *((name, pa.string()) for name in ("subject", "name", "kind", "sector")),
        ("start", TIME),
        ("end", TIME),
        ("owners", _TEXTS),
        ("regions", _TEXTS),
    ]
)
MEMBERS = pa.schema(
    [
        ("channel", pa.string()),
        ("epoch", pa.uint32()),
        ("first", pa.uint64()),
        ("index", pa.uint32()),
        ("member", pa.string()),
        ("role", pa.string()),
    ]
)


def subject_rows(registry: Registry) -> Iterator[dict[str, Any]]:
    """A row of each subject for each time between two changes of who is above it."""
    starts = {tenure.start for subject in registry.subjects.values() for tenure in subject.parents}
    times = [ALWAYS, *sorted(starts - {ALWAYS}), STILL]
    for subject in registry.subjects.values():
        facts = {"subject": subject.id, "name": subject.name, "kind": subject.kind, "sector": subject.sector or ""}
        rows: list[dict[str, Any]] = []
        for start, end in pairwise(times):
            above = _above(subject.id, start, registry)
            if rows and above.items() <= rows[-1].items():
                rows[-1]["end"] = end
            else:
                rows.append(facts | above | {"start": start, "end": end})
        yield from rows


def _above(subject: str, at_ms: int, registry: Registry) -> dict[str, list[str]]:
    lines = {"owners": owners(subject, at_ms, registry)[1:], "regions": regions(subject, at_ms, registry)[1:]}
    regional = {name: registry.subjects[name].regional for line in lines.values() for name in line}
    return {
        "owners": [name for name in lines["owners"] if not regional[name]],
        "regions": [name for name in lines["regions"] if regional[name]],
    }


def member_rows(committee: Committee) -> Iterator[dict[str, Any]]:
    """A row of each member of a committee."""
    for member in committee.members:
        place = {"epoch": committee.epoch, "first": committee.first, "index": member.index}
        yield place | {"member": member.name, "role": member.role}


class Directory:
    """What these tables are told, each registry and committee once in a life of the sink."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._told: set[str] = set()

    def flush(self, client: Any, registries: Mapping[int, Registry], committees: Sequence[Committee]) -> None:
        """Write what was not written yet. `registries` are by the height from which each is in force."""
        genesis = self._genesis
        channel = {"name": genesis.channel, "clock": genesis.clock, "utc_offset_minutes": genesis.utc_offset_minutes}
        self._tell(client, "channels", CHANNELS, [channel], "channel")
        for first, registry in registries.items():
            rows = [row | {"first": first} for row in subject_rows(registry)]
            self._tell(client, "subjects_log", SUBJECTS, rows, f"registry:{first}")
        for committee in committees:
            self._tell(client, "members", MEMBERS, list(member_rows(committee)), f"epoch:{committee.epoch}")

    def _tell(self, client: Any, table: str, schema: pa.Schema, rows: list[dict[str, Any]], what: str) -> None:
        if rows and what not in self._told:
            channel = {"channel": self._genesis.digest.hex()}
            engine.insert(client, table, pa.Table.from_pylist([row | channel for row in rows], schema), [what])
            self._told.add(what)
