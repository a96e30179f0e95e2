"""Factor sets: versioned, dated, digested tables of factors, each row with its unit, source and confidence.

Confidence: A read in the official text, B read second-hand, C derived and re-checked, D from memory. A row of
confidence D is refused in a computation unless it is allowed by name. Values are exact fractions.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from fractions import Fraction
from functools import cache, lru_cache
from hashlib import sha256
from importlib import resources

from carbon.factors import units
from carbon.factors.rows import Factor, FactorError, read
from carbon.quantity import Quantity, QuantityError

__all__ = ["Factor", "FactorError", "FactorSet", "factor_set", "load"]

SHIPPED = "2026-1"
_SHIPPED_FROM: Mapping[str, date] = {SHIPPED: date(2026, 1, 1)}


class FactorSet:
    """A set of factors by `table.name`, with the digest (32 bytes) of its files.

    It is valid from `start` until the day on which a later one is.
    """

    def __init__(self, version: str, start: date, files: Mapping[str, bytes]) -> None:
        """Raises FactorError, with file, line and what is wrong."""
        if not files:
            raise FactorError(f"the set {version} has no tables")
        self.version = version
        self.start = start
        self.files = dict(sorted(files.items()))
        self.digest = digest_of(files)
        self.rows = rows_of(files)

    def row(self, name: str) -> Factor:
        """The row named `table.name`. Raises FactorError."""
        try:
            return self.rows[name]
        except KeyError:
            raise FactorError(f"no factor {name!r} in set {self.version}") from None

    def trusted(self, name: str, allowed: Collection[str] = ()) -> Factor:
        """The row named `table.name`; one of confidence D only when `allowed` names it. Raises FactorError."""
        row = self.row(name)
        if row.confidence == "D" and name not in allowed:
            raise FactorError(f"{name} has confidence D: allow it by name to use it")
        return row

    def untrusted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some rows that are of confidence D, sorted: what every output of them must be marked with.

        Raises FactorError.
        """
        return tuple(sorted({name for name in names if self.row(name).confidence == "D"}))

    def quantity(self, name: str, unit: str, allowed: Collection[str] = ()) -> Quantity:
        """The value of a row, exact, of the dimension of `unit`. Raises FactorError; a D row only when `allowed`."""
        row = self.trusted(name, allowed)
        if not isinstance(row.parsed, Fraction):
            raise FactorError(f"{name} is {row.value!r}, a {row.kind} and not a number")
        try:
            found = units.quantity_of(row.parsed, row.unit)
            found.to(unit)
        except QuantityError as error:
            raise FactorError(f"{name} is {row.value} {row.unit}: {error}") from None
        return found

    def value(self, name: str, unit: str, allowed: Collection[str] = ()) -> Fraction:
        """The value of a row, exact, in `unit`. Raises FactorError; a D row only when `allowed` names it.

        The unit is one that the row's converts to, or the row's own.
        """
        row = self.trusted(name, allowed)
        if row.unit == unit and isinstance(row.parsed, Fraction):
            return row.parsed
        return self.quantity(name, unit, allowed).to(unit)

    def bounds(self, name: str, allowed: Collection[str] = ()) -> tuple[Fraction, Fraction]:
        """The ends of a range, in the row's unit. Raises FactorError."""
        match self.trusted(name, allowed):
            case Factor(kind="range", parsed=(low, high)):
                return low, high
            case row:
                raise FactorError(f"{name} is {row.value!r}, a {row.kind} and not a range")

    def day(self, name: str, allowed: Collection[str] = ()) -> date:
        """The day that a row names, such as a deadline. Raises FactorError."""
        row = self.trusted(name, allowed)
        if not isinstance(row.parsed, date):
            raise FactorError(f"{name} is {row.value!r}, a {row.kind} and not a date")
        return row.parsed

    def dated(self, prefix: str, day: date) -> str:
        """Which of the dated rows whose `table.name` begins with `prefix` is valid on a day. Raises FactorError."""
        rows = [row for name, row in self.rows.items() if name.startswith(prefix) and (row.start or row.end)]
        valid = [row.id for row in rows if row.is_valid(day)]
        if len(valid) != 1:
            raise FactorError(f"{len(valid)} of the {len(rows)} dated rows {prefix}… are valid on {day}, not one")
        return valid[0]


def rows_of(files: Mapping[str, bytes]) -> Mapping[str, Factor]:
    """The rows of a set's tables by `table.name`. Raises FactorError, with file, line and what is wrong."""
    return {row.id: row for name, data in sorted(files.items()) for row in read(name, data)}


def digest_of(files: Mapping[str, bytes]) -> bytes:
    """The digest (32 bytes) of a set's tables."""
    hashed = (name.encode() + b"\0" + sha256(data).digest() for name, data in sorted(files.items()))
    return sha256(b"".join(hashed)).digest()


@lru_cache(maxsize=16)
def factor_set(version: str, start: date, files: tuple[tuple[str, bytes], ...]) -> FactorSet:
    """A set of these tables, read once. Raises FactorError."""
    return FactorSet(version, start, dict(files))


@cache
def load(version: str = SHIPPED) -> FactorSet:
    """The factor set that ships with the product under this version. Raises FactorError."""
    if version not in _SHIPPED_FROM:
        raise FactorError(f"no factor set {version!r}")
    folder = resources.files(__name__) / "sets" / version
    files = {f.name: f.read_bytes() for f in folder.iterdir() if f.name.endswith(".csv")}
    return FactorSet(version, _SHIPPED_FROM[version], files)
