"""A modem in the field: it packs its meter's readings as its link bears, numbers the frames and sends them by MQTT.

What it was given and has not sent, its frames' numbers and what its link has borne are in one file, replaced whole. A
frame is there before it is sent, and goes when the broker has it: whatever ends the process, the next start sends the
same bytes again, which gateways know. By MQTT it plays modem and network server both, for a link that has none and for
trying a gateway out.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams.edge import links, meter
from streams.edge.links import Departure, Link, Sent, Wait, Window, depart
from streams.edge.message import RefusedError, measured
from streams.edge.meter import NotTakenError
from streams.edge.modem import Measured
from streams.edge.packing import scaled
from streams.edge.sources.modems import ModemPoint
from streams.edge.sources.mqtt import Broker

RETRY_SECONDS = 10.0


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wired(_Settings):
    """A wire: frames of up to 4 KB, after a second."""

    kind: Literal["wired"] = "wired"

    def link(self) -> Link:
        """Its profile."""
        return links.WIRED


class Lora(_Settings):
    """LoRaWAN on EU868; a frame that isn't full leaves after `age` seconds."""

    kind: Literal["lora"] = "lora"
    spreading: int = Field(ge=7, le=12)
    age: float = Field(default=3_600.0, ge=0)

    def link(self) -> Link:
        """Its profile."""
        return links.lora(self.spreading, int(self.age * 1000))


class Satellite(_Settings):
    """Short bursts by satellite, in its `windows` where it isn't always in sight."""

    kind: Literal["satellite"] = "satellite"
    windows: tuple[tuple[AwareDatetime, AwareDatetime], ...] | None = None
    age: float = Field(default=86_400.0, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self.link()
        return self

    def link(self) -> Link:
        """Its profile."""
        seen = None if self.windows is None else tuple(Window(_ms(start), _ms(end)) for start, end in self.windows)
        return links.satellite(seen, int(self.age * 1000))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class FieldSettings(_Settings):
    """A field modem. `points` are its meter's, in the order of their indexes, by the names that its readings use.

    `field`, if given, is the field of a JSON object in which the frame is published as base64.
    """

    link: Annotated[Wired | Lora | Satellite, Field(discriminator="kind")]
    state: Path
    broker: Broker
    topic: str
    field: str | None = None
    points: tuple[ModemPoint, ...] = Field(min_length=1)


class SettingsError(Exception):
    """A file of settings that can't be used."""


def load(path: Path) -> FieldSettings:
    """The settings of a JSON or YAML file. Raises SettingsError."""
    try:
        return FieldSettings.model_validate(yaml.safe_load(path.read_bytes()))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        raise SettingsError(f"{path} can't be used:\n  " + "\n  ".join(wrong)) from None


class Waiting(NamedTuple):
    """A reading that was given at `arrived`, ms UTC."""

    arrived: int
    reading: Measured


class FieldModem:
    """The modem of a state file, which is read and written. Raises ValueError, TypeError for a file that is none."""

    def __init__(self, link: Link, state: Path) -> None:
        self._link, self._file = link, state
        kept: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        self._number: int = kept.get("number", 0)
        self._frame = bytes.fromhex(kept.get("frame", ""))
        self._sent = tuple(Sent(*one) for one in kept.get("sent", ()))
        self.waiting = [Waiting(arrived, Measured(*reading)) for arrived, reading in kept.get("waiting", ())]

    def give(self, readings: list[Measured], now: int) -> None:
        """Take readings at `now`, ms UTC; when this returns, they are on disk."""
        self.waiting += [Waiting(now, reading) for reading in readings]
        self._save()

    def next(self, now: int, *, rush: bool = False) -> bytes | Wait:
        """The frame to send at `now`, the same until it is acknowledged, or what is waited for.

        In a `rush` readings wait for no others, though for the link. Raises FrameError for a reading that fits into no
        frame.
        """
        if self._frame:
            return self._frame
        arrived = 0 if rush else min((one.arrived for one in self.waiting), default=now)
        leaves = depart(self._link, self._number, [one.reading for one in self.waiting], arrived, now, self._sent)
        if isinstance(leaves, Departure):
            self._frame, self._sent, self._number = leaves.frame, leaves.sent, self._number + 1
            self.waiting = self.waiting[leaves.taken :]
            self._save()
            return leaves.frame
        return leaves

    def acknowledged(self) -> None:
        """The frame has been taken."""
        self._frame = b""
        self._save()

    def _save(self) -> None:
        state = {"number": self._number, "frame": self._frame.hex(), "sent": self._sent, "waiting": self.waiting}
        fresh = self._file.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)


