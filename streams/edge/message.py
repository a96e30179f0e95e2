"""A meter's message in JSON, pure. Direct meters send it by MQTT, or one reading of it to meter.single.

    {"point": "plant-1/grid", "at": 1735689600000, "value": 12.50, "flag": "N"}
    {"at": "2025-01-01T08:00:00+08:00", "values": {"plant-1/grid": 12.50, "plant-1/gas": "3.1"}}
    [{…}, {…}]

A time is ms UTC, or ISO 8601 with an offset. A number keeps its own text: a float would round it before the point's
scale does. `flag` is one HJ 212 letter, N where it is left out.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from carbon.packet import AT_LIMIT

MAX_VALUES = 1_000
"""Values in one message: an arrival must fit into a packet and its frames."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NUMBER = 400
_MAX_DIGITS = 40


class RefusedError(ValueError):
    """A message that can't be taken; `reason` is the rule's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Measured(NamedTuple):
    """One value of a message: its name there, its time in ms UTC, the number (None where it is none), its flag."""

    name: str
    at: int
    value: Decimal | None
    flag: str


def measured(payload: bytes) -> list[Measured]:
    """The values of a message, in its order. Raises RefusedError `not_a_reading`, `not_a_number`, `too_large`."""
    decoded = decimal_json(payload)
    found = [one for item in (decoded if isinstance(decoded, list) else [decoded]) for one in _item(item)]
    if len(found) > MAX_VALUES:
        raise RefusedError("too_large", f"{len(found)} values in one message")
    return found


def decimal_json(payload: bytes) -> Any:
    """JSON whose fractions stay text. Raises RefusedError `not_a_reading`, `not_a_number`."""
    try:
        return json.loads(payload, parse_float=str, parse_int=_integer, parse_constant=str, object_pairs_hook=_once)
    except RefusedError:
        raise
    except (ValueError, RecursionError) as error:
        raise RefusedError("not_a_reading", f"{error!r}") from error


def number(value: Any) -> Decimal | None:
    """The decimal number that a field states; None when it states none."""
    if type(value) not in (str, int) or (type(value) is str and len(value) > _MAX_NUMBER):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def instant(value: Any) -> int:
    """A time in ms UTC. Raises RefusedError `not_a_reading` for none, for one without an offset or out of bounds."""
    if type(value) is str:
        value = _from_text(value)
    if type(value) is not int or not 0 <= value < AT_LIMIT:
        raise RefusedError("not_a_reading", "at is neither ms UTC nor ISO 8601")
    return value


def instant_of(text: str) -> int:
    """A time as somebody types it: ms UTC, or ISO 8601 with an offset. Raises RefusedError like `instant`."""
    return instant(int(text) if text.isdecimal() else text)


def _from_text(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise RefusedError("not_a_reading", f"at: {error}") from error
    raise RefusedError("not_a_reading", f"{text!r} has no offset from UTC")


def _item(item: Any) -> list[Measured]:
    if not isinstance(item, dict) or not _has_fields(item):
        raise RefusedError("not_a_reading", "its fields are at, flag, and either point and value, or values")
    at, flag = instant(item["at"]), item.get("flag", "N")
    if type(flag) is not str or len(flag) != 1 or not flag.isascii():
        raise RefusedError("not_a_reading", "flag is not one letter")
    values = item["values"] if "values" in item else {item["point"]: item["value"]}
    return [Measured(name, at, number(value), flag) for name, value in values.items()]


def _has_fields(item: Mapping[str, Any]) -> bool:
    fields = item.keys() - {"flag"}
    several = fields == {"at", "values"} and isinstance(item["values"], dict)
    return several or (fields == {"at", "point", "value"} and isinstance(item["point"], str))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json keeps the last of two values of one name, and says nothing
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RefusedError("not_a_reading", "an object has two fields of one name")
    return fields


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise RefusedError("not_a_number", f"an integer of more than {_MAX_DIGITS} digits")
    return int(text)
