"""What fastavro leaves open and a canonical encoding can't: integers that do not fit, and types with several encodings.

fastavro writes 1.5 as the long 1, and an int of any size up to 64 bits, which readers in other languages refuse.
A map may be written in any order of its keys, and of a union of several types a decoded value no longer says which: no
schema of ours may have either.
"""

from collections.abc import Callable
from operator import index
from typing import Any

Check = Callable[[Any], None]
"""Raises TypeError or OverflowError for a value with a number in it that is not of its Avro type."""

_PASSED = frozenset({"null", "boolean", "float", "double", "bytes", "string", "fixed", "enum"})


def integer_check(schema: Any) -> Check | None:
    """The check of the integers in values of a parsed-JSON Avro schema; None when there are none.

    Raises ValueError for a schema in which one value has several encodings.
    """
    return _check(schema, {})


def _check(schema: Any, named: dict[str, Check | None]) -> Check | None:
    if isinstance(schema, list):
        return _nullable(schema, named)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind in ("int", "long"):
        return _int if kind == "int" else _long
    if kind == "array":
        return _each(_check(schema["items"], named))
    if kind == "record":
        return _record(schema, named)
    if kind not in _PASSED and kind not in named:
        raise ValueError(f"{kind}: a value of this type has several encodings, or the type is unknown here")
    if isinstance(schema, dict) and "name" in schema:
        named[schema["name"]] = None
    return named.get(kind)


def _int(value: Any) -> None:
    if not -0x8000_0000 <= index(value) <= 0x7FFF_FFFF:
        raise OverflowError(f"{value} is not an Avro int, which has 32 bits")


def _long(value: Any) -> None:
    index(value)


def _nullable(branches: list[Any], named: dict[str, Check | None]) -> Check | None:
    if len(branches) != 2 or "null" not in branches:
        raise ValueError("a union other than of null and one type: a decoded value no longer says which type it had")
    inner = _check(next(branch for branch in branches if branch != "null"), named)
    if inner is None:
        return None

    def check(value: Any) -> None:
        if value is not None:
            inner(value)

    return check


def _each(inner: Check | None) -> Check | None:
    if inner is None:
        return None

    def check(value: Any) -> None:
        for item in value:
            inner(item)

    return check


def _record(schema: dict[str, Any], named: dict[str, Check | None]) -> Check | None:
    fields = []
    for field in schema["fields"]:
        inner = _check(field["type"], named)
        if inner is not None:
            fields.append((field["name"], inner))
    if not fields:
        named[schema["name"]] = None
        return None

    def check(value: Any) -> None:
        for name, inner in fields:
            if name in value:  # a field that is left out takes its default
                inner(value[name])

    named[schema["name"]] = check
    return check
