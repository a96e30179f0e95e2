"""A year of bills from one CSV: what an enterprise without a meter burnt and bought, as contents of activity data.

A row is a bill: `period`, `energy`, `quantity` and `document`, and if wanted `source` and `factor`
(`docs/submission-rules.md`). Every row is checked and every fault told with its line; with any, none is filed.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from carbon import calendar
from carbon.claims import content_refusal
from carbon.claims.activity import activity_g
from carbon.emission import rule_from
from carbon.quantity import QuantityError, ratio
from carbon.registry import I64_MAX, Registry
from carbon.submission import Submission
from carbon.wording import Setting, WordingError, period, scaled

COLUMNS, OPTIONAL = ("period", "energy", "quantity", "document"), ("source", "factor")
MOST_BILLS = 1_000
"""Rows of one file."""
GUIDELINE = "ndrc_other"
"""Whose defaults a fuel goes by when its guideline isn't named: the NDRC's for other industrial enterprises (B)."""
HEAT = "power_plant_mee.heat_default_factor"


class Fault(NamedTuple):
    """What is wrong with a line of a file, the header being line 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class BillsError(ValueError):
    """A file of bills that isn't taken, with all its faults."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(map(str, faults)))


@dataclass(frozen=True)
class Biller:
    """Whose bills they are, and by what they are computed."""

    subject: str
    registry: Registry
    setting: Setting
    allowed: Collection[str] = ()
    """Rows of confidence D that may be used, table.name."""


def contents_of(text: str, biller: Biller) -> list[dict[str, Any]]:
    """A content of schema submission-activity for each bill, in the order of the file. Raises BillsError."""
    contents: dict[int, dict[str, Any]] = {}
    faults: list[Fault] = []
    for line, row in list(_rows(text)):
        try:
            contents[line] = _content(row, biller)
        except (ValueError, OverflowError) as error:
            faults.append(Fault(line, str(error)))
    faults += _overlaps(contents)
    if faults or not contents:
        raise BillsError(sorted(faults) or [Fault(1, "no bills below the header")])
    return list(contents.values())


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a file and their lines. Raises BillsError for what is no table of bills."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        header = reader.fieldnames or ()
        if not set(COLUMNS) <= set(header) <= {*COLUMNS, *OPTIONAL} or len(set(header)) != len(header):
            wanted = f"{', '.join(COLUMNS)}, and if wanted {', '.join(OPTIONAL)}"
            raise BillsError([Fault(1, f"the columns are {wanted}, each once")])
        for place, row in enumerate(reader, 1):
            if None in row or None in row.values():
                raise BillsError([Fault(reader.line_num, f"not {len(header)} cells as in the header")])
            if place > MOST_BILLS:
                raise BillsError([Fault(reader.line_num, f"more than {MOST_BILLS} bills in one file")])
            yield reader.line_num, {name: cell.strip() for name, cell in row.items()}
    except csv.Error as error:
        raise BillsError([Fault(reader.line_num + 1, f"not CSV: {error}")]) from error


def _content(row: Mapping[str, str], biller: Biller) -> dict[str, Any]:
    """The content of a bill. Raises ValueError and OverflowError, whose message says what is wrong with it."""
    setting, factors = biller.setting, biller.registry.factors
    start, end = period(row["period"], setting.utc_offset_minutes)
    (quantity,), scale, unit = scaled([row["quantity"]])
    if quantity > I64_MAX:
        raise WordingError(f"{row['quantity']}: has more digits than are recorded")
    fields = _rule_fields(row, unit, calendar.year_of(start, setting.utc_offset_minutes))
    rule = rule_from(fields)
    content = {
        "subject": biller.subject,
        "source": row.get("source") or row["energy"].replace("/", "-"),
        "start": start,
        "end": end,
        "quantity": quantity,
        "scale": scale,
        "unit": unit,
        "rule": [{"name": name, "value": value} for name, value in sorted(fields.items())],
        "factors": factors.digest,
        "emission_g": activity_g(Fraction(quantity, 10**scale), unit, rule, factors, biller.allowed),
        "allowed": list(factors.untrusted(rule.rows)),
        "document": _digest(row["document"], setting),
    }
    return _judged(content, biller)


def _digest(written: str, setting: Setting) -> bytes:
    """A digest in hex, or that of the file of that name."""
    return bytes.fromhex(written) if re.fullmatch("[0-9a-fA-F]{64}", written) else setting.digest_of(written)


def _rule_fields(row: Mapping[str, str], unit: str, year: int) -> dict[str, str]:
    """The emission rule of what was billed, by the unit that it was billed in and the year of it."""
    energy, _, place = row["energy"].partition("/")
    factor = row.get("factor", "")
    if energy == "electricity":
        factor = factor or f"grid_factors.CN.{place or 'national'}.{year}"
        return {"rule": "purchased_electricity", "factor": factor}
    if energy == "heat":
        return {"rule": "heat", "factor": factor or HEAT}
    if factor or place:
        raise WordingError(f"{row['energy']}: a fuel goes by the rows of its guideline")
    fuel = energy if "." in energy else f"{GUIDELINE}.{energy}"
    return {"rule": "fuel", "fuel": f"fuel_defaults.{fuel}", "per": _per(unit)}


def _per(unit: str) -> str:
    """By what a fuel's defaults are taken. Raises WordingError."""
    for per in ("t", "Nm3", "GJ"):
        try:
            ratio(unit, per)
            return per
        except QuantityError:
            continue
    raise WordingError(f"a fuel is billed by mass, by volume in Nm3 or by heat, not in {unit!r}")


def _judged(content: dict[str, Any], biller: Biller) -> dict[str, Any]:
    """The content, if the committee's evidence half takes it. Raises WordingError."""
    stated = Submission("", 1, "activity", content, b"", b"", ())
    refusal = content_refusal(stated, biller.registry, biller.setting.utc_offset_minutes)
    if refusal:
        raise WordingError(f"the committee would refuse it: {refusal.label}")
    return content


def _overlaps(contents: Mapping[int, dict[str, Any]]) -> Iterator[Fault]:
    """The bills of a source whose period begins before an earlier one of it has ended."""
    last: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, content in sorted(contents.items(), key=lambda row: (row[1]["start"], row[0])):
        before, other = last.get(content["source"], (0, content))
        if before and content["start"] < other["end"]:
            what = "is the same bill as" if content == other else "overlaps"
            yield Fault(max(line, before), f"{content['source']}: {what} line {min(line, before)}")
        if not before or content["end"] > other["end"]:
            last[content["source"]] = line, content
