"""The packet: n readings as columns, chained to the packet before and signed once by the gateway.

Column types: `point` u16 (index into `points`), `at` i64 (ms UTC), `value` i64 (integer of the point's scale), `flag`
u8 (HJ 212 letter, or X). On the wire each column is big-endian bytes; here NumPy arrays of native order.

The canonical reading is 33 bytes, point key (16) ‖ at (i64) ‖ value (i64) ‖ flag (u8), big-endian; the evidence leaf
is its salt (16) before it, and the leaf hash RFC 6962's. A reading's salt is the 16 bytes at 16 · index of
SHAKE128 over a context and the packet's salt: nobody but the gateway chooses it.
"""

from dataclasses import dataclass
from hashlib import sha256, shake_128
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbon import merkle, signing
from carbon.registry import POINT_KEY_BYTES, Registry
from carbon.signers import Gateway
from schemas import codec

KIND = "packet"
MAX_READINGS = 8_192
MAX_LOST = 1_000
"""Sequences that one packet may state as lost, more take several: who reads a range of packets passes over each."""
SALT_BYTES = 16
LEAF_BYTES = SALT_BYTES + POINT_KEY_BYTES + 8 + 8 + 1
ZERO_DIGEST = bytes(32)
NOT_A_NUMBER = ord("X")
AT_LIMIT = 1 << 52
"""Times beyond this many ms are refused, so that no arithmetic on them can wrap."""

_SALT_CONTEXT = b"carbonledger/reading-salt/v1\n"
_COLUMNS: dict[str, np.dtype[Any]] = {
    "point": np.dtype(">u2"),
    "at": np.dtype(">i8"),
    "value": np.dtype(">i8"),
    "flag": np.dtype("u1"),
}


