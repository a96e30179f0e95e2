"""The rows of a table of factors: read from CSV and checked, each error with file, line and what is wrong.

Columns: name, value, unit, source, clause, confidence, kind; and where they are needed ncv_kj, from and until.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from carbon.factors import units
from carbon.quantity import number

COLUMNS = ["name", "value", "unit", "source", "clause", "confidence", "kind"]
MORE = ["ncv_kj", "from", "until"]
"""Columns that a table need not have: kJ in a kilogram or m3, and the days from and until which a row is valid."""
STANDARD_COAL_KJ = Fraction("29307.6")
"""In a kilogram of standard coal (GB/T 2589-2020)."""
TOLERANCE = Fraction(1, 1000)
_FILE = re.compile(r"[a-z][a-z0-9_]{0,63}\.csv")
_NAME = re.compile(r"[A-Za-z0-9_.]{1,128}")
_RANGE = re.compile(r"([0-9.]+)-([0-9.]+)")
_PER_HEAT = {"kgce/kWh": Fraction(3600), "kgce/MJ": Fraction(1000)}
"""Units of standard coal for energy, and the kJ in them."""

Parsed = Fraction | tuple[Fraction, ...] | date | str


class FactorError(ValueError):
    """A factor that is missing, not what it says it is, of a wrong unit, or not trusted enough."""


@dataclass(frozen=True)
class Factor:
    """One row: `table.name`, its text value and unit, and where it is from.

    `parsed` is the value by its `kind`: number, range (two), list, date or text. Valid from `start` until before `end`.
    """

    table: str
    name: str
    value: str
    unit: str
    source: str
    clause: str
    confidence: str
    kind: str
    parsed: Parsed
    start: date | None = None
    end: date | None = None

    @property
    def id(self) -> str:
        """`table.name`."""
        return f"{self.table}.{self.name}"

    def is_valid(self, day: date) -> bool:
        """Whether it is valid on a day."""
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)


def read(file: str, data: bytes) -> list[Factor]:
    """The rows of a table, checked. Raises FactorError, whose message begins with file and line."""
    if not _FILE.fullmatch(file):
        raise FactorError(f"{file}:1: a table is a file of small letters, digits and _, ending in .csv")
    found: dict[str, Factor] = {}
    for line, cells in _lines(file, data):
        try:
            row = _row(file.removesuffix(".csv"), cells)
            if row.name in found:
                raise FactorError(f"a second row named {row.name!r}")
        except ValueError as error:
            raise FactorError(f"{file}:{line}: {error}") from None
        found[row.name] = row
    return list(found.values())


def _lines(file: str, data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        head = next(reader, [])
        if head[: len(COLUMNS)] != COLUMNS or head[len(COLUMNS) :] != [c for c in MORE if c in head]:
            raise FactorError(f"{file}:1: columns {head}: wanted {COLUMNS}, then of {MORE} those that are needed")
        for cells in reader:
            if len(cells) != len(head):
                raise FactorError(f"{file}:{reader.line_num}: {len(cells)} cells under {len(head)} columns")
            yield reader.line_num, dict(zip(head, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FactorError(f"{file}: no CSV in UTF-8: {error}") from None


def _row(table: str, cells: Mapping[str, str]) -> Factor:
    if not _NAME.fullmatch(cells["name"]):
        raise FactorError(f"the name {cells['name']!r} is not of letters, digits, _ and .")
    if cells["confidence"] not in ("A", "B", "C", "D"):
        raise FactorError(f"confidence is A, B, C or D, not {cells['confidence']!r}")
    if cells["kind"] not in _PARSERS:
        raise FactorError(f"kind is one of {', '.join(_PARSERS)}, not {cells['kind']!r}")
    parsed = _PARSERS[cells["kind"]](cells["value"])
    _check_unit(cells["kind"], cells["unit"])
    _check_standard_coal(cells, parsed)
    start, end = (_day(cells[day]) if cells.get(day) else None for day in ("from", "until"))
    if start and end and start >= end:
        raise FactorError(f"valid from {start} until {end}: never")
    texts = {column: cells[column] for column in COLUMNS}
    return Factor(table=table, **texts, parsed=parsed, start=start, end=end)


def _number(text: str) -> Fraction:
    value = number(text)
    if value < 0:
        raise FactorError(f"the value {text} is negative")
    return value


def _range(text: str) -> tuple[Fraction, ...]:
    ends = _RANGE.fullmatch(text)
    if ends is None:
        raise FactorError(f"{text!r} is not a range: write 5-30")
    low, high = (_number(end) for end in ends.groups())
    if low >= high:
        raise FactorError(f"the range {text} is empty")
    return low, high


def _list(text: str) -> tuple[Fraction, ...]:
    return tuple(_number(item) for item in text.split(","))


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise FactorError(f"{text!r} is not a date: write 2024-12-31") from None
    if day.isoformat() != text:
        raise FactorError(f"{text!r} is not a date: write {day}")
    return day


def _text(text: str) -> str:
    if not text.strip():
        raise FactorError("the value is empty")
    return text


_PARSERS: Mapping[str, Callable[[str], Parsed]] = {
    "number": _number,
    "range": _range,
    "list": _list,
    "date": _day,
    "text": _text,
}
"""By kind."""


def _check_unit(kind: str, unit: str) -> None:
    fits = unit == units.DATE if kind == "date" else units.is_known(unit)
    if not fits and not (kind == "text" and unit in (units.NONE, units.DATE)):
        raise FactorError(f"a {kind} is in {unit!r}, which is not in the table of units")


def _check_standard_coal(cells: Mapping[str, str], parsed: Parsed) -> None:
    """A coefficient of standard coal is the heat of the same row over 29307.6 kJ, within 0.1 % (GB/T 2589-2020).

    Copies of the table in the wild have dropped digits.
    """
    unit, stated = cells["unit"], cells.get("ncv_kj", "")
    if not isinstance(parsed, Fraction) or unit not in ("kgce/kg", "kgce/m3", *_PER_HEAT):
        if stated:
            raise FactorError(f"ncv_kj belongs to a number in kgce/kg or kgce/m3, not in {unit}")
        return
    if unit in _PER_HEAT:
        heat = _PER_HEAT[unit]
    elif not stated:
        raise FactorError(f"a coefficient in {unit} states the NCV that it rests on as ncv_kj")
    else:
        heat = _number(stated)
    wanted = heat / STANDARD_COAL_KJ
    if abs(parsed - wanted) > TOLERANCE * wanted:
        raise FactorError(
            f"{cells['value']} {unit} is more than 0.1 % off {float(wanted):.5f}, which {heat} kJ / 29307.6 kJ gives"
        )
