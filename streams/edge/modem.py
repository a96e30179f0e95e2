"""Small frames between a meter's modem and its gateway, pure: readings in few bytes, each frame by itself.

Layout: form (u8) ‖ body ‖ CRC-16 (CCITT, big-endian) of all before it. Form is VERSION, plus DEFLATED when the body is
a raw deflate stream (RFC 1951), which is so only where that is shorter. The body is varints (LEB128, zigzag for what
has a sign): number, first time, time unit, then one series a point: head, count, times, flags, values.

Times are deltas of deltas in runs, in units of the frame's greatest common step; values are first or second
differences, whichever is shorter; flags are runs, left out where all are N. A point is an index into the device's
registered list. Frames are numbered, so that a lost one is a known gap; the CRC finds damage, not forgery: who signs is
the link (LoRaWAN's MIC) and behind it the gateway.
"""

import zlib
from binascii import crc_hqx
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby
from math import gcd
from typing import NamedTuple

MAX_BYTES = 4_096
MAX_READINGS = 2_048
MAX_BODY = 65_536
"""What a body may grow to when it is inflated: 2,048 readings of the longest varints come to less."""
MAX_NUMBER = 2**32 - 1
AT_LIMIT = 1 << 52
VERSION = 0x10
DEFLATED = 0x01

_NORMAL = ord("N")
_CRC_BYTES = 2
_VARINT_BYTES = 10
_I64 = 1 << 63
_SAME_TIMES, _FLAGS, _SECOND = 1, 2, 4
_HEAD_BITS = 3


class FrameError(ValueError):
    """Bytes that are no frame, or readings that no frame can hold."""


class Measured(NamedTuple):
    """One reading of a frame: index of the point in its device's list, ms UTC, scaled integer (i64), HJ 212 letter."""

    point: int
    at: int
    value: int
    flag: int = _NORMAL


class Frame(NamedTuple):
    """A decoded frame: its number, and its readings by point, in the order in which each point's were given."""

    number: int
    readings: tuple[Measured, ...]


def encode(number: int, readings: Sequence[Measured]) -> bytes:
    """The frame of up to MAX_READINGS readings, in any order. Raises FrameError for what it can't hold."""
    _check(number, readings)
    body = _body(number, sorted(readings, key=lambda reading: reading.point))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = packer.compress(body) + packer.flush()
    short = len(deflated) < len(body)
    frame = bytes([VERSION | (DEFLATED if short else 0)]) + (deflated if short else body)
    if len(frame) + _CRC_BYTES > MAX_BYTES:
        raise FrameError(f"{len(readings)} readings take more than {MAX_BYTES} bytes")
    return frame + crc_hqx(frame, 0xFFFF).to_bytes(_CRC_BYTES, "big")


def _check(number: int, readings: Sequence[Measured]) -> None:
    if not 0 <= number <= MAX_NUMBER or len(readings) > MAX_READINGS:
        raise FrameError(f"number {number}, {len(readings)} readings (at most {MAX_READINGS})")
    for r in readings:
        if not (0 <= r.point <= 0xFFFF and 0 <= r.at < AT_LIMIT and -_I64 <= r.value < _I64 and 0 <= r.flag <= 0xFF):
            raise FrameError(f"{r} is out of bounds")


