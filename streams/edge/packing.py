"""Packing, pure: raw readings to integers of their points' scales, in columns, chained to the packet before.

And of what live sources hand over: which arrivals make a packet, when it is due, and the time that it states.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from hashlib import sha256
from typing import NamedTuple

from carbon.packet import NOT_A_NUMBER, ZERO_DIGEST, encode_body
from streams.edge.sources import Arrival, RawReading

I64_MAX = 2**63 - 1
_I64_DIGITS = 19
_ARRIVAL_BYTES = 128
_READING_BYTES = 40
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Head(NamedTuple):
    """The end of a gateway's chain: the last packet's sequence, 0 before the first, and its body's SHA-256."""

    sequence: int = 0
    digest: bytes = ZERO_DIGEST

    def after(self, body: bytes) -> "Head":
        """The head once `body` is the next packet."""
        return Head(self.sequence + 1, sha256(body).digest())


def scaled(value: Decimal | None, scale: int) -> int | None:
    """`value` in units of 10^-scale, rounded half-even; None for what is no number or does not fit in 64 bits."""
    if value is None or not value.is_finite():
        return None
    if not value:
        return 0
    # the magnitude first: a short text such as 1E999999 must not become a million digits
    magnitude = value.adjusted() + scale
    if magnitude >= _I64_DIGITS:
        return None
    if magnitude < -1:
        return 0
    if scale:
        value = value.scaleb(scale, _EXACT)
    whole = int(value.to_integral_value(ROUND_HALF_EVEN))
    return whole if abs(whole) <= I64_MAX else None


def columns(readings: Sequence[RawReading], scales: Mapping[str, int]) -> tuple[list[str], dict[str, list[int]]]:
    """The point ids in order of appearance, and the columns point, at, value and flag of n integers each.

    A point without a declared scale is packed in whole units. Not a number becomes value 0 with flag X.
    """
    index: dict[str, int] = {}
    point = [index.setdefault(reading.point, len(index)) for reading in readings]
    values = [scaled(reading.value, scales.get(reading.point, 0)) for reading in readings]
    flag = [NOT_A_NUMBER if value is None else ord(r.flag) for value, r in zip(values, readings, strict=True)]
    at = [reading.at for reading in readings]
    return list(index), {"point": point, "at": at, "value": [value or 0 for value in values], "flag": flag}


def next_body(
    head: Head,
    readings: Sequence[RawReading],
    scales: Mapping[str, int],
    *,
    gateway: str,
    run: int,
    sent_at: int,
    salt: bytes,
) -> bytes:
    """The body, ready to be signed, of the packet behind `head`. `salt` is 16 fresh secret bytes."""
    points, packed = columns(readings, scales)
    return encode_body(
        gateway=gateway,
        run=run,
        sequence=head.sequence + 1,
        previous=head.digest,
        sent_at=sent_at,
        salt=salt,
        points=points,
        columns=packed,
    )


class Kept(NamedTuple):
    """An arrival in the inbox: its number there, when it was received in ms UTC, and what came."""

    number: int
    received: int
    arrival: Arrival


@dataclass(frozen=True)
class Load:
    """What some arrivals come to: how many, their readings, and about the bytes that they take on disk."""

    arrivals: int = 0
    readings: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, arrivals: Iterable[Arrival]) -> "Load":
        """The load of these arrivals."""
        count = readings = size = 0
        for one in arrivals:
            names = sum([len(reading.point) for reading in one.readings])
            count += 1
            readings += len(one.readings)
            size += _ARRIVAL_BYTES + len(one.device) + len(one.raw) + names + _READING_BYTES * len(one.readings)
        return cls(count, readings, size)

    def __add__(self, other: "Load") -> "Load":
        return Load(self.arrivals + other.arrivals, self.readings + other.readings, self.bytes + other.bytes)

    def __sub__(self, other: "Load") -> "Load":
        return Load(self.arrivals - other.arrivals, self.readings - other.readings, self.bytes - other.bytes)


class PacketLimits(NamedTuple):
    """What fills a packet: readings, or bytes of messages. Seconds that an arrival waits for others, and after which an
    empty packet is made when nothing comes."""

    readings: int
    bytes: int
    age: float
    silence: float


def is_due(load: Load, waiting: float, silent: float, limits: PacketLimits) -> bool:
    """Whether to pack now what waits, the first of it for `waiting` seconds; the last packet was `silent` seconds ago.

    An empty packet is due when nothing waits.
    """
    if load.arrivals <= 0:
        return silent >= limits.silence
    return load.readings >= limits.readings or load.bytes >= limits.bytes or waiting >= limits.age


def fill(waiting: Iterable[Kept], limits: PacketLimits) -> list[Kept]:
    """What goes into one packet of what waits, from the first: all of it within the limits, and at least one."""
    taken, load = list[Kept](), Load()
    for one in waiting:
        load += Load.of([one.arrival])
        if taken and (load.readings > limits.readings or load.bytes > limits.bytes):
            break
        taken.append(one)
    return taken


def sending_time(previous: int, wall: int, latest: int, future_ms: int) -> int | None:
    """The time that a packet states, ms UTC: the wall clock's, never before that of the packet before.

    `latest` is its latest reading's. None means wait: the wall clock has gone back behind the last packet, and a
    reading is later than that by more than `future_ms`: it is the clock that is wrong, and the reading would be refused
    for it. A reading ahead of a clock that has not gone back is the device's fault: if a packet's time moved after it,
    one device could close everybody's windows.
    """
    if wall < previous and latest > previous + future_ms:
        return None
    return max(previous, wall)