class PacketError(ValueError):
    """A message that is not a well-formed packet of a registered gateway; `reason` is the rule's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """A decoded packet body. `digest` is SHA-256 of `body`, the bytes as signed."""

    gateway: str
    run: int
    sequence: int
    lost: int
    previous: bytes
    sent_at: int
    salt: bytes
    points: tuple[str, ...]
    point: NDArray[np.uint16]
    at: NDArray[np.int64]
    value: NDArray[np.int64]
    flag: NDArray[np.uint8]
    body: bytes
    digest: bytes

    def __len__(self) -> int:
        return len(self.at)


def encode_body(
    *,
    gateway: str,
    run: int,
    sequence: int,
    previous: bytes,
    sent_at: int,
    salt: bytes,
    points: list[str],
    columns: dict[str, Any],
    lost: int = 0,
) -> bytes:
    """The bytes to sign. `columns` holds point, at, value and flag as arrays or lists of one length."""
    fields = {name: np.asarray(columns[name]).astype(dtype).tobytes() for name, dtype in _COLUMNS.items()}
    head = {"gateway": gateway, "run": run, "sequence": sequence, "lost": lost, "previous": previous}
    return codec.encode_bare("packet-body", head | {"sent_at": sent_at, "salt": salt, "points": points} | fields)


def sign(seed: bytes, channel: bytes, body: bytes) -> bytes:
    """The message for meter.readings: a signed packet in wire format."""
    return codec.encode("packet", {"body": body, "signature": signing.sign(seed, KIND, channel, body)})


def decode_body(body: bytes) -> Packet:
    """The packet of a body. Raises PacketError `not_a_packet`."""
    try:
        fields = codec.decode_bare("packet-body", body)
    except codec.CodecError as error:
        raise PacketError("not_a_packet", str(error)) from error
    columns = {name: _column(name, fields[name]) for name in _COLUMNS}
    packet = Packet(**{**fields, **columns, "points": tuple(fields["points"])}, body=body, digest=sha256(body).digest())
    _check_shape(packet)
    return packet


def sent_at(body: bytes) -> int:
    """The sending time, ms UTC, of a body that was made or checked before; its first bytes are enough.

    Raises IndexError when they are not.
    """
    size, at = _long(body, 0)
    _, at = _long(body, at + size)
    for _ in range(2):
        _, at = _long(body, at)
    return _long(body, at + len(ZERO_DIGEST))[0]


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Avro's integer at a place, and the place behind it."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    value |= data[at] << shift
    return (value >> 1) ^ -(value & 1), at + 1


def _column(name: str, data: bytes) -> NDArray[Any]:
    dtype = _COLUMNS[name]
    if len(data) % dtype.itemsize:
        raise PacketError("not_a_packet", f"column {name} is cut off")
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))


def _check_shape(packet: Packet) -> None:
    sizes = {len(packet.point), len(packet.at), len(packet.value), len(packet.flag)}
    if len(sizes) != 1 or len(packet) > MAX_READINGS:
        raise PacketError("not_a_packet", f"columns of {sorted(sizes)} readings (at most {MAX_READINGS})")
    if len(set(packet.points)) != len(packet.points) or (len(packet) and packet.point.max() >= len(packet.points)):
        raise PacketError("not_a_packet", "the column point does not fit the points")
    if packet.run < 0 or packet.sequence < 1 or not 0 <= packet.lost < min(packet.sequence, MAX_LOST + 1):
        raise PacketError("not_a_packet", f"run {packet.run}, sequence {packet.sequence}, lost {packet.lost}")
    if not 0 <= packet.sent_at < AT_LIMIT or (len(packet) and (packet.at.min() < 0 or packet.at.max() >= AT_LIMIT)):
        raise PacketError("not_a_packet", "a time is out of bounds")


def verify(message: bytes, registry: Registry, channel: bytes) -> Packet:
    """The packet of a message from meter.readings, whose gateway is registered and signed it.

    Raises PacketError: not_a_packet, unknown_gateway, wrong_signature, revoked_key, wrong_run.
    """
    try:
        fields = codec.decode("packet", message)
    except codec.CodecError as error:
        raise PacketError("not_a_packet", str(error)) from error
    packet = decode_body(fields["body"])
    gateway = registry.gateways.get(packet.gateway)
    if gateway is None:
        raise PacketError("unknown_gateway", f"{packet.gateway!r} is not registered")
    _check_signature(gateway, channel, packet.body, fields["signature"])
    if packet.run != gateway.run:
        raise PacketError("wrong_run", f"run {packet.run} where the registry says {gateway.run}")
    return packet


def _check_signature(gateway: Gateway, channel: bytes, body: bytes, signature: bytes) -> None:
    if signing.verify(gateway.key, KIND, channel, body, signature):
        if gateway.revoked:
            raise PacketError("revoked_key", f"the key of {gateway.id} counts no more")
        return
    if any(signing.verify(key, KIND, channel, body, signature) for key in gateway.retired):
        raise PacketError("revoked_key", f"a key of an earlier run of {gateway.id}, which counts no more")
    raise PacketError("wrong_signature", f"not signed by the registered key of {gateway.id}")


def body_of(message: bytes) -> bytes:
    """The body of a message that was verified before. Raises CodecError."""
    body: bytes = codec.decode("packet", message)["body"]
    return body


def evidence_leaves(packet: Packet) -> NDArray[np.uint8]:
    """The evidence leaves, (n, 49) bytes: salt ‖ canonical reading, in packet order."""
    count = len(packet)
    leaves = np.empty((count, LEAF_BYTES), np.uint8)
    stream = shake_128(_SALT_CONTEXT + packet.salt).digest(SALT_BYTES * count)
    keys = b"".join(sha256(point.encode()).digest()[:POINT_KEY_BYTES] for point in packet.points)
    leaves[:, :16] = np.frombuffer(stream, np.uint8).reshape(count, SALT_BYTES)
    leaves[:, 16:32] = np.frombuffer(keys, np.uint8).reshape(-1, POINT_KEY_BYTES)[packet.point]
    leaves[:, 32:40] = packet.at.astype(">i8").view(np.uint8).reshape(count, 8)
    leaves[:, 40:48] = packet.value.astype(">i8").view(np.uint8).reshape(count, 8)
    leaves[:, 48] = packet.flag
    return leaves


def leaf_hashes(packet: Packet) -> list[bytes]:
    """RFC 6962 leaf hash of every reading, in packet order."""
    return merkle.leaf_hashes(evidence_leaves(packet))
