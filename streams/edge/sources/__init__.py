"""What every source of an edge gateway gives: raw readings in blocks, one block a packet.

A source is anything with `blocks(after)`: an iterator over the blocks behind position `after`, where `""` is the
beginning and every other position was stated by a block of the same source. After a crash the gateway asks again from
the position that it stored with its last packet, so a source must give the same readings from there, or newer ones.

A raw reading is as the meter gave it: a decimal number in the point's unit, NaN or an infinity, or None where there is
no number at all. Scaling it to the integer that is signed is the packing's work. An empty block is meant: it makes an
empty packet, whose signed time lets windows close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


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
