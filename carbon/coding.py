"""From a message of meter.readings to its coded packet and its refused readings: verify, validate, identify.

Every reading has a carbon code; its hash, the reading's evidence leaf hash, travels in the coded packet's column
`leaves`. The code's text is only written where somebody reads it: at a refused reading.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from carbon import identity, validation
from carbon import packet as packets
from carbon.packet import Packet, PacketError
from carbon.registry import Registry
from carbon.validation import Reason
from schemas import codec

SCHEMA = "coded-packet"
WHOLE_MESSAGE = -1
LEAF_HASH_BYTES = 32

Item = dict[str, Any]
"""One refused reading, as `items` of schemas/avro/rejection.avsc has it."""


@dataclass(frozen=True, slots=True)
class CodedPacket:
    """A verified packet with its readings' verdicts (n,) and leaf hashes, and its bytes for readings.coded."""

    packet: Packet
    leaves: list[bytes]
    items: list[Item]
    """The refused readings."""
    message: bytes


def code(message: bytes, registry: Registry, channel: bytes) -> CodedPacket:
    """Verify, validate and identify one message of meter.readings. Raises PacketError as `packet.verify` does."""
    packet = packets.verify(message, registry, channel)
    reasons = validation.check(packet, registry)
    leaves = packets.leaf_hashes(packet)
    refused = [
        item(packet, index, leaves[index], Reason(reasons[index]), registry)
        for index in np.flatnonzero(reasons).tolist()
    ]
    fields = {"gateway": packet.gateway, "run": packet.run, "sequence": packet.sequence, "digest": packet.digest}
    columns = {"body": packet.body, "reasons": reasons.tobytes(), "leaves": b"".join(leaves)}
    return CodedPacket(packet, leaves, refused, codec.encode(SCHEMA, fields | columns))


def decode(message: bytes) -> tuple[Packet, list[bytes]]:
    """The packet and the leaf hashes of a message from readings.coded. Raises PacketError `not_a_packet`."""
    try:
        fields = codec.decode(SCHEMA, message)
    except codec.CodecError as error:
        raise PacketError("not_a_packet", str(error)) from error
    packet, leaves = packets.decode_body(fields["body"]), fields["leaves"]
    name = (packet.gateway, packet.run, packet.sequence, packet.digest)
    if name != (fields["gateway"], fields["run"], fields["sequence"], fields["digest"]):
        raise PacketError("not_a_packet", "the coded packet names another packet than its body is")
    if len(leaves) != LEAF_HASH_BYTES * len(packet) or len(fields["reasons"]) != len(packet):
        raise PacketError("not_a_packet", f"verdicts or hashes do not fit {len(packet)} readings")
    return packet, [leaves[i : i + LEAF_HASH_BYTES] for i in range(0, len(leaves), LEAF_HASH_BYTES)]


def item(packet: Packet, index: int, leaf_hash: bytes, reason: Reason, registry: Registry) -> Item:
    """One refused reading with its figures, its reason and, where its point is registered, its carbon code."""
    point, at = packet.points[packet.point[index]], int(packet.at[index])
    return {
        "index": index,
        "point": point,
        "at": at,
        "value": int(packet.value[index]),
        "code": _code(point, at, leaf_hash, registry),
        "reason": reason.label,
        "detail": validation.sentence(reason, packet, index, registry),
    }


def whole(reason: str, detail: str) -> Item:
    """The refusal of a message as a whole."""
    return {"index": WHOLE_MESSAGE, "reason": reason, "detail": detail}


def _code(point: str, at: int, leaf_hash: bytes, registry: Registry) -> str | None:
    registered = registry.points.get(point)
    if registered is None:
        return None
    try:
        return identity.reading_code(registry.prefix, registered.subject, registered.object, at, leaf_hash)
    except OverflowError:
        # a refused time may lie beyond the years that a calendar has
        return None
