"""The rules that a reading must pass. Each has a name, a number on the wire and a sentence.

Time rules compare a reading's time with its packet's own signed sending time, never with anybody's clock, so that every
member of the committee comes to the same verdict from the packet alone.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carbon.packet import NOT_A_NUMBER, Packet
from carbon.registry import Point, Registry


class Reason(IntEnum):
    """Why a reading is refused; VALID for one that is not. The numbers never change."""

    VALID = 0
    UNKNOWN_POINT = 1
    UNKNOWN_FLAG = 2
    NOT_A_NUMBER = 3
    NOT_NORMAL = 4
    FROM_THE_FUTURE = 5
    TOO_OLD = 6
    BEFORE_REGISTRATION = 7
    UNALIGNED = 8
    OUT_OF_RANGE = 9
    DUPLICATE = 20
    CONFLICT = 21
    TOO_LATE = 22

    @property
    def label(self) -> str:
        """The name in topics, tables and documents."""
        return self.name.lower()


SENTENCES = {
    Reason.UNKNOWN_POINT: "the point is not registered at this gateway",
    Reason.UNKNOWN_FLAG: "the flag is none of N F M S D C T B X",
    Reason.NOT_A_NUMBER: "what was measured is not a number",
    Reason.NOT_NORMAL: "the flag says that the meter was not in normal operation; kept as evidence, not counted",
    Reason.FROM_THE_FUTURE: "the reading is later than its packet's sending time allows",
    Reason.TOO_OLD: "the reading is older than the registry accepts",
    Reason.BEFORE_REGISTRATION: "the reading is before the point's registered start",
    Reason.UNALIGNED: "the reading's time is not a multiple of the point's step",
    Reason.OUT_OF_RANGE: "the value is outside the point's registered range",
    Reason.DUPLICATE: "the same reading was counted before",
    Reason.CONFLICT: "another value was counted before for this point and time",
    Reason.TOO_LATE: "the reading's window is past the evidence horizon; only the verifier's adjustment changes it",
}

FLAGS = frozenset(b"NFMSDCTBX")
_COUNTED = frozenset(b"NT")
"""Normal, and clipped at the range's end: the flags whose value is counted."""

_FLAG_KNOWN = np.array([code in FLAGS for code in range(256)])
_FLAG_COUNTED = np.array([code in _COUNTED for code in range(256)])


def check(packet: Packet, registry: Registry) -> NDArray[np.uint8]:
    """The first rule that each reading of a packet breaks, as (n,) reason numbers; 0 where it breaks none."""
    points = [registry.points.get(point) for point in packet.points]
    here = [point if point is not None and point.gateway == packet.gateway else None for point in points]
    known = np.array([point is not None for point in here], bool)[packet.point]
    limits = registry.limits
    conditions = [
        (Reason.UNKNOWN_POINT, ~known),
        (Reason.UNKNOWN_FLAG, ~_FLAG_KNOWN[packet.flag]),
        (Reason.NOT_A_NUMBER, packet.flag == NOT_A_NUMBER),
        (Reason.NOT_NORMAL, ~_FLAG_COUNTED[packet.flag]),
        (Reason.FROM_THE_FUTURE, packet.at > packet.sent_at + limits.future_ms),
        (Reason.TOO_OLD, packet.at < packet.sent_at - limits.age_ms),
        (Reason.BEFORE_REGISTRATION, packet.at < _per_point(packet, here, "start")),
        (Reason.UNALIGNED, packet.at % (1000 * _per_point(packet, here, "step_seconds", 1)) != 0),
        (Reason.OUT_OF_RANGE, _outside(packet, here)),
    ]
    return np.select([broken for _, broken in conditions], [np.uint8(rule) for rule, _ in conditions], np.uint8(0))


def _per_point(packet: Packet, points: list[Point | None], field: str, default: int = 0) -> NDArray[np.int64]:
    values = [default if point is None else getattr(point, field) for point in points]
    return np.array(values, np.int64)[packet.point]


def _outside(packet: Packet, points: list[Point | None]) -> NDArray[np.bool_]:
    return (packet.value < _per_point(packet, points, "min")) | (packet.value > _per_point(packet, points, "max"))


def sentence(reason: Reason, packet: Packet, index: int, registry: Registry) -> str:
    """The rule's sentence with the figures of one reading."""
    text = SENTENCES[reason]
    point = registry.points.get(packet.points[packet.point[index]])
    match reason:
        case Reason.OUT_OF_RANGE if point is not None:
            return f"{text}: {packet.value[index]} is not in {point.min}…{point.max}"
        case Reason.FROM_THE_FUTURE | Reason.TOO_OLD:
            return f"{text}: {(int(packet.at[index]) - packet.sent_at) / 1000:+.0f} s from the sending time"
        case _:
            return text
