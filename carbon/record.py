"""The record: one link of a point's chain, its canonical bytes, its salt and the commitment that goes into the log.

The payload is Avro (`schemas/avro/record.avsc`). Seven members build every payload again to compare it with the
proposed one, so it is put together here from parts that stay the same for a point, for a range and for a record; a test
holds it against the Avro library byte for byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

from carbon import identity
from carbon.packet import ZERO_DIGEST
from carbon.registry import Point, Registry
from carbon.window import Window
from schemas import codec

SCHEMA = "record"
SALT_BYTES = 16
CAUSES = ("WINDOW", "LATE", "FACTOR")
_CAUSE_BYTES = {cause: bytes((2 * index,)) for index, cause in enumerate(CAUSES)}
_SALT_CONTEXT = b"carbonledger/record-salt/v1\n"


class EvidenceRange(NamedTuple):
    """Packets `first` to `last` of a run; `digest` is of the last one."""

    gateway: str
    run: int
    first: int
    last: int
    digest: bytes


class Replaced(NamedTuple):
    """The version of a window that a correction replaces."""

    version: int
    evidence_root: bytes
    emission_g: int


@dataclass(slots=True)
class Draft:
    """A record before it has a place in its point's chain. Times ms UTC, window [start, start + window_seconds).

    Never changed once made; not frozen, because a frozen dataclass takes three times as long to make.
    """

    point: str
    window_start: int
    window: Window
    evidence: tuple[EvidenceRange, ...]
    salt: bytes
    emission_g: int
    version: int = 1
    cause: str = "WINDOW"
    replaces: Replaced | None = None


_SHORT = [bytes((number,)) for number in range(0x80)]


def encode_long(value: int) -> bytes:
    """Avro's zig-zag variable-length integer (Avro 1.12, 'Binary encoding')."""
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return _SHORT[rest]
    out = []
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _encode_string(text: str) -> bytes:
    data = text.encode()
    return encode_long(len(data)) + data


def head(point: Point, factors: bytes) -> bytes:
    """The part of a payload that is the same for all records of a point: point to expected."""
    texts = _encode_string(point.id) + _encode_string(point.subject) + _encode_string(point.unit)
    rule = encode_long(point.scale) + _encode_string(str(point.emission)) + factors
    return texts + rule + encode_long(point.window_seconds) + encode_long(point.expected)


def encode_evidence(evidence: Iterable[EvidenceRange]) -> bytes:
    """The evidence array of a payload."""
    items = list(evidence)
    data = b"".join(
        _encode_string(r.gateway) + encode_long(r.run) + encode_long(r.first) + encode_long(r.last) + r.digest
        for r in items
    )
    return encode_long(len(items)) + data + b"\0" if items else b"\0"


class PayloadWriter:
    """Builds payloads for the points of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._heads = {point.id: head(point, registry.factors.digest) for point in registry.points.values()}
        self._evidence: tuple[tuple[EvidenceRange, ...], bytes] = ((), b"\0")
        self._start: tuple[int, bytes] = (0, encode_long(0))

    def payload(self, draft: Draft, previous: bytes) -> bytes:
        """Canonical bytes of the record that puts `draft` behind the record with commitment `previous`."""
        window = draft.window
        if self._evidence[0] is not draft.evidence:
            self._evidence = draft.evidence, encode_evidence(draft.evidence)
        if self._start[0] != draft.window_start:
            self._start = draft.window_start, encode_long(draft.window_start)
        return b"".join(
            (
                self._heads[draft.point],
                previous,
                self._evidence[1],
                _encode_replaced(draft.replaces) if draft.replaces else b"\0",
                window.evidence_root,
                ZERO_DIGEST,
                self._start[1],
                _SHORT[2 * draft.version] if draft.version < 64 else encode_long(draft.version),
                _CAUSE_BYTES[draft.cause],
                encode_long(window.count),
                encode_long(window.quantity),
                encode_long(draft.emission_g),
            )
        )

    def previous_of(self, point: str, payload: bytes) -> bytes | None:
        """The predecessor's commitment that a payload states; None when it can't be a payload of `point`."""
        start = self._heads[point]
        if not payload.startswith(start) or len(payload) < len(start) + 32:
            return None
        return payload[len(start) : len(start) + 32]


def _encode_replaced(replaced: Replaced) -> bytes:
    return b"\x02" + encode_long(replaced.version) + replaced.evidence_root + encode_long(replaced.emission_g)


class RecordSalts:
    """Salts of the records that rest on the same packets: keyed BLAKE2b over the packets' salts and the record's name.

    Nobody chooses a record's salt: it follows from the salts that the gateway signed.
    """

    def __init__(self, channel: bytes, packet_salts: Iterable[bytes]) -> None:
        self._channel = _SALT_CONTEXT + channel
        self._key = blake2b(b"".join(packet_salts), digest_size=32).digest()

    def salt(self, point: str, window_start: int, version: int) -> bytes:
        """The 16-byte salt of a record."""
        name = f"{point}\n{window_start}\n{version}".encode()
        return blake2b(self._channel + name, key=self._key, digest_size=SALT_BYTES).digest()


def commitment(salt: bytes, payload: bytes) -> bytes:
    """SHA-256(salt ‖ payload): what the leaf holds, and what the point's next record calls `previous`."""
    return sha256(salt + payload).digest()


def decode(payload: bytes) -> dict[str, Any]:
    """The fields of a payload. Raises CodecError."""
    fields: dict[str, Any] = codec.decode_bare(SCHEMA, payload)
    return fields


def draft_of(fields: dict[str, Any], salt: bytes) -> Draft:
    """The draft that a decoded payload was made from, so that it can be put behind another predecessor."""
    window = Window(fields["count"], fields["quantity"], fields["evidence_root"])
    evidence = tuple(EvidenceRange(**item) for item in fields["evidence"])
    name, emission = (fields["point"], fields["window_start"]), fields["emission_g"]
    draft = Draft(*name, window, evidence, salt, emission, fields["version"], fields["cause"])
    return replace(draft, replaces=Replaced(**fields["replaces"])) if fields["replaces"] else draft


def posted_g(fields: dict[str, Any]) -> int:
    """What a record adds to its subject's emissions, in grams: all of it, or a correction's difference."""
    before: int = fields["replaces"]["emission_g"] if fields["replaces"] else 0
    return int(fields["emission_g"]) - before


def code(fields: dict[str, Any], commitment_: bytes, registry: Registry) -> str:
    """The carbon code of a record."""
    point = registry.points[fields["point"]]
    start, seconds = fields["window_start"], fields["window_seconds"]
    return identity.record_code(registry.prefix, point.subject, point.object, start, seconds, commitment_)
