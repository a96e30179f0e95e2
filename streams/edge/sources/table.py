"""Replay of a table, CSV or Parquet: a column a point, or a column that names the point.

Memory holds one packet's readings and one batch of rows, whatever the file's size. A position is the rows that were
read and the latest event time among them, ms UTC, which is also a packet's sending time. What is wrong with a row or a
value is counted by reason and left out: not_a_row, bad_time, ambiguous_time, unknown_point, no_value, not_a_number,
bad_flag.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from carbon.packet import AT_LIMIT, MAX_READINGS
from streams.edge.message import RefusedError, number
from streams.edge.packing import scaled
from streams.edge.sources import Block, RawReading
from streams.edge.sources.refusals import Refusals
from streams.edge.sources.simbench import SourceError

BATCH_ROWS = 4_096
LINE_LIMIT = 1 << 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=460, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Holds the digits of any number's text times any scale."""
Row = Mapping[str, Any]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimeColumn(_Settings):
    """Where a row's time stands and how: `ms` or `s` since the epoch, `iso`, or a format of strptime.

    `zone` is that of times that state none, an IANA name or an offset such as +08:00. Typed times of Parquet need no
    format.
    """

    column: str
    format: str = "iso"
    zone: str = "UTC"

    @model_validator(mode="after")
    def _known_zone(self) -> Self:
        self.tz()
        return self

    def tz(self) -> tzinfo:
        """The zone. Raises ValueError."""
        if self.zone[:1] in "+-":
            return datetime.strptime(self.zone, "%z").tzinfo or UTC
        try:
            return ZoneInfo(self.zone)
        except (KeyError, OSError) as error:
            raise ValueError(f"no time zone {self.zone!r}") from error


class Column(_Settings):
    """A registered point, and what one unit of the table's number is in the point's unit."""

    point: str
    scale: Annotated[Decimal, Field(max_digits=18, allow_inf_nan=False)] = Decimal(1)


class Named(_Settings):
    """The columns of a table that has a row for every reading: the point's name, its value, its flag."""

    name: str
    value: str
    flag: str | None = None


class TableSettings(_Settings):
    """A table to replay. `points` maps columns, or with `rows` the names in column `rows.name`, to points.

    After the last row comes an empty packet at `until`, so that the last windows close.
    """

    kind: Literal["table"] = "table"
    path: Path
    format: Literal["csv", "parquet"]
    time: TimeColumn
    points: dict[str, Column] = Field(min_length=1, max_length=MAX_READINGS)
    rows: Named | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    packet: int = Field(default=500, ge=1, le=MAX_READINGS)
    until: AwareDatetime | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        named = self.rows and [self.rows.name, self.rows.value, *([self.rows.flag] if self.rows.flag else [])]
        return list(dict.fromkeys([self.time.column, *(named or self.points)]))


class Position(NamedTuple):
    """Rows that were read, and the latest event time of them, ms UTC."""

    rows: int = 0
    latest: int = 0

    @classmethod
    def load(cls, text: str) -> "Position":
        """The position of a text that `dump` made; the beginning for an empty one."""
        return cls(*map(int, text.split()))

    def dump(self) -> str:
        """The position as text."""
        return f"{self.rows} {self.latest}"


