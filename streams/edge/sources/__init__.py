"""What every source of an edge gateway gives: raw readings.

A replay gives blocks, one block a packet. It is anything with `blocks(after)`: an iterator over the blocks behind
position `after`, where `""` is the beginning and every other position was stated by a block of the same source. After a
crash the gateway asks again from the position that it stored with its last packet, so a source must give the same
readings from there, or newer ones. An empty block is meant: it makes an empty packet, whose signed time lets windows
close.

A live source serves devices: for each message of one it makes an arrival, awaits that it is kept, and only then
answers. What is not answered the device sends again, so the same arrival may come twice.

A raw reading is as the meter gave it: a decimal number in the point's unit, NaN or an infinity, or None where there is
no number at all. Scaling it to the integer that is signed is the packing's work.
"""

from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol


class RawReading(NamedTuple):
    """One reading: point id, event time in ms UTC, value in the point's unit, HJ 212 data flag (one letter)."""

    point: str
    at: int
    value: Decimal | None
    flag: str = "N"


@dataclass(frozen=True)
class Block:
    """The readings of one packet, the time in ms UTC at which it is sent, and the source's position behind it."""

    readings: Sequence[RawReading]
    sent_at: int
    position: str


class Arrival(NamedTuple):
    """One message of a device: the device's registered name, the message's bytes as they came, but for a
    password, and what it measured."""

    device: str
    raw: bytes
    readings: tuple[RawReading, ...]


class NoRoom(Exception):
    """The store is at its bound: the device is not answered, or told to wait, and sends again."""


class Keep(Protocol):
    """How a source hands over what came."""

    def __call__(self, arrival: Arrival) -> Awaitable[None]:
        """Done once the arrival is on disk, or was before. Awaited, raises NoRoom; then nothing of it is kept."""


class LiveSource(Protocol):
    """A source of devices that send by themselves, or that it asks. `counts` says by name what became of what came."""

    counts: Counter[str]

    async def serve(self, keep: Keep) -> None:
        """Receive until cancelled. A device that misbehaves is refused and counted; it never ends the source."""
