"""The record: one link of a point's chain, its canonical bytes, its salt and the commitment that goes into the log.

The payload is Avro (`schemas/avro/record.avsc`). Seven members build every payload again to compare it with the
proposed one, so it is put together here from parts that stay the same for a point, for a range and for a record; a test
holds it against the Avro library byte for byte.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from carbon import identity
from carbon.packet import ZERO_DIGEST
from carbon.registry import Point, Registry
from carbon.substitution import states_stop, tier_row, with_stop, with_tier
from carbon.window import Window
from schemas import codec

SCHEMA = "record"
FIRST_SCHEMA = "record@1"
"""The version that knows no substitution: what it can read is still stated as of it."""
SALT_BYTES = 16
MOST_POINTS = 100_000
"""Points whose heads a reader remembers."""
CAUSES = ("WINDOW", "LATE", "FACTOR", "SUBSTITUTED", "MEASURED")
SUBSTITUTING = frozenset({"SUBSTITUTED", "MEASURED"})
"""Causes that say that an hour's quantity is a tier's value, or was and is measured now."""
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


class Tier(NamedTuple):
    """What a substituted hour's value is from: the factor row of its tier, empty without one, and the digest of the
    measured hours that it rests on."""

    row: str
    boundary: bytes


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
    tier: Tier | None = None
    stopped: bool = False
    """Whether the plant stood still, so that nothing is missing of an hour with too few readings."""


_SHORT = [bytes((number,)) for number in range(0x80)]
_LOW = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(0x4000)]
"""Two bytes with more to come, of the lowest 14 bits."""


def encode_long(value: int) -> bytes:
    """Avro's zig-zag variable-length integer (Avro 1.12, 'Binary encoding')."""
    rest = (value << 1) ^ (value >> 63)
    if rest < 0x80:
        return _SHORT[rest]
    out = b""
    while rest > 0x3FFF:
        out += _LOW[rest & 0x3FFF]
        rest >>= 14
    return out + (_SHORT[rest] if rest < 0x80 else bytes((rest & 0x7F | 0x80, rest >> 7)))


def _encode_string(text: str) -> bytes:
    data = text.encode()
    return encode_long(len(data)) + data


def head(point: Point, factors: bytes, rule: str | None = None) -> bytes:
    """The part of a payload that is the same for all records of a point whose rule says no more: point to expected."""
    texts = (point.id, point.subject)
    return head_of(*texts, *point.quantity, rule or point.rule, factors, point.window_seconds, point.expected)


def beginning(point: str) -> bytes:
    """What all payloads of a point begin with, whatever its rule was when: its id."""
    return _encode_string(point)


