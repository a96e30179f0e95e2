"""What is registered of each logger, and the readings that its data section holds, without IO.

An item is `code-Field=value`. Which point it is, in which unit the logger sends it and in which unit the point is
counted is registered per device, command, code and field, never guessed: the standard's own format of CO2 (a05001, N3.3
in mg/m3) can't hold what a flue has, so loggers send vol%, g/m3 or a code of their own. A code without registration
gives no reading; it is counted, and stands in the frame that is kept.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from streams.edge.sources import RawReading
from streams.edge.sources.hj212.message import MessageError
from streams.edge.units import Conversion, conversion

STARTS = frozenset({2031, 2041, 2051, 2061})
"""Commands whose DataTime is the start of a period: day, running time of a day, minutes, hour (table 4)."""
INSTANTS = frozenset({2011, 2021})
"""Commands whose DataTime is the instant of the measurement."""
NORMAL, UNKNOWN_FLAG = "N", "?"

_VALUE = re.compile(r"[+-]?(\d{1,20}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)
_TIME = re.compile(r"20\d{12}", re.ASCII)
_ABOUT = frozenset({"Flag", "EFlag", "SampleTime"})


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(_Settings):
    """One quantity of a logger: where it stands, which point it is, and the units of both.

    `time` says what DataTime is: `instant` of the measurement, of which an item may give its own as SampleTime, or
    `start` of the period that the value is of.
    """

    command: int = Field(ge=2000, le=3999)
    code: str = Field(pattern="^[0-9A-Za-z]{1,12}$")
    field: str = Field(pattern="^[0-9A-Za-z]{1,16}$")
    point: str
    unit: str
    point_unit: str
    time: Literal["instant", "start"]

    @model_validator(mode="after")
    def _check(self) -> "Item":
        if self.command in (STARTS if self.time == "instant" else INSTANTS):
            raise ValueError(f"DataTime of command {self.command} is not the {self.time} (HJ 212-2017, table 4)")
        if self.field in _ABOUT:
            raise ValueError(f"{self.field} is no value")
        conversion(self.unit, self.point_unit)
        return self


class Device(_Settings):
    """One logger: its number MN as it sends it, its access password PW, its clock and what it measures.

    `split` says how it sends what is too long for one frame: `each` part with a DataTime and whole items of its own,
    kept and answered by itself (tables C.49, C.50), or `joined`, where the data is cut and one QN holds the parts
    together.
    """

    mn: str = Field(pattern="^[0-9A-Za-z_-]{1,32}$")
    password: SecretStr
    utc_offset: str = Field(default="+08:00", pattern="^[+-](0[0-9]|1[0-4]):[0-5][0-9]$")
    split: Literal["each", "joined"] = "each"
    items: tuple[Item, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Device":
        places = [(item.command, item.code, item.field) for item in self.items]
        if len(set(places)) != len(places):
            raise ValueError(f"{self.mn}: an item is registered twice")
        return self

    @property
    def offset_ms(self) -> int:
        """How far the logger's clock is ahead of UTC, in ms."""
        minutes = int(self.utc_offset[1:3]) * 60 + int(self.utc_offset[4:6])
        return minutes * (-60_000 if self.utc_offset[0] == "-" else 60_000)


class _Target(NamedTuple):
    field: str
    point: str
    convert: Conversion | None
    instant: bool


class Measured(NamedTuple):
    """The readings of a data section, and how many of its codes gave none."""

    readings: tuple[RawReading, ...]
    codes_unread: int


class Catalogue:
    """What one device measures, ready to be looked up."""

    def __init__(self, device: Device) -> None:
        self._offset = device.offset_ms
        self._targets: dict[tuple[int, str], list[_Target]] = {}
        for item in device.items:
            convert = conversion(item.unit, item.point_unit)
            target = _Target(item.field, item.point, convert, item.time == "instant")
            self._targets.setdefault((item.command, item.code), []).append(target)

    def read(self, command: int, data: str) -> Measured:
        """The readings of a message. Raises MessageError `malformed` or `wrong_time`."""
        time, items = _items(data)
        readings: list[RawReading] = []
        unread = 0
        for code, fields in items.items():
            before, flag = len(readings), _flag(fields)
            for field, point, convert, instant in self._targets.get((command, code), ()):
                if (text := fields.get(field)) is not None:
                    at = _instant(fields.get("SampleTime", time) if instant else time) - self._offset
                    readings.append(RawReading(point, at, _value(text, convert), flag))
            unread += len(readings) == before
        return Measured(tuple(readings), unread)


def _items(data: str) -> tuple[str, Mapping[str, Mapping[str, str]]]:
    """DataTime, empty if there is none, and the fields of each code, both in the order of the data."""
    time = ""
    items: dict[str, dict[str, str]] = {}
    for pair in data.replace(",", ";").split(";"):
        name, equals, value = pair.partition("=")
        code, dash, field = name.partition("-")
        if dash:
            fields = items.setdefault(code, {})
            if not equals or "=" in value or field in fields:
                raise MessageError("malformed", f"{name[:24]!r} comes twice, or its value is not allowed")
            fields[field] = value
        elif name == "DataTime" and not time:
            time = value
        elif name and (not equals or name == "DataTime"):
            raise MessageError("malformed", f"{pair[:24]!r} is no item")
    return time, items


@lru_cache(maxsize=1024)
def _instant(time: str) -> int:
    """YYYYMMDDhhmmss as ms of UTC, as if it were UTC. Raises MessageError `wrong_time`."""
    try:
        if not _TIME.fullmatch(time):
            raise ValueError
        day = int(time[:4]), int(time[4:6]), int(time[6:8])
        moment = datetime(*day, int(time[8:10]), int(time[10:12]), int(time[12:]), tzinfo=UTC)
        return int(moment.timestamp()) * 1000
    except ValueError:
        raise MessageError("wrong_time", f"{time[:24]!r} is no time YYYYMMDDhhmmss") from None


def _value(text: str, convert: Conversion | None) -> Decimal | None:
    if not _VALUE.fullmatch(text):
        return None
    value = Decimal(text)
    return convert(value) if convert else value


def _flag(fields: Mapping[str, str]) -> str:
    flag = fields.get("Flag", NORMAL)
    return flag if len(flag) == 1 and flag.isascii() else UNKNOWN_FLAG
