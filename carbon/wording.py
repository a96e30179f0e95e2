"""Submissions in plain words: what people write in a file, and the content of a schema that it stands for.

The schema of a kind is the rule: a name is that of its field, with or without the unit behind it. `amount` states its
unit ("12.5 t"), `amount_g` may be a plain number. Times are ISO 8601, days begin where the channel is. What isn't exact
is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from carbon import calendar
from carbon.quantity import Quantity, QuantityError
from carbon.submission import ROLES
from schemas import codec

UNITS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "g": (("gCO2e", 1), ("g", 1)),
    "fen": (("fen", 1),),
    "fen_t": (("fen/tCO2e", 1), ("fen/t", 1)),
    "wh": (("Wh", 1),),
    "mj": (("MJ", 1),),
    "ppm": (("tC/t", 10**6), ("ppm", 1)),
    "kj_kg": (("kJ/kg", 1),),
    "percent": (("%", 1),),
}
"""How a field's name ends: the units that its text may be converted to, and what one of them counts in the field."""
REVERSAL = ("number", "reason")
"""What people write of a reversal; its proof is the ledger's."""
_PERIOD = {"start", "end"}
_BITS = {"int": 31, "long": 63}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"(-?\d{1,18})(?:\.(\d{1,18}))? (\S.*)")
_SPAN = re.compile(r"(\d{4})(?:-(\d{2}))?")


class WordingError(ValueError):
    """A file that doesn't say what its kind needs; the message says which field, and what is wanted."""


@dataclass(frozen=True)
class Setting:
    """What the words mean where they are written."""

    utc_offset_minutes: int
    factors: bytes
    """Digest of the factor set in force."""
    digest_of: Callable[[str], bytes]
    """SHA-256 of the file of a name. Raises WordingError."""