def stated(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of that part, of a payload that was read."""
    return dict(islice(fields.items(), 8))


def head_of(
    point: str, subject: str, unit: str, scale: int, rule: str, factors: bytes, window_seconds: int, expected: int
) -> bytes:
    """The same part, from its fields."""
    texts = _encode_string(point) + _encode_string(subject) + _encode_string(unit)
    rest = encode_long(scale) + _encode_string(rule) + factors
    return texts + rest + encode_long(window_seconds) + encode_long(expected)


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
        self._registry = registry
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
                self._head(draft),
                previous,
                self._evidence[1],
                _encode_replaced(draft.replaces) if draft.replaces else b"\0",
                window.evidence_root,
                ZERO_DIGEST if draft.tier is None else draft.tier.boundary,
                self._start[1],
                _SHORT[2 * draft.version] if draft.version < 64 else encode_long(draft.version),
                _CAUSE_BYTES[draft.cause],
                encode_long(window.count),
                encode_long(window.quantity),
                encode_long(draft.emission_g),
            )
        )

    def _head(self, draft: Draft) -> bytes:
        if draft.tier is None and not draft.stopped:
            return self._heads[draft.point]
        point = self._registry.points[draft.point]
        rule = with_stop(point.rule) if draft.tier is None else with_tier(point.rule, draft.tier.row)
        return head(point, self._registry.factors.digest, rule)

    def previous_of(self, point: str, payload: bytes) -> bytes | None:
        """The predecessor's commitment that a payload states; None where its rule says more, or for another point's."""
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
        key = blake2b(b"".join(packet_salts), digest_size=32).digest()
        self._keyed = blake2b(_SALT_CONTEXT + channel, key=key, digest_size=SALT_BYTES)

    def salt(self, point: str, window_start: int, version: int) -> bytes:
        """The 16-byte salt of a record."""
        keyed = self._keyed.copy()
        keyed.update(f"{point}\n{window_start}\n{version}".encode())
        return keyed.digest()


def commitment(salt: bytes, payload: bytes) -> bytes:
    """SHA-256(salt ‖ payload): what the leaf holds, and what the point's next record calls `previous`."""
    return sha256(salt + payload).digest()


def commitments(salts: bytes, payloads: Sequence[bytes]) -> list[bytes]:
    """The commitments to payloads whose salts stand one behind the other. Raises ValueError if they are not as many."""
    each = np.frombuffer(salts, f"V{SALT_BYTES}").tolist()
    return [sha256(salt + payload).digest() for salt, payload in zip(each, payloads, strict=True)]


def decode(payload: bytes) -> dict[str, Any]:
    """The fields of a payload. Raises CodecError."""
    fields: dict[str, Any] = codec.decode_bare(SCHEMA, payload)
    return fields


class _Reader:
    """Remembers what many payloads have in common: how they begin, and the packets that they name."""

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[bytes, dict[str, Any]]] = {}
        self._evidence: tuple[bytes, list[dict[str, Any]]] = (b"", [])

    def read(self, payload: bytes) -> dict[str, Any]:
        start, fixed = self._heads.get(_name(payload), (b"", {}))
        named, evidence = self._evidence
        at = len(start) + 32
        rest = at + len(named)
        if not (start and named and payload.startswith(start) and payload.startswith(named, at)):
            return self._learn(payload)
        numbers = _longs(payload, rest + 65)
        if payload[rest : rest + 1] != b"\0" or len(numbers) != 6 or not 0 <= numbers[2] < len(CAUSES):
            return self._learn(payload)
        return {
            **fixed,
            "previous": payload[at - 32 : at],
            "evidence": evidence,
            "replaces": None,
            "evidence_root": payload[rest + 1 : rest + 33],
            "boundary": payload[rest + 33 : rest + 65],
            "window_start": numbers[0],
            "version": numbers[1],
            "cause": CAUSES[numbers[2]],
            "count": numbers[3],
            "quantity": numbers[4],
            "emission_g": numbers[5],
        }

    def _learn(self, payload: bytes) -> dict[str, Any]:
        fields: dict[str, Any] = codec.read_bare(SCHEMA, payload)
        fixed = stated(fields)
        start = head_of(**fixed)
        if payload.startswith(start) and len(self._heads) < MOST_POINTS:
            self._heads[_name(payload)] = start, fixed
        named = encode_evidence(EvidenceRange(**item) for item in fields["evidence"])
        self._evidence = named, fields["evidence"]
        return fields


def _name(payload: bytes) -> bytes:
    """The bytes of the point's id, if it is shorter than 64."""
    return payload[: 1 + payload[0] // 2] if payload else b""


_reader = _Reader()


def read(payload: bytes) -> dict[str, Any]:
    """The fields of a payload whose bytes are fixed already by a commitment (see `codec.read_bare`). Raises CodecError.

    The Avro library reads the first payload of a point or of a range of packets, and every correction; of the others
    only what is new is read, in a third of the time.
    """
    return _reader.read(payload)


def _longs(data: bytes, start: int) -> list[int]:
    """Avro's integers from a place to the end; what is cut off is left out."""
    numbers: list[int] = []
    value = shift = 0
    for byte in data[start:]:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            numbers.append((value >> 1) ^ -(value & 1))
            value = shift = 0
    return numbers


def draft_of(fields: dict[str, Any], salt: bytes) -> Draft:
    """The draft that a decoded payload was made from, so that it can be put behind another predecessor."""
    window = Window(fields["count"], fields["quantity"], fields["evidence_root"])
    evidence = tuple(EvidenceRange(**item) for item in fields["evidence"])
    name, emission = (fields["point"], fields["window_start"]), fields["emission_g"]
    draft = Draft(*name, window, evidence, salt, emission, fields["version"], fields["cause"], tier=tier_of(fields))
    draft.stopped = states_stop(fields["rule"])
    return replace(draft, replaces=Replaced(**fields["replaces"])) if fields["replaces"] else draft


def tier_of(fields: dict[str, Any]) -> Tier | None:
    """The tier of a substituted hour's record."""
    return Tier(tier_row(fields["rule"]), fields["boundary"]) if fields["cause"] == "SUBSTITUTED" else None


def posted_g(fields: dict[str, Any]) -> int:
    """What a record adds to its subject's emissions, in grams: all of it, or a correction's difference."""
    before: int = fields["replaces"]["emission_g"] if fields["replaces"] else 0
    return int(fields["emission_g"]) - before


def code(fields: dict[str, Any], commitment_: bytes, registry: Registry) -> str:
    """The carbon code of a record."""
    point = registry.points[fields["point"]]
    start, seconds = fields["window_start"], fields["window_seconds"]
    return identity.record_code(registry.prefix, point.subject, point.object, start, seconds, commitment_)
