"""Modems of meters in the field, without IO: their frames (`streams.edge.modem`) as a network server hands them over.

LoRaWAN and satellite network servers publish what a modem sent as JSON with the frame in one field, as text. What is
kept is the frame, so that it is known again however often, and with whatever around it, the server says it.
"""

from binascii import Error, a2b_base64
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from carbon.registry import MAX_SCALE
from streams.edge import modem
from streams.edge.message import RefusedError, decimal_json
from streams.edge.modem import FrameError, Numbers
from streams.edge.sources import Arrival, RawReading
from streams.edge.sources.refusals import Refusals


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModemPoint(_Settings):
    """A point of a modem: the value 1 in its frames is 10^-`scale` of the point's unit."""

    point: str
    scale: int = Field(default=0, ge=0, le=MAX_SCALE)


class Modem(_Settings):
    """A registered modem: where its network server publishes, and its points in the order of their indexes.

    `field` is where the frame stands in the JSON, names within names joined by dots (ChirpStack `data`, The Things
    Stack `uplink_message.frm_payload`); without it the message is the frame itself.
    """

    name: str
    topic: str
    field: str | None = None
    encoding: Literal["base64", "hex"] = "base64"
    points: tuple[ModemPoint, ...] = Field(min_length=1)

    def frame(self, payload: bytes) -> bytes:
        """The frame within a message. Raises RefusedError `not_a_frame`."""
        if self.field is None:
            return payload
        value = decimal_json(payload)
        for name in self.field.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        try:
            if isinstance(value, str):
                return a2b_base64(value, strict_mode=True) if self.encoding == "base64" else bytes.fromhex(value)
        except (Error, ValueError) as error:
            raise RefusedError("not_a_frame", f"{self.field}: {error}") from error
        raise RefusedError("not_a_frame", f"no text in {self.field}")


class Modems:
    """The modems of one broker. The count `frames_missing` is of numbers between those that came since the start."""

    def __init__(self, modems: Sequence[Modem], refusals: Refusals) -> None:
        self._modems = {one.topic: one for one in modems}
        self._numbers = {one.topic: Numbers() for one in modems}
        self._refusals = refusals

    def __contains__(self, topic: str) -> bool:
        return topic in self._modems

    def take(self, topic: str, payload: bytes) -> Arrival:
        """The frame of a message and its readings.

        Raises RefusedError `not_a_frame`, `no_readings`, and like `decimal_json`.
        """
        device = self._modems[topic]
        raw = device.frame(payload)
        try:
            frame = modem.decode(raw)
        except FrameError as error:
            raise RefusedError("not_a_frame", f"{error}") from error
        self._count(topic, frame.number)
        known = [one for one in frame.readings if one.point < len(device.points)]
        if strange := len(frame.readings) - len(known):
            self._refusals.count("unknown_point", f"{device.name}: of {len(device.points)}", strange)
        if not known:
            raise RefusedError("no_readings", "nothing in it is of a registered point")
        return Arrival(device.name, raw, tuple(_reading(device.points[one.point], one) for one in known))

    def _count(self, topic: str, number: int) -> None:
        self._numbers[topic] = self._numbers[topic].after(number)
        self._refusals.counts["frames_missing"] = sum(
            one.lost + sum(last - first + 1 for first, last in one.missing) for one in self._numbers.values()
        )


def _reading(point: ModemPoint, one: modem.Measured) -> RawReading:
    return RawReading(point.point, one.at, Decimal(one.value).scaleb(-point.scale), chr(one.flag))