class TableReplay:
    """The source of one table."""

    def __init__(self, settings: TableSettings) -> None:
        self._settings = settings
        self._zone = settings.time.tz()
        self.refusals = Refusals(f"table {settings.path.name}")

    def blocks(self, after: str) -> Iterator[Block]:
        """Packets of whole rows behind position `after`, then the empty one. Raises SourceError."""
        position = Position.load(after)
        gathered: list[RawReading] = []
        for row in self._rows(position.rows):
            new = self._readings(row, position.rows + 1)
            if gathered and len(gathered) + len(new) > self._settings.packet:
                yield Block(gathered, position.latest, position.dump())
                gathered = []
            gathered += new
            position = Position(position.rows + 1, max([position.latest, *(reading.at for reading in new)]))
        if gathered:
            yield Block(gathered, position.latest, position.dump())
        if self._settings.until is not None and (until := _milliseconds(self._settings.until)) > position.latest:
            yield Block((), until, Position(position.rows, until).dump())

    def _rows(self, skipped: int) -> Iterator[Row | None]:
        try:
            yield from (_csv if self._settings.format == "csv" else _parquet)(self._settings, skipped)
        except (OSError, LookupError, csv.Error, pa.ArrowException) as error:
            raise SourceError(f"{self._settings.path.name} can't be read: {error}") from error

    def _readings(self, row: Row | None, place: int) -> list[RawReading]:
        """The readings of a row, without what is wrong with it."""
        if row is None:
            self.refusals.count("not_a_row", f"row {place}")
            return []
        rows = self._settings.rows
        try:
            at = self._time(row[self._settings.time.column])
        except RefusedError as error:
            self.refusals.count(error.reason, f"row {place}: {error.detail}")
            return []
        cells = [(row[rows.name], row[rows.value])] if rows else [(name, row[name]) for name in self._settings.points]
        flag = row[rows.flag] if rows and rows.flag else "N"
        found = []
        for name, cell in cells:
            try:
                found.append(self._reading(name, at, cell, flag))
            except RefusedError as error:
                self.refusals.count(error.reason, f"row {place}: {error.detail}")
        return found

    def _reading(self, name: Any, at: int, cell: Any, flag: Any) -> RawReading:
        column = self._settings.points.get(name) if isinstance(name, str) else None
        if column is None:
            raise RefusedError("unknown_point", repr(name))
        if cell is None or cell == "":
            raise RefusedError("no_value", name)
        value = cell if isinstance(cell, Decimal) else number(str(cell) if isinstance(cell, float) else cell)
        if value is None or not value.is_finite():
            raise RefusedError("not_a_number", f"{name}: {cell!r}")
        if not isinstance(flag, str) or len(flag) != 1 or not flag.isascii():
            raise RefusedError("bad_flag", repr(flag))
        return RawReading(column.point, at, _EXACT.multiply(value, column.scale), flag)

    def _time(self, cell: Any) -> int:
        """The instant of a cell, ms UTC. Raises RefusedError `bad_time`, `ambiguous_time`."""
        kind = self._settings.time.format
        if kind in ("ms", "s") and not isinstance(cell, datetime):
            at = scaled(number(cell), 3 if kind == "s" else 0)
        else:
            at = _milliseconds(self._placed(cell))
        if at is None or not 0 <= at < AT_LIMIT:
            raise RefusedError("bad_time", repr(cell))
        return at

    def _placed(self, cell: Any) -> datetime:
        try:
            moment = cell if isinstance(cell, datetime) else self._parsed(cell)
        except (TypeError, ValueError) as error:
            raise RefusedError("bad_time", f"{error}") from error
        if moment.tzinfo is not None:
            return moment
        early, late = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise RefusedError("ambiguous_time", f"{cell} comes twice or never in {self._settings.time.zone}")
        return early

    def _parsed(self, cell: str) -> datetime:
        kind = self._settings.time.format
        return datetime.fromisoformat(cell) if kind == "iso" else datetime.strptime(cell, kind)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _csv(settings: TableSettings, skipped: int) -> Iterator[Row | None]:
    """The rows behind the first `skipped`; None for one that has not the header's number of fields."""
    with settings.path.open(newline="", encoding=settings.encoding, errors="replace") as file:
        # a line without end is cut, and its pieces are rows of another width
        lines = csv.reader(iter(lambda: file.readline(LINE_LIMIT), ""), delimiter=settings.delimiter)
        header = next(lines, [])
        _require(settings.columns, header)
        for number_, fields in enumerate(_fields(lines)):
            if number_ >= skipped:
                fits = len(fields) == len(header)
                yield dict(zip(header, fields, strict=True)) if fits else None


def _fields(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    """What the reader gives; a row without fields for what it can't read."""
    while True:
        try:
            yield next(lines)
        except StopIteration:
            return
        except csv.Error:
            yield []


def _parquet(settings: TableSettings, skipped: int) -> Iterator[Row]:
    """The rows behind the first `skipped`."""
    with pq.ParquetFile(settings.path) as file:
        _require(settings.columns, file.schema_arrow.names)
        for batch in file.iter_batches(BATCH_ROWS, columns=settings.columns):
            if skipped < len(batch):
                rest = batch.slice(skipped)
                columns = [_cells(rest.column(name)) for name in settings.columns]
                yield from (dict(zip(settings.columns, cells, strict=True)) for cells in zip(*columns, strict=True))
            skipped = max(0, skipped - len(batch))


def _cells(column: Any) -> list[Any]:
    """The values of a column: times to the millisecond, a float of 32 bits as the shortest text that means it."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    cells: list[Any] = column.to_pylist()
    if pa.types.is_float32(column.type):
        return [None if cell is None else str(np.float32(cell)) for cell in cells]
    return cells


def _require(wanted: Sequence[str], header: Sequence[str]) -> None:
    if len(set(header)) != len(header):
        raise LookupError("two columns have one name")
    if missing := [name for name in wanted if name not in header]:
        raise LookupError(f"it has no column {missing[0]!r}")
