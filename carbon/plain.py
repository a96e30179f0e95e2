"""Plain records, the payloads of a block at a time, as columns.

A plain record is what the closing of a window makes: its first version. Most records are plain, and of their payloads
little is new: a point's all begin alike, neighbours name the same packets, and the rest are hashes and six numbers. So
what is known is compared, and the numbers of all payloads are read together. Of a payload that is not plain
`record.read` says what it is, or that it is none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbon import record as records
from schemas import codec

_ROOT, _NUMBERS = 1, 65
"""Where they stand behind the packets: a byte says that nothing is replaced, then come evidence root and boundary."""
_FIRST_VERSION = np.frombuffer(b"\x02\x00", "<u2")
"""Version 1, cause WINDOW."""
_PAD = bytes(128)
_ONE, _TOPS, _WHOLE = np.array([1, 0x8080808080808080, 0x0080808080808080], np.uint64)
"""The top bits of a word's bytes, and of those that an integer may take: below 2^48 a block's add up in 64 bits."""
_PAIRS = [
    (np.uint64(size), np.uint64(low))
    for size, low in ((1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF))
]


class Stated:
    """A point as its payloads state it: the bytes that they begin with, and the fields in them."""

    __slots__ = ("behind", "fields", "follower", "head", "number")

    def __init__(self, number: int, head: bytes, fields: dict[str, Any]) -> None:
        self.number = number
        self.head = head
        self.fields = fields
        self.behind = len(head) + 32
        """Where the packets stand, behind the predecessor's commitment."""
        self.follower = self
        """Whose record came after this point's the last time: windows close in the same order again and again."""


@dataclass(frozen=True)
class Plain:
    """Columns of some payloads, (n,) each; what stands in those of payloads that are not plain means nothing."""

    points: list[Stated]
    """By number."""
    point: NDArray[np.intp]
    """Number of each payload's point, whether plain or not."""
    plain: NDArray[np.bool_]
    previous: NDArray[np.void]
    evidence_root: NDArray[np.void]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    quantity: NDArray[np.int64]
    emission: NDArray[np.int64]


class _Reader:
    """Remembers points, and the packets that were named last."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._nobody = Stated(-1, b"\xff" * 16, {})
        self._stated: dict[bytes, Stated] = {}
        self._points: list[Stated] = []
        self._packets = b"\xff"

    def read(self, payloads: list[bytes]) -> Plain | None:
        count = len(payloads)
        point, named = (np.fromiter(column, np.intp, count) for column in self._compare(payloads))
        if (point < 0).any():
            return None
        sizes = np.fromiter(map(len, payloads), np.intp, count)
        stops = np.cumsum(sizes)
        begins = stops - sizes
        data = b"".join((*payloads, _PAD))
        octets, pairs, longs, hashes = (
            np.ndarray(len(data) - size + 1, kind, data, strides=(1,))
            for size, kind in ((1, "u1"), (2, "<u2"), (8, "<u8"), (32, "V32"))
        )
        at = begins + named
        start, version, whole = _number(longs, at + _NUMBERS)
        plain = whole & (named > 0) & (octets[at] == 0) & (pairs[version] == _FIRST_VERSION)
        behind = version + 2
        numbers = [start]
        for _ in ("count", "quantity", "emission"):
            number, behind, whole = _number(longs, behind)
            numbers.append(number)
            plain &= whole
        plain &= behind == stops
        heads = np.array([len(stated.head) for stated in self._points], np.intp)
        previous, roots = hashes[begins + heads[point]], hashes[at + _ROOT]
        return Plain(self._points, point, plain, previous, roots, *map(_value, numbers))

    def _compare(self, payloads: list[bytes]) -> tuple[list[int], list[int]]:
        """Of each payload its point's number, -1 for nobody's, and the place behind the packets that it names, or 0."""
        numbers, named = [], []
        point, packets = self._nobody, self._packets
        for payload in payloads:
            before, point = point, point.follower
            if not payload.startswith(point.head):
                point = before.follower = self._point(payload)
            at = point.behind
            if payload.startswith(packets, at):
                named.append(at + len(packets))
            else:
                named.append(_behind_packets(payload, at))
                packets = payload[at : named[-1]] or packets
            numbers.append(point.number)
        self._packets = packets
        return numbers, named

    def _point(self, payload: bytes) -> Stated:
        name = payload[: 1 + payload[0] // 2] if payload else b""
        found = self._stated.get(name) or self._learn(name, payload)
        if payload.startswith(found.head):
            return found
        self._forget()  # another unit, rule or length than before: no point may have two numbers
        return self._nobody

    def _learn(self, name: bytes, payload: bytes) -> Stated:
        if len(self._points) >= records.MOST_POINTS:
            return self._nobody
        try:
            fields = records.stated(records.read(payload))
        except codec.CodecError:
            return self._nobody
        stated = Stated(len(self._points), records.head_of(**fields), fields)
        self._points.append(stated)
        self._stated[name] = stated
        return stated


_reader = _Reader()


def read(payloads: list[bytes]) -> Plain | None:
    """The columns of payloads whose bytes are fixed already by their commitments.

    None where one of them is no record, or states of its point what none before it did.
    """
    return _reader.read(payloads)


def differ(hashes: NDArray[np.void], others: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which of some hashes (n,) are not the others': four words of each compared, and the four answers read as one."""
    left, right = (np.ascontiguousarray(some).view(np.uint64).reshape(-1, 4) for some in (hashes, others))
    answers: NDArray[np.bool_] = (left != right).view(np.uint32).ravel() != 0
    return answers


def _behind_packets(payload: bytes, at: int) -> int:
    """The place behind the evidence array at `at`; 0 if it is not one array of whole ranges."""
    try:
        count, at = _long(payload, at)
        for _ in range(count):
            size, at = _long(payload, at)
            payload[at : at + size].decode()
            at += size
            for _ in range(3):
                _, at = _long(payload, at)
            at += 32
        return at + 1 if count > 0 and payload[at] == 0 else 0
    except (IndexError, UnicodeDecodeError):
        return 0


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Avro's integer at a place, and the place behind it. Raises IndexError for a negative or an endless one."""
    value = shift = 0
    while data[at] & 0x80 and shift < 63:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    value |= data[at] << shift
    if value & 1 or data[at] & 0x80:
        raise IndexError(at)
    return value >> 1, at + 1


def _number(
    words: NDArray[np.uint64], at: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.bool_]]:
    """Avro's integers at some places, seven bits a byte as they stand there; the places behind; whether that is all.

    An integer ends with the first byte whose top bit is clear.
    """
    word = words[at]
    last = ~word & _TOPS
    last &= ~last + _ONE
    upto = last + (last - _ONE)
    return word & upto, at + (np.bitwise_count(upto) >> 3), (last & _WHOLE) != 0


def _value(number: NDArray[np.uint64]) -> NDArray[np.int64]:
    """What integers of at most eight bytes say: groups of seven bits moved together, zig-zag undone."""
    bits = number & ~_TOPS
    for size, low in _PAIRS:
        bits = bits & low | (bits & ~low) >> size
    value: NDArray[np.int64] = (bits >> _ONE).view(np.int64) ^ -(bits & _ONE).view(np.int64)
    return value
