"""Links between a meter's modem and its gateway, as data, and when a frame leaves over one, pure: times are given.

Time on air of LoRa is Semtech AN1200.13 section 4 (SX1276 datasheet 4.1.1.7): 8 preamble symbols, explicit header, CRC,
coding rate 4/5, 125 kHz, low data rate optimisation where a symbol is longer than 16 ms (SF11, SF12). What a frame may
carry is LoRaWAN RP002 EU863-870's application payload N, to which 13 bytes of LoRaWAN come. The duty cycle of
868.0 … 868.6 MHz, band M of EN 300 220-2 Annex B, is 1 % of every hour.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.edge import modem
from streams.edge.modem import MAX_BYTES, MAX_READINGS, FrameError, Measured

HOUR_MS = 3_600_000
LORAWAN_BYTES = 13
LORA_PAYLOAD = {7: 222, 8: 222, 9: 115, 10: 51, 11: 51, 12: 51}
_BANDWIDTH_KHZ = 125
_LONG_SYMBOL_US = 16_000


def lora_airtime(payload: int, spreading: int) -> int:
    """Time on air in microseconds of `payload` bytes of the physical layer at SF `spreading` (7 to 12)."""
    symbol = (1 << spreading) * 1_000 // _BANDWIDTH_KHZ
    slow = symbol > _LONG_SYMBOL_US
    bits = 8 * payload - 4 * spreading + 28 + 16
    symbols = 8 + max(0, -(-bits // (4 * (spreading - 2 * slow))) * 5)
    # the preamble is 8 symbols and 4.25 more
    return symbol * (4 * symbols + 49) // 4


class Window(NamedTuple):
    """When a satellite is in sight: [start, end) in ms UTC."""

    start: int
    end: int


@dataclass(frozen=True)
class Link:
    """What a link bears. A frame leaves when `count` readings wait, when the oldest has waited `age_ms`, or when full.

    `spreading` is LoRa's; without it a frame takes its bytes at `bytes_per_second`. `duty_permille` of every hour may
    be on air. `windows`, in order and apart, are when it can be reached at all; None is always.
    """

    name: str
    payload_bytes: int
    count: int
    age_ms: int
    overhead_bytes: int = 0
    spreading: int | None = None
    bytes_per_second: int = 125_000
    duty_permille: int | None = None
    windows: tuple[Window, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.payload_bytes <= MAX_BYTES or not 0 < self.count <= MAX_READINGS:
            raise ValueError(f"{self.name}: frames of {self.payload_bytes} bytes, {self.count} readings")
        edges = [edge for window in self.windows or () for edge in window]
        if edges != sorted(edges) or any(start == end for start, end in self.windows or ()):
            raise ValueError(f"{self.name}: the windows are empty, out of order or overlap")

    def airtime(self, payload: int) -> int:
        """How long a frame of `payload` bytes is on the link, in microseconds."""
        size = payload + self.overhead_bytes
        if self.spreading is not None:
            return lora_airtime(size, self.spreading)
        return -(-size * 1_000_000 // self.bytes_per_second)


WIRED = Link("wired", payload_bytes=MAX_BYTES, count=1_000, age_ms=1_000)


def lora(spreading: int, age_ms: int = HOUR_MS) -> Link:
    """LoRaWAN on EU868 at SF 7 to 12. Raises KeyError for another."""
    return Link(
        f"LoRa SF{spreading}",
        payload_bytes=LORA_PAYLOAD[spreading],
        count=MAX_READINGS,
        age_ms=age_ms,
        overhead_bytes=LORAWAN_BYTES,
        spreading=spreading,
        duty_permille=10,
    )


def satellite(windows: tuple[Window, ...] | None, age_ms: int = 24 * HOUR_MS) -> Link:
    """Short bursts of 340 bytes (Iridium 9602's largest, mobile originated), in its windows if there are any."""
    return Link(
        "satellite", payload_bytes=340, count=MAX_READINGS, age_ms=age_ms, bytes_per_second=125, windows=windows
    )


class Sent(NamedTuple):
    """One frame on the link: [start, end) in microseconds UTC."""

    start: int
    end: int


class Departure(NamedTuple):
    """A frame that leaves now with the first `taken` of the waiting readings, and what the hour has then borne."""

    frame: bytes
    taken: int
    sent: tuple[Sent, ...]


class Wait(NamedTuple):
    """Nothing leaves before `until`, ms UTC, unless more readings come; None is never by itself. `why` in one word."""

    until: int | None
    why: str


def depart(
    link: Link, number: int, waiting: Sequence[Measured], arrived: int, now: int, sent: tuple[Sent, ...] = ()
) -> Departure | Wait:
    """What leaves at `now`: frame `number` with what fits of `waiting`, whose first came at `arrived`; ms UTC.

    Readings leave in the order in which they wait. `sent` is what the last departure stated. Raises FrameError where
    a reading is out of bounds or fits into no frame of the link.
    """
    if not waiting:
        return Wait(None, "empty")
    frame, taken = _fill(link, number, waiting)
    if taken == len(waiting) < link.count and now < arrived + link.age_ms:
        return Wait(arrived + link.age_ms, "early")
    duration = link.airtime(len(frame))
    start = _free(link, sent, now * 1_000, duration)
    if start is None:
        return Wait(None, "unseen")
    if start > now * 1_000:
        return Wait(-(-start // 1_000), "link")
    recent = tuple(one for one in sent if one.end > start - HOUR_MS * 1_000)
    return Departure(frame, taken, (*recent, Sent(start, start + duration)))


def _fill(link: Link, number: int, waiting: Sequence[Measured]) -> tuple[bytes, int]:
    """The frame of as many of the first readings as fit, and how many those are. Raises FrameError."""
    most = min(len(waiting), link.count)
    if frame := _within(link, number, waiting[:most]):
        return frame, most
    fits = bisect_left(range(1, most), True, key=lambda count: _within(link, number, waiting[:count]) is None)
    frame = _within(link, number, waiting[:fits])
    if not fits or frame is None:
        raise FrameError(f"{waiting[0]} fits into no frame of {link.name}")
    return frame, fits


def _within(link: Link, number: int, readings: Sequence[Measured]) -> bytes | None:
    try:
        frame = modem.encode(number, readings)
    except FrameError:
        return None
    return frame if len(frame) <= link.payload_bytes else None


def _free(link: Link, sent: tuple[Sent, ...], now: int, duration: int) -> int | None:
    """The first moment from `now` on at which `duration` may begin, in microseconds; None where no window is left."""
    start = max([now, *(one.end for one in sent)])
    start = _within_duty(link, sent, start, duration)
    if link.windows is None:
        return start
    for window in link.windows:
        begin = max(start, window.start * 1_000)
        if begin + duration <= window.end * 1_000:
            return begin
    return None


def _within_duty(link: Link, sent: tuple[Sent, ...], start: int, duration: int) -> int:
    """The first moment from `start` on at which the hour that ends with this frame has room for it."""
    if link.duty_permille is None:
        return start
    hour = HOUR_MS * 1_000
    allowed = hour * link.duty_permille // 1_000
    if duration > allowed:
        raise ValueError(f"a frame of {duration} µs is more than {link.name} may send in an hour")
    for one in sent:
        opens = start + duration - hour
        if sum(max(0, other.end - max(other.start, opens)) for other in sent) + duration <= allowed:
            return start
        # the oldest frame has to leave the hour altogether: its start is not worth the arithmetic
        start = max(start, one.end + hour - duration)
    return start
