"""Replay of SimBench: a year of quarter hours of power plants and loads, as the energy of each quarter hour in Wh.

Rated MW × profile × 250,000 is that energy, in decimal and unrounded. The set's clock is German local time with
daylight saving and no offset, so its text can't be read: row i is 2015-12-31T23:00Z + i · 15 min, leap year included.
The package's own import needs a grid calculator, so only its files are found, through the package metadata.

Beside the real readings the replay carries what its settings plant, and leaves out what they name as a gap.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from carbon.packet import MAX_READINGS
from streams.edge.sources import Block, RawReading

PACKAGE = "simbench"
FOLDER = "simbench/networks/1-complete_data-mixed-all-0-sw"
FIRST_MS = 1_451_602_800_000
"""2015-12-31T23:00Z, the first row: 00:00 of 2016 in Germany."""
STEP_MS = 900_000
ROWS = 35_136
WH_PER_MW_STEP = 250_000

Table = Literal["PowerPlant", "Load"]


class SourceError(Exception):
    """The data set is not installed, or has no such unit."""


class Unit(NamedTuple):
    """A power plant or load: its SimBench name, its rating in MW as written, its profile's column, its type."""

    name: str
    rating: str
    column: str
    type: str


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Meter(_Settings):
    """A point and the SimBench unit that it meters."""

    point: str
    table: Table
    name: str


class Planted(_Settings):
    """A bad reading beside the real ones, in the packet whose span holds `carried`. Times in ms UTC, value in Wh.

    With `repeat` it is the real reading of (point, at) again; otherwise it has `value`, None for not a number.
    """

    point: str
    at: int
    carried: int
    value: int | None = None
    repeat: bool = False


class Gap(_Settings):
    """A stretch [start, end) in ms UTC of a point that is left out."""

    point: str
    start: int
    end: int


class ReplaySettings(_Settings):
    """What one gateway replays: `rows` quarter hours of its meters, a packet for every `span_seconds` of them.

    After the last one comes an empty packet at `until`, ms UTC, so that the last windows close.
    """

    meters: tuple[Meter, ...]
    rows: int
    span_seconds: int
    until: int
    planted: tuple[Planted, ...] = ()
    gaps: tuple[Gap, ...] = ()


def path(file: str) -> Path:
    """The path of one of the data set's files. Raises SourceError."""
    try:
        found = Path(str(metadata.distribution(PACKAGE).locate_file(f"{FOLDER}/{file}.csv")))
    except metadata.PackageNotFoundError:
        found = Path()
    if not found.is_file():
        raise SourceError(f"the data set {PACKAGE} is not installed: it is locked in requirements-data.lock")
    return found


@cache
def units(table: Table) -> Mapping[str, Unit]:
    """The units of a table by name; import rows are left out, they are not metered units."""
    plant = table == "PowerPlant"
    with path(table).open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter=";") if not row["profile"].startswith("imp")]
    if plant:
        return {row["id"]: Unit(row["id"], row["pPP"], row["profile"], row["type"]) for row in rows}
    return {row["id"]: Unit(row["id"], row["pLoad"], f"{row['profile']}_pload", "load") for row in rows}


def unit(table: Table, name: str) -> Unit:
    """The unit of that name. Raises SourceError."""
    try:
        return units(table)[name]
    except KeyError:
        raise SourceError(f"no unit {name!r} in SimBench's {table}.csv") from None


class _Column(NamedTuple):
    """A point, the place of its profile in a row, and the Wh that a profile of 1 means."""

    point: str
    place: int
    factor: Decimal


Profiles = Sequence[tuple[Iterator[list[str]], Sequence[_Column]]]
"""For every profile file that is needed: its rows, and the columns wanted of them."""


class SimbenchReplay:
    """The source of one gateway's replay. A position is the number of blocks that were given."""

    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings
        self._span_rows = settings.span_seconds * 1000 // STEP_MS
        if not 0 < self._span_rows * len(settings.meters) + len(settings.planted) <= MAX_READINGS:
            raise SourceError(
                f"a packet holds 1 to {MAX_READINGS} readings: a span of {settings.span_seconds} s does not"
            )
        if not 0 <= settings.rows <= ROWS:
            raise SourceError(f"the data set has {ROWS} quarter hours, not {settings.rows}")
        self._repeated = {(p.point, p.at) for p in settings.planted if p.repeat}

    def blocks(self, after: str) -> Iterator[Block]:
        """A block for every span behind position `after`, and an empty one at the end."""
        done = int(after or 0)
        last = -(-self._settings.rows // self._span_rows)
        if done < last:
            with ExitStack() as stack:
                yield from islice(self._spans(self._open(stack)), done, None)
        if done <= last:
            yield Block((), self._settings.until, str(last + 1))

    def _open(self, stack: ExitStack) -> Profiles:
        tables = sorted({meter.table for meter in self._settings.meters})
        files = [stack.enter_context(path(f"{table}Profile").open(newline="")) for table in tables]
        readers = [csv.reader(file, delimiter=";") for file in files]
        return [(rows, self._columns(table, next(rows))) for table, rows in zip(tables, readers, strict=True)]

    def _columns(self, table: Table, header: list[str]) -> Sequence[_Column]:
        places = {name: place for place, name in enumerate(header)}
        metered = [(m.point, unit(m.table, m.name)) for m in self._settings.meters if m.table == table]
        return [_Column(point, places[u.column], Decimal(u.rating) * WH_PER_MW_STEP) for point, u in metered]

    def _spans(self, profiles: Profiles) -> Iterator[Block]:
        originals: dict[tuple[str, int], Decimal | None] = {}
        for number, first in enumerate(range(0, self._settings.rows, self._span_rows)):
            start = FIRST_MS + first * STEP_MS
            end = start + min(self._span_rows, self._settings.rows - first) * STEP_MS
            readings = [reading for at in range(start, end, STEP_MS) for reading in _row(profiles, at)]
            # most spans hold neither: a look at every reading of them would be half of the replay's work
            if again := {slot for slot in self._repeated if start <= slot[1] < end}:
                originals |= {(r.point, r.at): r.value for r in readings if (r.point, r.at) in again}
            if gaps := [gap for gap in self._settings.gaps if gap.start < end and start < gap.end]:
                readings = [reading for reading in readings if not _left_out(reading, gaps)]
            yield Block(readings + self._planted(start, end, originals), end, str(number + 1))

    def _planted(self, start: int, end: int, originals: Mapping[tuple[str, int], Decimal | None]) -> list[RawReading]:
        here = [p for p in self._settings.planted if start <= p.carried < end]
        return [RawReading(p.point, p.at, originals[p.point, p.at] if p.repeat else _decimal(p.value)) for p in here]


def _left_out(reading: RawReading, gaps: Sequence[Gap]) -> bool:
    return any(gap.point == reading.point and gap.start <= reading.at < gap.end for gap in gaps)


def _row(profiles: Profiles, at: int) -> Iterator[RawReading]:
    for rows, columns in profiles:
        row = next(rows)
        yield from (RawReading(column.point, at, Decimal(row[column.place]) * column.factor) for column in columns)


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)