def content_of(kind: str, words: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """The content that words stand for. Raises WordingError."""
    if kind not in ROLES:
        raise WordingError(f"kind: {kind!r} is none of {', '.join(ROLES)}")
    fields = _fields(kind)
    written = _scaled(fields, _with_period(fields, dict(words), setting))
    return _record(fields, written, setting, "")


def fields_of(kind: str) -> list[tuple[str, str, str]]:
    """Each field of a kind that people write: how it may be called, what to write, and what it means."""
    fields = [field for field in _fields(kind) if kind != "reversal" or field["name"] in REVERSAL]
    return [(_word(field, fields), _wanted(field), str(field.get("doc", ""))) for field in fields]


def _fields(kind: str) -> list[dict[str, Any]]:
    return list(codec.schema_json(f"submission-{kind}")["fields"])


def _word(field: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> str:
    """The name of a field without its unit, unless another has that name."""
    ending = _ending(field)
    short = field["name"].removesuffix(f"_{ending}") if ending else field["name"]
    return short if short == field["name"] or all(other["name"] != short for other in fields) else str(field["name"])


def _ending(field: Mapping[str, Any]) -> str:
    """By which unit the name of a field ends; empty for none."""
    found = [ending for ending in UNITS if field["name"].endswith(f"_{ending}")]
    return max(found, key=len, default="")


def _wanted(field: Mapping[str, Any]) -> str:
    ending, kind = _ending(field), field["type"]
    kind = kind[1] if isinstance(kind, list) else kind
    if ending:
        return f"an amount such as {_EXAMPLES[ending]}"
    if field["name"] in _PERIOD:
        return 'a day such as "2016-03-01"'
    if isinstance(kind, str) and kind in _BITS:
        return "a whole number"
    if kind == "string":
        return "text"
    match kind:
        case {"type": "enum", "symbols": symbols}:
            return " or ".join(symbols)
        case {"type": "fixed"}:
            return "a file beside this one, or 64 hex digits"
        case {"type": "array", "items": {"name": "RuleField"}}:
            return "names and values"
        case {"type": "array", "items": {"fields": rows}}:
            return f"a list of {', '.join(_word(row, rows) for row in rows)}"
        case _:
            return "a list"


_EXAMPLES = {
    "g": '"12.5 t"',
    "fen": '"1200.50 CNY"',
    "fen_t": '"79.30 CNY/t"',
    "wh": '"1.2 GWh"',
    "mj": '"3.6 GJ"',
    "ppm": '"0.585 tC/t"',
    "kj_kg": '"21.5 GJ/t"',
    "percent": '"70 %"',
}


def _record(fields: Sequence[dict[str, Any]], words: Mapping[str, Any], setting: Setting, at: str) -> dict[str, Any]:
    if not isinstance(words, Mapping):
        raise WordingError(f"{at.rstrip('.')}: is written as names and values")
    names = {field["name"]: _word(field, fields) for field in fields}
    for word in words:
        if word not in names and word not in names.values():
            raise WordingError(f"{at}{word}: is not known here; known are {', '.join(names.values())}")
    return {field["name"]: _field(field, names[field["name"]], words, setting, at) for field in fields}


def _field(field: Mapping[str, Any], word: str, words: Mapping[str, Any], setting: Setting, at: str) -> Any:
    name, place = field["name"], f"{at}{word}"
    if word != name and word in words and name in words:
        raise WordingError(f"{place}: is written twice, as {word} and as {name}")
    if word not in words and name not in words:
        return _absent(field, word, setting, at)
    written = words.get(word, words.get(name))
    if word != name and word in words and type(written) is int:
        raise WordingError(f"{place}: {written} of what? Write {_wanted(field)}, or {name} = {written}")
    try:
        return _value(field, field["type"], written, setting, place)
    except WordingError:
        raise
    except (ValueError, OverflowError) as error:
        raise WordingError(f"{place}: {error}; wanted is {_wanted(field)}") from error


def _absent(field: Mapping[str, Any], word: str, setting: Setting, at: str) -> Any:
    """What stands for a field that nobody wrote."""
    kind = field["type"]
    if isinstance(kind, list):
        return None
    if isinstance(kind, dict) and kind["type"] == "array":
        return []
    if isinstance(kind, dict) and kind.get("name") == "FactorSetDigest":
        return setting.factors
    raise WordingError(f"{at}{word}: is missing; wanted is {_wanted(field)} ({field.get('doc', word)})")


def _value(field: Mapping[str, Any], kind: Any, written: Any, setting: Setting, at: str) -> Any:
    if isinstance(kind, list):
        return None if written is None else _value(field, kind[1], written, setting, at)
    if isinstance(kind, str) and kind in _BITS:
        number = _integer(field, written, setting)
        if not -(1 << _BITS[kind]) <= number < 1 << _BITS[kind]:
            raise ValueError(f"{written!r} is beyond what is recorded")
        return number
    if kind == "string":
        return _text(written)
    if kind == "bytes":
        return bytes.fromhex(_text(written))
    match kind["type"]:
        case "enum":
            return _symbol(kind["symbols"], _text(written))
        case "fixed":
            return _digest(_text(written), kind["size"], setting)
        case "record":
            return _record(kind["fields"], written, setting, f"{at}.")
        case _:
            return _rows(field, kind["items"], written, setting, at)


def _rows(field: Mapping[str, Any], items: Any, written: Any, setting: Setting, at: str) -> list[Any]:
    if isinstance(items, dict) and items.get("name") == "RuleField" and isinstance(written, Mapping):
        return [{"name": name, "value": _text(written[name])} for name in sorted(written)]
    if not isinstance(written, list):
        raise WordingError(f"{at}: is written as a list")
    rows = [_value(field, items, row, setting, f"{at}[{place}]") for place, row in enumerate(written, 1)]
    return rows if isinstance(items, dict) else sorted(set(rows))


def _text(written: Any) -> str:
    if not isinstance(written, str):
        raise ValueError(f"{written!r} is no text in quotes")
    return written


def _symbol(symbols: Sequence[str], written: str) -> str:
    if written.upper() not in symbols:
        raise ValueError(f"{written!r} is none of them")
    return written.upper()


def _digest(written: str, size: int, setting: Setting) -> bytes:
    return bytes.fromhex(written) if re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", written) else setting.digest_of(written)


def _integer(field: Mapping[str, Any], written: Any, setting: Setting) -> int:
    if type(written) is int:
        return written
    if field["name"] in _PERIOD:
        return instant(written, setting.utc_offset_minutes)
    return _counted(_text(written), _ending(field))


def _counted(written: str, ending: str) -> int:
    quantity = Quantity.parse(written)
    wrong = QuantityError(f"{written!r} is no whole number")
    for unit, each in UNITS.get(ending, ()):
        try:
            return _whole(quantity.to(unit) * each, written)
        except QuantityError as error:
            wrong = error
    raise wrong


def _whole(number: Fraction, written: str) -> int:
    if number.denominator != 1:
        raise ValueError(f"{written!r} is finer than what is recorded")
    return number.numerator


def instant(written: Any, utc_offset_minutes: int) -> int:
    """A time in ms UTC; of a day, its first instant where the channel is. Raises ValueError for any other value."""
    if isinstance(written, str):
        written = datetime.fromisoformat(written) if len(written) > len("2016-03-01") else date.fromisoformat(written)
    if not isinstance(written, date):
        raise ValueError(f"{written!r} is no day and no time")
    moment = written if isinstance(written, datetime) else datetime(written.year, written.month, written.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=utc_offset_minutes)))
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def period(written: Any, utc_offset_minutes: int) -> tuple[int, int]:
    """First instant, and first after it, of a year, a month, a day, or two times with a stroke between. ms UTC.

    Raises ValueError.
    """
    if isinstance(written, str) and "/" in written:
        start, _, end = written.partition("/")
        return instant(start, utc_offset_minutes), instant(end, utc_offset_minutes)
    span = _SPAN.fullmatch(f"{written}")
    if span is None:
        start_ms = instant(written, utc_offset_minutes)
        return start_ms, start_ms + calendar.DAY_MS
    year, first, last = int(span[1]), int(span[2] or 1), int(span[2] or 12)
    if first not in range(1, 13):
        raise ValueError(f"{written} is no month")
    until = calendar.month_start(year, last + 1, utc_offset_minutes)
    return calendar.month_start(year, first, utc_offset_minutes), until