def readings_of(settings: FieldSettings, line: bytes) -> list[Measured]:
    """The readings of a line, a message of `streams.edge.message`. Raises RefusedError, for unknown points too."""
    places = {point.point: place for place, point in enumerate(settings.points)}
    return [_measured(settings, places, *one) for one in measured(line)]


def _measured(settings: FieldSettings, places: dict[str, int], name: str, at: int, value: Any, flag: str) -> Measured:
    if name not in places:
        raise RefusedError("unknown_point", f"{name!r} is none of this modem's")
    number = scaled(value, settings.points[places[name]].scale)
    if number is None:
        raise RefusedError("not_a_number", f"{value} of {name!r}")
    return Measured(places[name], at, number, ord(flag))


def payload(settings: FieldSettings, frame: bytes) -> bytes:
    """The message that carries a frame."""
    if settings.field is None:
        return frame
    return json.dumps({settings.field: base64.b64encode(frame).decode()}).encode()


async def relay(
    settings: FieldSettings, modem: FieldModem, lines: "asyncio.Queue[bytes | None]", say: Callable[[str], None]
) -> int:
    """Send what the lines say until None ends them and all has left that can; how many lines were refused.

    `say` is told what is refused or not sent. Raises FrameError. What isn't sent stays in the state file.
    """
    refused, ended = 0, False
    while True:
        outcome = modem.next(_now(), rush=ended)
        if isinstance(outcome, bytes):
            await _send(settings, modem, outcome, say)
        elif not ended:
            gathered = await _gathered(lines, _seconds(outcome))
            ended = None in gathered
            readings, wrong = _read(settings, gathered)
            for error in wrong:
                say(f"refused: {error}")
            refused += len(wrong)
            modem.give(readings, _now())
        elif outcome.until is None:
            return refused
        else:
            await asyncio.sleep(_seconds(outcome) or 0)


def _seconds(wait: Wait) -> float | None:
    return None if wait.until is None else max(0, wait.until - _now()) / 1000


async def _gathered(lines: "asyncio.Queue[bytes | None]", seconds: float | None) -> list[bytes | None]:
    """The lines that are there, once there is one; none if none comes within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            gathered = [await lines.get()]
    except TimeoutError:
        return []
    while not lines.empty():
        gathered.append(lines.get_nowait())
    return gathered


def _read(settings: FieldSettings, lines: list[bytes | None]) -> tuple[list[Measured], list[RefusedError]]:
    readings, wrong = list[Measured](), list[RefusedError]()
    for line in lines:
        try:
            readings += readings_of(settings, line) if line else []
        except RefusedError as error:
            wrong.append(error)
    return readings, wrong


async def _send(settings: FieldSettings, modem: FieldModem, frame: bytes, say: Callable[[str], None]) -> None:
    try:
        await meter.send_by_mqtt(settings.broker, settings.topic, payload(settings, frame))
    except NotTakenError as error:
        say(f"not sent, again in {RETRY_SECONDS:g} s: {error}")
        await asyncio.sleep(RETRY_SECONDS)
    else:
        modem.acknowledged()


def _now() -> int:
    return time.time_ns() // 1_000_000
