"""Factor sets: versioned, digested tables of factors, each row with its unit, source and confidence.

Confidence: A read in the official text, B read second-hand, C derived and re-checked, D from memory. A row of
confidence D is refused in a computation unless it is allowed by name. Values are exact fractions.
"""

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import sha256
from importlib import resources

from carbon.quantity import Quantity, QuantityError, number

COLUMNS = ["name", "value", "unit", "source", "clause", "confidence"]

_BY_MATERIAL = {f"tCO2/t {material}": "tCO2/t" for material in ("clinker", "CaO", "MgO")}
"""Units that name what was weighed."""


class FactorError(ValueError):
    """A factor that is missing, not a number, of a wrong unit, or not trusted enough."""


@dataclass(frozen=True)
class Factor:
    """One row: `table.name`, its text value and unit, and where it is from."""

    table: str
    name: str
    value: str
    unit: str
    source: str
    clause: str
    confidence: str


class FactorSet:
    """A set of factors by `table.name`, with the digest (32 bytes) of its files."""

    def __init__(self, version: str, files: dict[str, bytes]) -> None:
        self.version = version
        self.digest = sha256(
            b"".join(name.encode() + b"\0" + sha256(data).digest() for name, data in sorted(files.items()))
        ).digest()
        self._rows = {f"{row.table}.{row.name}": row for name, data in files.items() for row in _rows(name, data)}

    def row(self, name: str) -> Factor:
        """The row named `table.name`. Raises FactorError."""
        try:
            return self._rows[name]
        except KeyError:
            raise FactorError(f"no factor {name!r} in set {self.version}") from None

    def trusted(self, name: str, allowed: Collection[str] = ()) -> Factor:
        """The row named `table.name`; one of confidence D only when `allowed` names it. Raises FactorError."""
        row = self.row(name)
        if row.confidence not in "ABC" and name not in allowed:
            raise FactorError(f"{name} has confidence {row.confidence}: allow it by name to use it")
        return row

    def quantity(self, name: str, unit: str, allowed: Collection[str] = ()) -> Quantity:
        """The value of a row, exact, of the dimension of `unit`. Raises FactorError; a D row only when `allowed`."""
        row = self.trusted(name, allowed)
        try:
            found = Quantity.of(number(row.value), _BY_MATERIAL.get(row.unit, row.unit))
            found.to(unit)
        except QuantityError as error:
            raise FactorError(f"{name} is {row.value} {row.unit}: {error}") from None
        return found

    def value(self, name: str, unit: str, allowed: Collection[str] = ()) -> Fraction:
        """The value of a row, exact, in `unit`. Raises FactorError; a D row only when `allowed` names it.

        The unit is one that `carbon.quantity` converts the row's to, or the row's own.
        """
        row = self.trusted(name, allowed)
        if row.unit != unit:
            return self.quantity(name, unit, allowed).to(unit)
        try:
            return number(row.value)
        except QuantityError as error:
            raise FactorError(f"{name}: {error}") from None

    def untrusted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some rows that are of confidence D, sorted: what every output of them must be marked with.

        Raises FactorError.
        """
        return tuple(sorted({name for name in names if self.row(name).confidence not in "ABC"}))


def _rows(file_name: str, data: bytes) -> list[Factor]:
    reader = csv.DictReader(data.decode().splitlines())
    if (reader.fieldnames or [])[: len(COLUMNS)] != COLUMNS:
        raise FactorError(f"{file_name}: columns {reader.fieldnames}, wanted {COLUMNS} first")
    table = file_name.removesuffix(".csv")
    return [Factor(table, *(row[column] for column in COLUMNS)) for row in reader]


@cache
def load(version: str = "2026-1") -> FactorSet:
    """The factor set that ships with the product under this version. Raises FactorError."""
    folder = resources.files(__name__) / "sets" / version
    if not folder.is_dir():
        raise FactorError(f"no factor set {version!r}")
    return FactorSet(version, {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".csv")})
