"""What is registered of each logger, and the readings that its data section holds, without IO.

An item is `code-Field=value`. Which point it is, in which unit the logger sends it and in which unit the point is
counted is registered per device, command, code and field, never guessed: the standard's own format of CO2 (a05001, N3.3
in mg/m3) can't hold what a flue has, so loggers send vol%, g/m3 or a code of their own. A code without registration
gives no reading; it is counted, and stands in the frame that is kept.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from re import Pattern
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
MOST_LAYOUTS = 4
"""Layouts of a device's command that are remembered: it mostly sends one."""

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
    """Where a point's value, its flag and its time stand in the data."""

    value: str
    flag: str
    time: str
    point: str
    convert: Conversion | None


def _target(item: Item) -> _Target:
    time = f"{item.code}-SampleTime" if item.time == "instant" else "DataTime"
    names = (f"{item.code}-{item.field}", f"{item.code}-Flag", time)
    return _Target(*names, item.point, conversion(item.unit, item.point_unit))


class Measured(NamedTuple):
    """The readings of a data section, and how many of its codes gave none."""

    readings: tuple[RawReading, ...]
    codes_unread: int


class _Layout(NamedTuple):
    """How a device's data sections look, but for the values: of each point that has one, the place of value, flag and
    time among them, from 1, and 0 for none."""

    slots: tuple[tuple[int, int, int, str, Conversion | None], ...]
    codes_unread: int


class Catalogue:
    """What one device measures, ready to be looked up."""

    def __init__(self, device: Device) -> None:
        self._offset = device.offset_ms
        self._targets: dict[int, list[_Target]] = {}
        self._layouts: dict[int, list[tuple[Pattern[str], _Layout]]] = {}
        """Of each command the first layouts, each with what finds the values of such a section in one match."""
        for item in device.items:
            self._targets.setdefault(item.command, []).append(_target(item))

    def read(self, command: int, data: str) -> Measured:
        """The readings of a message, in the order of registration. Raises MessageError `malformed` or `wrong_time`.

        Nothing is read of a command without registered items: a logger's log may hold any text.
        """
        if command not in self._targets:
            return Measured((), 0)
        known = self._layouts.setdefault(command, [])
        for pattern, layout in known:
            if found := pattern.fullmatch(data):
                return self._measured(layout, found.groups())
        values = _values(data)
        layout = self._layout(command, values)
        if len(known) < MOST_LAYOUTS:
            known.append((_pattern(data), layout))
        return self._measured(layout, values.values())

    def _measured(self, layout: _Layout, values: Iterable[str]) -> Measured:
        texts, offset = ("", *values), self._offset
        readings = [
            RawReading(
                point,
                _instant(texts[time]) - offset,
                _number(texts[value], convert),
                _letter(texts[flag]) if flag else NORMAL,
            )
            for value, flag, time, point, convert in layout.slots
        ]
        return Measured(tuple(readings), layout.codes_unread)

    def _layout(self, command: int, names: Iterable[str]) -> _Layout:
        places = {name: place for place, name in enumerate(names, 1)}
        targets = [target for target in self._targets[command] if target.value in places]
        day = places.get("DataTime", 0)
        slots = [
            (places[value], places.get(flag, 0), places.get(time, day), point, convert)
            for value, flag, time, point, convert in targets
        ]
        read = {target.value.partition("-")[0] for target in targets}
        codes = {name.partition("-")[0] for name in places if "-" in name}
        return _Layout(tuple(slots), len(codes - read))


def _pattern(data: str) -> Pattern[str]:
    """What matches data sections that differ from this one in their values alone."""
    pairs = [pair.partition("=") for pair in re.split("([;,])", data)]
    return re.compile("".join([f"{re.escape(name)}=([^;,=]*)" if equals else name for name, equals, _ in pairs]))


def _values(data: str) -> Mapping[str, str]:
    pairs = [pair.split("=") for pair in data.replace(",", ";").split(";") if pair]
    try:
        values = dict(pairs)
    except ValueError:
        raise MessageError("malformed", "something between separators is not name=value") from None
    if len(values) != len(pairs):
        raise MessageError("malformed", "a name comes twice")
    return values


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


def _number(text: str, convert: Conversion | None) -> Decimal | None:
    if not _VALUE.fullmatch(text):
        return None
    value = Decimal(text)
    return convert(value) if convert else value


def _letter(flag: str) -> str:
    return flag if len(flag) == 1 and flag.isascii() else UNKNOWN_FLAG
