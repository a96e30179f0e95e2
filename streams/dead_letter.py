"""Dead letters: the original message with what was refused in it, and Kafka Connect's headers that say why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from carbon.coding import Item
from carbon.packet import Packet
from schemas import codec
from schemas.metrics import DEAD_LETTERS, REJECTIONS
from schemas.observed import Observed

ITEMS_PER_LETTER = 2_000
"""More refused readings of one packet go into further letters, so that a letter stays below its topic's limit."""


class Letter(NamedTuple):
    """A message for readings.rejected."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    reasons: Counter[str]
    """How much was refused in it, by reason."""


@dataclass(frozen=True, slots=True)
class Original:
    """A message as it was read, and the stage of the pipeline that refused something in it."""

    stage: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes


def letters(original: Original, items: Sequence[Item], packet: Packet | None = None) -> Iterator[Letter]:
    """The dead letters for what was refused in one message; `packet` when it could be read as one."""
    for start in range(0, len(items), ITEMS_PER_LETTER):
        part = items[start : start + ITEMS_PER_LETTER]
        reasons = Counter(item["reason"] for item in part)
        yield Letter(original.key, _rejection(original, part, packet), _headers(original, part), reasons)


def counted(found: Iterable[Letter], observed: Observed) -> Iterator[Letter]:
    """The same dead letters, counted by what was refused in them."""
    for letter in found:
        observed.count(DEAD_LETTERS)
        for reason, count in letter.reasons.items():
            observed.count(REJECTIONS, reason, by=count)
        yield letter


def _rejection(original: Original, items: Sequence[Item], packet: Packet | None) -> bytes:
    fields = {name: getattr(original, name) for name in ("stage", "topic", "partition", "offset", "key")}
    content = {"digest": sha256(original.value).digest(), "original": original.value, "items": items}
    place = {} if packet is None else {"gateway": packet.gateway, "run": packet.run, "sequence": packet.sequence}
    return codec.encode("rejection", fields | content | place)


def _headers(original: Original, items: Sequence[Item]) -> list[tuple[str, bytes]]:
    first = items[0]
    more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
    values = {
        "topic": original.topic,
        "partition": str(original.partition),
        "offset": str(original.offset),
        "stage": original.stage,
        "class.name": first["reason"],
        "exception.message": first["detail"] + more,
    }
    return [(f"__connect.errors.{name}", value.encode()) for name, value in values.items()]