def _body(number: int, readings: Sequence[Measured]) -> bytes:
    first = min((r.at for r in readings), default=0)
    unit = gcd(*(r.at - first for r in readings)) or 1
    out = bytearray(chain.from_iterable(map(_varint, (number, first, unit))))
    before: list[int] = []
    for point, group in groupby(readings, key=lambda reading: reading.point):
        series = list(group)
        times = [(r.at - first) // unit for r in series]
        out += _series(point, series, times, times == before)
        before = times
    return bytes(out)


def _series(point: int, series: Sequence[Measured], times: Sequence[int], same: bool) -> bytes:
    values = [r.value for r in series]
    shapes = [b"".join(_varint(_zigzag(d)) for d in _differences(values, order)) for order in (1, 2)]
    second = len(shapes[1]) < len(shapes[0])
    flagged = any(r.flag != _NORMAL for r in series)
    head = point << _HEAD_BITS | _SAME_TIMES * same | _FLAGS * flagged | _SECOND * second
    fields = [_varint(head), _varint(len(series))]
    if not same:
        fields.append(_runs(_zigzag(d) for d in _differences(times, 2)))
    if flagged:
        fields.append(_runs(r.flag for r in series))
    return b"".join([*fields, shapes[second]])


def _differences(values: Iterable[int], order: int) -> list[int]:
    """Differences of that order, with the first value (and first difference) before them: as many as values."""
    out = list(values)
    for place in range(order):
        out[place:] = out[place : place + 1] + [b - a for a, b in zip(out[place:], out[place + 1 :], strict=False)]
    return out


def _sums(differences: list[int], order: int) -> list[int]:
    for place in reversed(range(order)):
        differences[place:] = accumulate(differences[place:])
    return differences


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return -(value + 1 >> 1) if value & 1 else value >> 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _runs(values: Iterable[int]) -> bytes:
    return b"".join(_varint(value) + _varint(sum(1 for _ in same)) for value, same in groupby(values))


def decode(frame: bytes) -> Frame:
    """The frame of those bytes. Raises FrameError for damaged, overlong or trailing ones, and nothing else."""
    if not 1 + _CRC_BYTES <= len(frame) <= MAX_BYTES:
        raise FrameError(f"{len(frame)} bytes")
    inner, crc = frame[:-_CRC_BYTES], frame[-_CRC_BYTES:]
    if crc_hqx(inner, 0xFFFF).to_bytes(_CRC_BYTES, "big") != crc:
        raise FrameError("the checksum does not match")
    if inner[0] & ~DEFLATED != VERSION:
        raise FrameError(f"form {inner[0]:#04x} is not known")
    read = _Reader(_inflated(inner[1:]) if inner[0] & DEFLATED else inner[1:])
    number, first, unit = read.varint(), read.varint(), read.varint()
    readings = tuple(_all_series(read, first, unit))
    _check(number, readings)
    return Frame(number, readings)


def _inflated(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(data, MAX_BODY)
    except zlib.error as error:
        raise FrameError(f"not deflated: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise FrameError("the deflated body is cut off, too long, or has something behind it")
    return body


def _all_series(read: "_Reader", first: int, unit: int) -> Iterator[Measured]:
    times: list[int] = []
    room, last = MAX_READINGS, -1
    while read.left():
        head, count = read.varint(), read.varint()
        point = head >> _HEAD_BITS
        if not last < point or not 0 < count <= room:
            raise FrameError("a series is out of order, empty or too long")
        room, last = room - count, point
        if not head & _SAME_TIMES:
            times = _sums([_unzigzag(d) for d in read.runs(count)], 2)
        flags = read.runs(count) if head & _FLAGS else [_NORMAL] * count
        values = _sums([_unzigzag(read.varint()) for _ in range(count)], 2 if head & _SECOND else 1)
        if len(times) != count:
            raise FrameError("the times of the series before are not as many")
        for at, value, flag in zip(times, values, flags, strict=True):
            yield Measured(point, first + at * unit, value, flag)


class _Reader:
    """Varints from the front of a body, each of at most ten bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def left(self) -> bool:
        return self._place < len(self._data)

    def varint(self) -> int:
        value = 0
        for place, byte in enumerate(self._data[self._place : self._place + _VARINT_BYTES]):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                self._place += place + 1
                return value
        raise FrameError("a number is cut off or too long")

    def runs(self, count: int) -> list[int]:
        out: list[int] = []
        while len(out) < count:
            value, times = self.varint(), self.varint()
            if not 0 < times <= count - len(out):
                raise FrameError("a run is empty or too long")
            out += [value] * times
        return out


MAX_RANGES = 64


class Numbers(NamedTuple):
    """Which frames of a device have come: the next number, the ranges [first, last] that are missing, and given up.

    At most MAX_RANGES ranges are kept; what the oldest ones held then counts as `lost`, known and never silent.
    """

    following: int | None = None
    missing: tuple[tuple[int, int], ...] = ()
    lost: int = 0

    def after(self, number: int) -> "Numbers":
        """With frame `number` come; the first that ever comes is where counting starts."""
        if self.following is None or number == self.following:
            return self._replace(following=number + 1)
        if number > self.following:
            return self._replace(following=number + 1, missing=(*self.missing, (self.following, number - 1)))._bounded()
        kept = chain.from_iterable(_without(number, one) for one in self.missing)
        return self._replace(missing=tuple(kept))._bounded()

    def has(self, number: int) -> bool:
        """Whether frame `number` has come before, or counting began behind it: its readings are not taken again."""
        if self.following is None or number >= self.following:
            return False
        return not any(first <= number <= last for first, last in self.missing)

    def _bounded(self) -> "Numbers":
        given_up = self.missing[:-MAX_RANGES]
        lost = self.lost + sum(last - first + 1 for first, last in given_up)
        return self._replace(missing=self.missing[-MAX_RANGES:], lost=lost)


def _without(number: int, missing: tuple[int, int]) -> Iterator[tuple[int, int]]:
    first, last = missing
    if not first <= number <= last:
        yield missing
        return
    if first < number:
        yield first, number - 1
    if number < last:
        yield number + 1, last
