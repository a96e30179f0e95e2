"""Feed of `readings`: coded packets to columns, without a Python step per reading.

A packet is (gateway, run, sequence). It may stand on the topic more than once; the one that comes first is written.
A packet's rows enter the table in one part, so a packet is there whole or not at all, and the table itself says which
packets it has: a sequence that is missing among greater ones is still taken when it comes. What was coded by a registry
that the ledger's feed has not come to yet waits on the topic, so rows don't depend on which topic was read first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from carbon.identity import HASH_BYTES
from carbon.packet import Packet, PacketError, decode_body
from carbon.validation import Reason
from schemas import codec, topics
from sinks.clickhouse import engine
from sinks.clickhouse.feed import (
    EarlyError,
    Message,
    Place,
    PoisonedError,
    Unfit,
    greatest_offsets,
    insert_fit,
    stop,
)
from sinks.clickhouse.reference import UNKNOWN, Reference
from sinks.clickhouse.sequences import Sequences

TABLE = "readings"
LEAF_HASH_BYTES = 32
_RANGES = """
SELECT gateway, run, min(sequence), max(sequence)
FROM
(
    SELECT gateway, run, sequence,
        sequence - row_number() OVER (PARTITION BY gateway, run ORDER BY sequence) AS island
    FROM (SELECT gateway, run, sequence FROM readings GROUP BY gateway, run, sequence)
)
GROUP BY gateway, run, island"""


def _label(number: int) -> str:
    if number == Reason.VALID:
        return ""
    return Reason(number).label if number in set(Reason) else f"rule_{number}"


_REASONS = pa.array([_label(number) for number in range(256)])
_FLAGS = pa.array([chr(code) for code in range(256)])


class CodedPacket(NamedTuple):
    """A packet with its verdicts: `reasons` (n,) rule numbers, `hashes` (n, 32) leaf hashes, and where it stood."""

    packet: Packet
    reasons: NDArray[np.uint8]
    hashes: NDArray[np.uint8]
    partition: int
    offset: int


def parse(message: Message) -> CodedPacket:
    """The coded packet of a message from readings.coded. Raises PoisonedError."""
    try:
        fields = codec.decode("coded-packet", message.value)
        packet = decode_body(fields["body"])
    except (codec.CodecError, PacketError) as error:
        raise PoisonedError(str(error)) from error
    if (packet.gateway, packet.run, packet.sequence) != (fields["gateway"], fields["run"], fields["sequence"]):
        raise PoisonedError("the packet inside is another than the one it is said to be")
    if len(fields["reasons"]) != len(packet) or len(fields["leaves"]) != LEAF_HASH_BYTES * len(packet):
        raise PoisonedError(f"verdicts or hashes do not fit the {len(packet)} readings")
    reasons = np.frombuffer(fields["reasons"], np.uint8)
    hashes = np.frombuffer(fields["leaves"], np.uint8).reshape(-1, LEAF_HASH_BYTES)
    return CodedPacket(packet, reasons, hashes, message.partition, message.offset)


def columns(batch: Sequence[CodedPacket], reference: Reference) -> pa.Table:
    """The rows of table `readings` for packets in order, as one Arrow table of n rows in all."""
    sizes = [len(coded.packet) for coded in batch]
    names: dict[str, int] = {}
    point = _joined(batch, lambda coded: _places(coded.packet.points, names)[coded.packet.point])
    facts = [*(reference.facts(name) for name in names), UNKNOWN]
    whose = np.where(_joined(batch, lambda coded: coded.reasons) == Reason.UNKNOWN_POINT, np.int32(len(names)), point)
    hashes = np.ascontiguousarray(_joined(batch, lambda coded: coded.hashes[:, :HASH_BYTES]))
    at = _joined(batch, lambda coded: coded.packet.at)
    once = np.zeros(sum(sizes), np.int32)
    return pa.table(
        {
            "gateway": _repeated_text([coded.packet.gateway for coded in batch], sizes),
            "gateway_kind": _repeated_text([reference.kind(coded.packet.gateway) for coded in batch], sizes),
            "run": _repeated(np.uint32, [coded.packet.run for coded in batch], sizes),
            "sequence": _repeated(np.uint64, [coded.packet.sequence for coded in batch], sizes),
            "index": np.concatenate([np.arange(size, dtype=np.uint32) for size in sizes]),
            "point": _text(point, list(names)),
            "subject": _text(whose, [fact.subject for fact in facts]),
            "object": _text(whose, [fact.object for fact in facts]),
            "prefix": _text(once, [reference.prefix]),
            "at": pa.array(at).cast(pa.timestamp("ms", "UTC")),
            "value": _joined(batch, lambda coded: coded.packet.value),
            "scale": np.array([fact.scale for fact in facts], np.uint8)[whose],
            "unit": _text(whose, [fact.unit for fact in facts]),
            "flag": pa.DictionaryArray.from_arrays(_joined(batch, lambda c: c.packet.flag).astype(np.int32), _FLAGS),
            "reason": pa.DictionaryArray.from_arrays(_joined(batch, lambda c: c.reasons).astype(np.int32), _REASONS),
            "hash": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(HASH_BYTES), len(hashes), [None, pa.py_buffer(hashes)]
            ),
            "partition": _repeated(np.uint32, [coded.partition for coded in batch], sizes),
            "offset": _repeated(np.uint64, [coded.offset for coded in batch], sizes),
        }
    )


def _joined(batch: Sequence[CodedPacket], column: Callable[[CodedPacket], NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([column(coded) for coded in batch])


def _places(names: Sequence[str], known: dict[str, int]) -> NDArray[np.int32]:
    return np.array([known.setdefault(name, len(known)) for name in names], np.int32)


def _repeated(dtype: type[np.generic], values: list[int], sizes: list[int]) -> NDArray[Any]:
    return np.repeat(np.array(values, dtype), sizes)


def _repeated_text(values: list[str], sizes: list[int]) -> Any:
    known: dict[str, int] = {}
    return _text(np.repeat(_places(values, known), sizes), list(known))


def _text(places: NDArray[np.int32], values: list[str]) -> Any:
    # several points may share a subject or unit, and a dictionary may not hold a value twice
    distinct: dict[str, int] = {}
    mapping = _places(values, distinct)
    return pa.DictionaryArray.from_arrays(pa.array(mapping[places]), pa.array(list(distinct), pa.string()))


class ReadingsFeed:
    """The feed of table `readings` from topic readings.coded."""

    topics = (topics.READINGS_CODED,)

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._seen: dict[tuple[str, int], Sequences] = {}
        self._batch: list[CodedPacket] = []
        self._rows = 0
        self.repeats = 0
        """Packets that were dropped because they had come before."""

    @property
    def waiting(self) -> int:
        """Rows of the open batch."""
        return self._rows

    def resume(self, client: Any) -> Mapping[Place, int]:
        """Learn which packets the table has; the offsets after the greatest ones."""
        runs: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for gateway, run, first, last in client.query(_RANGES).result_rows:
            runs.setdefault((gateway, run), []).append((first, last))
        self._seen = {key: Sequences(ranges) for key, ranges in runs.items()}
        return greatest_offsets(client, TABLE, topics.READINGS_CODED)

    def take(self, message: Message) -> None:
        """Take a packet that has not come before. Raises PoisonedError, EarlyError."""
        coded = parse(message)
        seen = self._seen.setdefault((coded.packet.gateway, coded.packet.run), Sequences())
        if coded.packet.sequence in seen:
            self.repeats += 1
            return
        if self._is_early(coded):
            raise EarlyError(f"a packet of {coded.packet.gateway} by a registry that was not read yet")
        seen.add(coded.packet.sequence)
        if len(coded.packet):
            self._batch.append(coded)
            self._rows += len(coded.packet)

    def _is_early(self, coded: CodedPacket) -> bool:
        packet = coded.packet
        if not self._reference.lacks(packet.gateway, packet.points):
            return False
        known_then = np.unique(packet.point[coded.reasons != Reason.UNKNOWN_POINT])
        return self._reference.lacks(packet.gateway, (packet.points[place] for place in known_then))

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Write the open batch as one part, without the packets whose rows do not fit."""
        if self._batch:
            insert_fit(
                self._batch, lambda batch: self._insert(client, batch), lambda coded, why: unfit(_origin(coded), why)
            )
        self._batch, self._rows = [], 0

    def _insert(self, client: Any, batch: Sequence[CodedPacket]) -> None:
        engine.insert(client, TABLE, columns(batch, self._reference), map(_origin, batch))


def _origin(coded: CodedPacket) -> str:
    return f"{topics.READINGS_CODED}:{coded.partition}:{coded.offset}"
