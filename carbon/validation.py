"""The rules that a reading must pass. Each has a name, a number on the wire and a sentence.

Time rules compare a reading's time with its packet's own signed sending time, never with anybody's clock, so that every
member of the committee comes to the same verdict from the packet alone. `check` sees one packet. What depends on
readings of other packets too, `follows` says of two readings, and `carbon.window` asks it in sequence order.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from carbon.emission.cems import CemsMass
from carbon.flue_gas import DryGas, Saturation
from carbon.packet import NOT_A_NUMBER, Packet
from carbon.registry import Point, Registry, TimeLimits
from carbon.validity import sparse


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
    PERIOD_NOT_OVER = 10
    NOT_INCREASING = 11
    TOO_MUCH_CO2 = 12
    OVERSATURATED = 13
    PARTNER_MISSING = 14
    DUPLICATE = 20
    CONFLICT = 21
    TOO_LATE = 22
    RATE_OF_CHANGE = 23
    COUNTER_BACKWARDS = 24
    TOO_CLOSE = 25
    SPARSE_MINUTE = 26

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
    Reason.PERIOD_NOT_OVER: "the reading is of a period that was not over at its packet's sending time",
    Reason.NOT_INCREASING: "the reading is not later than one of its point before it in the packet",
    Reason.TOO_MUCH_CO2: "the fuel can't make that much CO2 beside the oxygen of the same instant",
    Reason.OVERSATURATED: "the gas can't hold that much moisture at the temperature of the same instant",
    Reason.PARTNER_MISSING: "what its mass is computed with has no valid reading at the same instant",
    Reason.DUPLICATE: "the same reading was counted before",
    Reason.CONFLICT: "another value was counted before for this point and time",
    Reason.TOO_LATE: "the reading's window is past the evidence horizon; only the verifier's adjustment changes it",
    Reason.RATE_OF_CHANGE: "the value changed faster than the point's registered rate",
    Reason.COUNTER_BACKWARDS: "the counter ran backwards, by more than a rollover explains",
    Reason.TOO_CLOSE: "a reading of less than half a step before or after it was counted before",
    Reason.SPARSE_MINUTE: "its minute has fewer instants than the point's rule asks for",
}

FLAGS = frozenset(b"NFMSDCTBX")
STOPPED = ord("F")
"""The flag of a plant that stands still (HJ 212-2017, table 8)."""
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
    found = _first(
        (Reason.UNKNOWN_POINT, ~known),
        (Reason.UNKNOWN_FLAG, ~_FLAG_KNOWN[packet.flag]),
        (Reason.NOT_A_NUMBER, packet.flag == NOT_A_NUMBER),
        (Reason.NOT_NORMAL, ~_FLAG_COUNTED[packet.flag]),
        *_of_times(packet, here, limits),
        (Reason.OUT_OF_RANGE, _outside(packet, here)),
    )
    if any(point is not None and point.has_more_rules for point in here):
        _check_times(packet, here, limits.future_ms, found)
        _check_pairs(packet, here, found)
        _check_partners(packet, here, found)
    return found


Condition = tuple[Reason, NDArray[np.bool_]]
"""A rule, and which readings (n,) break it."""


def _first(*conditions: Condition) -> NDArray[np.uint8]:
    return np.select([broken for _, broken in conditions], [np.uint8(rule) for rule, _ in conditions], np.uint8(0))


def _of_times(packet: Packet, points: list[Point | None], limits: TimeLimits) -> list[Condition]:
    return [
        (Reason.FROM_THE_FUTURE, packet.at > packet.sent_at + limits.future_ms),
        (Reason.TOO_OLD, packet.at < packet.sent_at - limits.age_ms),
        (Reason.BEFORE_REGISTRATION, packet.at < _per_point(packet, points, "start")),
        (Reason.UNALIGNED, packet.at % _per_point(packet, points, "grid_ms", 1) != 0),
    ]


def stopped(packet: Packet, registry: Registry) -> NDArray[np.int64]:
    """The indexes of readings that say that a plant stood still, of points whose missing hours are substituted.

    They pass the rules of time like readings that count; their values mean nothing.
    """
    says = packet.flag == STOPPED
    if not says.any():
        return np.flatnonzero(says)
    points = [point if (point := registry.points.get(name)) and point.substitution else None for name in packet.points]
    here = [point if point is not None and point.gateway == packet.gateway else None for point in points]
    says &= np.array([point is not None for point in here], bool)[packet.point]
    found = np.where(says, _first(*_of_times(packet, here, registry.limits)), np.uint8(Reason.NOT_NORMAL))
    _check_times(packet, here, registry.limits.future_ms, found)
    return np.flatnonzero(found == Reason.VALID)


def _check_times(packet: Packet, points: list[Point | None], future_ms: int, found: NDArray[np.uint8]) -> None:
    for place, point in enumerate(points):
        if point is not None and point.time == "start":
            own = _passing(packet, found, place)
            found[own[packet.at[own] + point.step_ms > packet.sent_at + future_ms]] = Reason.PERIOD_NOT_OVER
        if point is not None and point.rising:
            own = _passing(packet, found, place)
            latest = np.maximum.accumulate(packet.at[own])
            found[own[1:][packet.at[own[1:]] <= latest[:-1]]] = Reason.NOT_INCREASING


_PAIR_REASONS = {DryGas: Reason.TOO_MUCH_CO2, Saturation: Reason.OVERSATURATED}


def _check_pairs(packet: Packet, points: list[Point | None], found: NDArray[np.uint8]) -> None:
    passed = found.copy()
    for place, point in enumerate(points):
        for check in point.checks if point is not None else ():
            other = packet.points.index(check.partner) if check.partner in packet.points else None
            partner = None if other is None else points[other]
            if point is None or other is None or partner is None:
                continue
            own, beside = _pairs(packet, _passing(packet, passed, place), _passing(packet, passed, other))
            values = packet.value[own], packet.value[beside]
            found[own[check.impossible(*values, point.scale, partner.scale)]] = _PAIR_REASONS[type(check)]


def _check_partners(packet: Packet, points: list[Point | None], found: NDArray[np.uint8]) -> None:
    for place, point in enumerate(points):
        if point is None or not isinstance(point.emission, CemsMass):
            continue
        own = _passing(packet, found, place)
        found[own] = Reason.PARTNER_MISSING
        for partner in point.emission.partners:
            own, _ = beside(packet, found, own, partner)
        found[own] = Reason.VALID


def beside(
    packet: Packet, found: NDArray[np.uint8], own: NDArray[np.int64], partner: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of `own` the indexes at whose instants `partner` has a reading that no rule has refused; of those the first."""
    if partner not in packet.points:
        return own[:0], own[:0]
    return _pairs(packet, own, _passing(packet, found, packet.points.index(partner)))