def _with_period(fields: Sequence[dict[str, Any]], words: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """The words with `period`, where its fields are, as its first instant and the first after it."""
    if "period" not in words or _PERIOD - {field["name"] for field in fields}:
        return words
    if _PERIOD & words.keys():
        raise WordingError("period: is written beside start or end")
    try:
        start, end = period(words.pop("period"), setting.utc_offset_minutes)
    except (ValueError, OverflowError) as error:
        raise WordingError(f'period: {error}; wanted is "2016", "2016-03" or "2016-03-01/2016-03-15"') from error
    return words | {"start": start, "end": end}


def _scaled(fields: Sequence[dict[str, Any]], words: dict[str, Any]) -> dict[str, Any]:
    """The words with a quantity such as "1234.5 t", where its fields are, as an integer, a scale and a unit."""
    if not {"scale", "unit"} <= {field["name"] for field in fields} or {"scale", "unit"} & words.keys():
        return words
    if isinstance(words.get("quantity"), str):
        (quantity,), scale, unit = scaled([words["quantity"]])
        return words | {"quantity": quantity, "scale": scale, "unit": unit}
    months = words.get("months")
    if not isinstance(months, list) or not all(isinstance(month, Mapping) for month in months):
        return words
    if not any("output" in month for month in months):
        return {"product": "", "scale": 0, "unit": ""} | words | {"months": [{**m, "output": 0} for m in months]}
    outputs, scale, unit = scaled([month.get("output") for month in months])
    rows = [{**month, "output": output} for month, output in zip(months, outputs, strict=True)]
    return words | {"months": rows, "scale": scale, "unit": unit}


def scaled(written: Sequence[Any]) -> tuple[list[int], int, str]:
    """Decimals of one unit as integers of their finest scale; that scale, and the unit. Raises WordingError."""
    found = [_DECIMAL.fullmatch(text) if isinstance(text, str) else None for text in written]
    if not all(found):
        raise WordingError(f'{written}: wanted is a number and a unit, such as "1234.5 t"')
    units = {match[3] for match in found if match}
    if len(units) != 1:
        raise WordingError(f"{', '.join(sorted(units))}: all are of one unit")
    scale = max(len(match[2] or "") for match in found if match)
    numbers = [Fraction(f"{match[1]}.{match[2] or 0}") * 10**scale for match in found if match]
    return [int(number) for number in numbers], scale, units.pop()
