"""Reading the fields of a rule strictly: exactly the known names, each of its type; numbers are decimals in text."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)


class RuleError(ValueError):
    """Rules that are not of their form."""


def fields_of(raw: Any, required: Mapping[str, type], optional: Mapping[str, type] = {}) -> dict[str, Any]:
    """The fields of a table, those that are optional None where they are missing. Raises RuleError."""
    if not isinstance(raw, dict):
        raise RuleError(f"{raw!r} is no table")
    for name, value in raw.items():
        kind = required.get(name) or optional.get(name)
        if kind is None or type(value) is not kind:
            raise RuleError(
                f"{name} = {value!r}: {'no such field' if kind is None else f'not of type {kind.__name__}'}"
            )
    missing = sorted(required.keys() - raw.keys())
    if missing:
        raise RuleError(f"without {', '.join(missing)}: {raw!r}")
    return {name: raw.get(name) for name in (*required, *optional)}


def decimal(text: str) -> Fraction:
    """A decimal, exact. Raises RuleError."""
    if not _DECIMAL.fullmatch(text):
        raise RuleError(f"{text!r} is no decimal")
    return Fraction(text)


def known(value: str, names: Iterable[str], what: str) -> str:
    """A value that is one of some names. Raises RuleError."""
    if value not in (names := tuple(names)):
        raise RuleError(f"no {what} {value!r}: there are {', '.join(names)}")
    return value


def distinct(values: Iterable[Any], what: str) -> None:
    """Raises RuleError when one of them stands twice."""
    if len(set(values := list(values))) != len(values):
        raise RuleError(f"a {what} stands twice")