def _passing(packet: Packet, found: NDArray[np.uint8], place: int) -> NDArray[np.int64]:
    """The indexes of a point's readings that no rule has refused, in packet order."""
    return np.flatnonzero((packet.point == place) & (found == Reason.VALID))


def _pairs(
    packet: Packet, own: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indexes of `own` that have readings of `other` at their instant, and the first of these."""
    if not len(other):
        return other, other
    own_at, other_at = packet.at[own], packet.at[other]
    if np.array_equal(own_at, other_at) and (other_at[1:] > other_at[:-1]).all():
        return own, other
    times, first = np.unique(other_at, return_index=True)
    slot = np.minimum(np.searchsorted(times, own_at), len(times) - 1)
    has = times[slot] == own_at
    return own[has], other[first[slot[has]]]


def follows(point: Point, elapsed_ms: int, before: int, after: int) -> Reason:
    """Whether `after` may be the value of a point so long after it was `before`, by its rate, counter and instants."""
    if point.time == "instant" and 2 * elapsed_ms < point.step_ms:
        return Reason.TOO_CLOSE
    if point.rate is None:
        return Reason.VALID
    change = abs(after - before) if point.counter is None else (after - before) % point.counter
    if change * point.step_ms <= point.rate * elapsed_ms:
        return Reason.VALID
    return Reason.COUNTER_BACKWARDS if point.counter is not None and after < before else Reason.RATE_OF_CHANGE


def _per_point(packet: Packet, points: list[Point | None], field: str, default: int = 0) -> NDArray[np.int64]:
    values = [default if point is None else getattr(point, field) for point in points]
    return np.array(values, np.int64)[packet.point]


def _outside(packet: Packet, points: list[Point | None]) -> NDArray[np.bool_]:
    return (packet.value < _per_point(packet, points, "min")) | (packet.value > _per_point(packet, points, "max"))


def calm(point: Point, packet: Packet, indexes: list[int]) -> bool:
    """Whether each of a point's readings, of rising times within a window, may follow the one before it."""
    change, elapsed = np.diff(packet.value[indexes]), np.diff(packet.at[indexes])
    if point.time == "instant" and (2 * elapsed < point.step_ms).any():
        return False
    if point.instants and sparse(packet.at[indexes], point.instants).any():
        return False
    if point.rate is None:
        return True
    change = np.abs(change) if point.counter is None else change % point.counter
    return bool((change * point.step_ms <= point.rate * elapsed).all())


def sentence(reason: Reason, packet: Packet, index: int, registry: Registry) -> str:
    """The rule's sentence with the figures of one reading."""
    text = SENTENCES[reason]
    point = registry.points.get(packet.points[packet.point[index]])
    match reason:
        case Reason.OUT_OF_RANGE if point is not None:
            return f"{text}: {packet.value[index]} is not in {point.min}…{point.max}"
        case Reason.RATE_OF_CHANGE if point is not None:
            return f"{text}: {point.rate} in {point.step_seconds} s"
        case Reason.FROM_THE_FUTURE | Reason.TOO_OLD | Reason.PERIOD_NOT_OVER:
            return f"{text}: {(int(packet.at[index]) - packet.sent_at) / 1000:+.0f} s from the sending time"
        case _:
            return text
