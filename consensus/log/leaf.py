"""The leaf: a fixed envelope of 82 bytes that commits to a record without opening it.

version u8 ‖ suite u8 ‖ kind u8 ‖ verdict u8 ‖ reason u16 ‖ registry height u64 ‖ schema id u32 ‖ evidence root (32) ‖
commitment (32), big-endian; the commitment is SHA-256(salt ‖ payload).
"""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas import codec

_ENVELOPE = struct.Struct(">BBBBHQI32s32s")
_COLUMNS = np.dtype(
    [
        ("version", "u1"),
        ("suite", "u1"),
        ("kind", "u1"),
        ("verdict", "u1"),
        ("reason", ">u2"),
        ("registry_height", ">u8"),
        ("schema_id", ">u4"),
        ("evidence_root", "V32"),
        ("commitment", "V32"),
    ]
)
"""The same envelope."""
SIZE = _ENVELOPE.size
_KIND, _VERDICT = 2, 3
VERSION = 1
SUITE = 1
WINDOW_RECORD, MEMBERSHIP, REGISTRATION, SUBMISSION = 1, 2, 3, 4
"""Kinds of records."""
ACCEPTED, REJECTED = 0, 1


class LeafError(ValueError):
    """Bytes that are not a leaf of this version."""


class Leaf(NamedTuple):
    """One leaf. `reason` is a Refusal; `schema_id` that of the payload."""

    kind: int
    verdict: int
    reason: int
    registry_height: int
    schema_id: int
    evidence_root: bytes
    commitment: bytes

    @property
    def accepted(self) -> bool:
        """Whether the record counts."""
        return self.verdict == ACCEPTED


def encode(leaf: Leaf) -> bytes:
    """The 82 bytes of a leaf."""
    return _ENVELOPE.pack(VERSION, SUITE, *leaf)


def window_record(reason: int, schema_id: int, registry_height: int) -> bytes:
    """A window record's leaf up to its evidence root and commitment."""
    verdict = REJECTED if reason else ACCEPTED
    return encode(Leaf(WINDOW_RECORD, verdict, reason, registry_height, schema_id, bytes(32), bytes(32)))[:-64]


def membership(reason: int, commitment: bytes) -> bytes:
    """The 82 bytes of the leaf of a change of the committee."""
    verdict = REJECTED if reason else ACCEPTED
    return encode(Leaf(MEMBERSHIP, verdict, reason, 0, codec.schema_ids()["membership"], bytes(32), commitment))


def registration(reason: int, registry_height: int, commitment: bytes) -> bytes:
    """The 82 bytes of the leaf of a change of the registry at `registry_height`."""
    verdict, schema = REJECTED if reason else ACCEPTED, codec.schema_ids()["registration"]
    return encode(Leaf(REGISTRATION, verdict, reason, registry_height, schema, bytes(32), commitment))


def submission(reason: int, registry_height: int, commitment: bytes) -> bytes:
    """The 82 bytes of the leaf of a submission under the registry at `registry_height`."""
    verdict, schema = REJECTED if reason else ACCEPTED, codec.schema_ids()["submission"]
    return encode(Leaf(SUBMISSION, verdict, reason, registry_height, schema, bytes(32), commitment))


def accepted_place(data: bytes, kind: int) -> int | None:
    """Place of the first accepted leaf of a kind among leaves that stand one behind the other; None if there is none.

    Of changes of the committee, and of the registry, there is one at most: the next must wait for the one before.
    """
    if kind not in data[_KIND::SIZE]:
        return None
    both = zip(data[_KIND::SIZE], data[_VERDICT::SIZE], strict=True)
    return next((place for place, found in enumerate(both) if found == (kind, ACCEPTED)), None)


def count_accepted(data: bytes) -> int:
    """How many records count, of leaves that stand one behind the other."""
    return data[_VERDICT::SIZE].count(ACCEPTED)


def decode(data: bytes) -> Leaf:
    """The leaf of 82 bytes. Raises LeafError."""
    if len(data) != SIZE:
        raise LeafError(f"a leaf has {SIZE} bytes, not {len(data)}")
    version, suite, *fields = _ENVELOPE.unpack(data)
    leaf = Leaf(*fields)
    if (version, suite) != (VERSION, SUITE) or leaf.accepted != (leaf.reason == 0) or leaf.verdict > REJECTED:
        raise LeafError(f"version {version}, suite {suite}, verdict {leaf.verdict}, reason {leaf.reason}")
    return leaf


def columns(data: bytes) -> NDArray[np.void]:
    """The leaves that stand one behind the other, each field a column. Raises LeafError as `decode` does."""
    if len(data) % SIZE:
        raise LeafError("the leaves are cut off")
    found = np.frombuffer(data, _COLUMNS)
    right = (found["version"] == VERSION) & (found["suite"] == SUITE)
    right &= found["verdict"] == np.where(found["reason"] == 0, ACCEPTED, REJECTED)
    for wrong in np.flatnonzero(~right).tolist():
        decode(data[SIZE * wrong : SIZE * (wrong + 1)])
    return found


def opened(columns_: NDArray[np.void]) -> list[Leaf]:
    """The leaves of some columns."""
    return [Leaf._make(fields[2:]) for fields in columns_.tolist()]


def split(data: bytes) -> list[bytes]:
    """The leaves that stand one behind the other. Raises LeafError."""
    if len(data) % SIZE:
        raise LeafError("the leaves are cut off")
    return [data[i : i + SIZE] for i in range(0, len(data), SIZE)]
