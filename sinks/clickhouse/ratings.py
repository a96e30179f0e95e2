"""Rows of table `ratings_log`: the regulator's grades and colours, by the same pure rules and from the same ledger.

They stand as of the last block that a flush wrote, as balances do; only what changed is written. After a restart what
they rest on is made again of the tables: records by subject and day, and the payloads of all accepted submissions.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from carbon import submission as submissions
from carbon.calendar import DAY_MS
from carbon.ledger.book import Book
from carbon.ledger.books import Taken
from carbon.ledger.structure import Structure
from carbon.registry import Registry
from carbon.regulator.oversight import Oversight, yearly
from carbon.regulator.statements import Statements
from carbon.submission import Submission
from sinks.clickhouse import engine
from sinks.clickhouse.rows import TIME

_KEY = [("region", pa.string()), ("year", pa.int32()), ("subject", pa.string())]
_RATED = [
    ("sector", pa.string()),
    ("emission_g", pa.int64()),
    ("verified", pa.uint8()),
    ("product", pa.string()),
    ("g_per_unit", pa.float64()),
    ("place", pa.uint32()),
    ("of", pa.uint32()),
    ("t_per_10000_cny", pa.float64()),
    ("grade", pa.string()),
    ("grade_why", pa.string()),
    ("grade_standing", pa.string()),
    ("colour", pa.string()),
    ("colour_why", pa.string()),
    ("colour_standing", pa.string()),
    ("from_memory", pa.string()),
]
RATINGS = pa.schema([*_KEY, *_RATED, ("gone", pa.uint8()), ("height", pa.uint64()), ("time", TIME)])

Key = tuple[str, int, str]
"""Region, year and subject."""
Rated = tuple[Any, ...]
"""The fields of `_RATED`."""

_DAYS = """SELECT subject, day, sum(grams) FROM
(
    SELECT
        argMax(subject, version) AS subject, argMax(emission_g, version) AS grams,
        intDiv(toUnixTimestamp64Milli(window_start) + {offset:Int64}, {day:Int64}) AS day
    FROM records
    WHERE verdict = 'accepted' AND height <= {height:UInt64} AND splitByString(' · ', rule)[1] != 'none'
    GROUP BY point, window_start
)
GROUP BY subject, day"""
_ACCEPTED = """SELECT payload, toUnixTimestamp64Milli(time) FROM submissions_log FINAL
WHERE verdict = 'accepted' AND height <= {height:UInt64} ORDER BY leaf_index"""


class Overseer:
    """What a regulator's figures rest on, block after block, and the ratings that stand in the table."""

    def __init__(self, utc_offset_minutes: int) -> None:
        self._structure, self._statements = Structure(utc_offset_minutes), Statements(utc_offset_minutes)
        self._written: dict[Key, Rated] = {}

    @classmethod
    def resumed(cls, client: Any, height: int, utc_offset_minutes: int) -> "Overseer":
        """The one that goes on after a height."""
        made = cls(utc_offset_minutes)
        asked = {"offset": utc_offset_minutes * 60_000, "day": DAY_MS, "height": height}
        for subject, day, grams in client.query(_DAYS, parameters=asked).result_rows:
            made._structure.days.setdefault(subject, {})[day] = grams
        for payload, time_ms in client.query(_ACCEPTED, parameters={"height": height}).result_rows:
            made.submission(submissions.read(bytes.fromhex(payload)), time_ms)
        names = ", ".join(f"`{name}`" for name, _ in (*_KEY, *_RATED))
        for region, year, subject, *rated in client.query(f"SELECT {names} FROM ratings").result_rows:
            made._written[region, year, subject] = tuple(rated)
        return made

    def records(self, taken: Taken) -> None:
        """Take in the accepted window records of a block."""
        if taken.plain is not None:
            self._structure.plain(taken.plain, taken.together)
        for one in taken.singly:
            self._structure.record(one.fields)

    def submission(self, submission: Submission, time_ms: int) -> None:
        """Take in an accepted submission, in a block of that time (ms UTC)."""
        self._statements.take(submission, time_ms)
        self._structure.submission(submission)

    def write(self, client: Any, registry: Registry, book: Book, height: int, time_ms: int) -> None:
        """Write the ratings that are others than those in the table."""
        stands = dict(self._rated(registry, book, time_ms))
        changed = {key: rated for key, rated in stands.items() if self._written.get(key) != rated}
        gone = self._written.keys() - stands.keys()
        where = {"height": height, "time": time_ms}
        rows = [_row(key, rated) | {"gone": 0} | where for key, rated in changed.items()]
        rows += [_row(key, self._written[key]) | {"gone": 1} | where for key in sorted(gone)]
        if rows:
            engine.insert(client, "ratings_log", pa.Table.from_pylist(rows, RATINGS), [f"ratings:{height}"])
        self._written = stands

    def _rated(self, registry: Registry, book: Book, time_ms: int) -> Iterator[tuple[Key, Rated]]:
        emissions, recorded = yearly(self._structure.days)
        years = sorted({year for _, year in (*emissions, *self._statements.years)})
        for region in (subject.id for subject in registry.subjects.values() if subject.regional):
            for year in years:
                stands = (registry, book, self._statements, emissions, recorded)
                yield from _rows(Oversight(region, year, time_ms, *stands))


def _rows(found: Oversight) -> Iterator[tuple[Key, Rated]]:
    standing = {f"{name}_standing": found.statements.rules[name].standing for name in ("grade", "colour")}
    for row in found.ranking():
        intensities = {name: row[name] and float(row[name]) for name in ("g_per_unit", "t_per_10000_cny")}
        texts = {name: row[name] or "" for name in ("sector", "product")}
        shown = row | standing | intensities | texts | {"verified": int(row["verified"]), "colour_why": row["why"]}
        yield (found.region, found.year, row["subject"]), tuple(shown[name] for name, _ in _RATED)


def _row(key: Key, rated: Rated) -> dict[str, Any]:
    return dict(zip((name for name, _ in (*_KEY, *_RATED)), (*key, *rated), strict=True))
