"""Columns of table `records`, made from the leaves of verified blocks and the payloads behind them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from carbon import record
from carbon.refusal import label
from consensus.log.follower import VerifiedLeaf
from schemas import codec
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import TIME

_TEXTS = ("point", "subject", "unit", "cause", "rule")
_NUMBERS = {
    "window_start": TIME,
    "window_seconds": pa.uint32(),
    "version": pa.uint32(),
    "count": pa.uint32(),
    "expected": pa.uint32(),
    "quantity": pa.int64(),
    "scale": pa.uint8(),
    "emission_g": pa.int64(),
}
_RANGE = {"run": pa.uint32(), "first": pa.uint64(), "last": pa.uint64()}
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, ""),
    **dict.fromkeys(_NUMBERS, 0),
    "factors": b"",
    "evidence": [],
}


class RecordRow(NamedTuple):
    """A leaf on its way into the table: the height of its block, and the fields of its payload."""

    height: int
    verified: VerifiedLeaf
    fields: Mapping[str, Any]


def record_row(height: int, verified: VerifiedLeaf, payload: bytes) -> RecordRow:
    """The row of a leaf and what it commits to. A rejected leaf's payload may be no record: its columns stay empty."""
    if verified.leaf.accepted:
        # byte for byte what the members put together themselves
        return RecordRow(height, verified, record.read(payload))
    try:
        return RecordRow(height, verified, record.decode(payload))
    except codec.CodecError:
        return RecordRow(height, verified, _EMPTY)


def columns(rows: Sequence[RecordRow], reference: Reference) -> pa.Table:
    """The rows of table `records` as one Arrow table."""
    fields = [row.fields for row in rows]
    verified = [row.verified for row in rows]
    leaves = [item.leaf for item in verified]
    return pa.table(
        {
            "height": pa.array([row.height for row in rows], pa.uint64()),
            "leaf_index": pa.array([item.index for item in verified], pa.uint64()),
            "verdict": _few("accepted" if leaf.accepted else "rejected" for leaf in leaves),
            "reason": _few("" if leaf.accepted else label(leaf.reason) for leaf in leaves),
            "object": _few(reference.facts(item["point"]).object for item in fields),
            "prefix": _few([reference.prefix] * len(rows)),
            "factors": _few(item["factors"].hex() for item in fields),
            **{name: _few(item[name] for item in fields) for name in _TEXTS},
            **{name: pa.array([item[name] for item in fields], type_) for name, type_ in _NUMBERS.items()},
            "evidence": _evidence([item["evidence"] for item in fields]),
            "gateway_kind": _few(reference.kind(_gateway(item["evidence"])) for item in fields),
            "evidence_root": [leaf.evidence_root.hex() for leaf in leaves],
            "commitment": [leaf.commitment.hex() for leaf in leaves],
            "leaf_hash": [item.hash.hex() for item in verified],
        }
    )


def _few(texts: Iterable[str]) -> pa.DictionaryArray:
    """A column of few different texts: the engine takes it in at half the cost."""
    return pa.array(list(texts), pa.string()).dictionary_encode()


def _gateway(ranges: Sequence[Mapping[str, Any]]) -> str:
    """The gateway of a record's point; empty for what is no record."""
    return ranges[0]["gateway"] if ranges else ""


def _evidence(ranges: Iterable[Sequence[Mapping[str, Any]]]) -> pa.ListArray:
    """The packet ranges of n records, as n lists of structs."""
    offsets, flat = [0], list[Mapping[str, Any]]()
    for some in ranges:
        flat += some
        offsets.append(len(flat))
    parts: dict[str, Any] = {"gateway": pa.array([item["gateway"] for item in flat], pa.string())}
    parts |= {name: pa.array([item[name] for item in flat], type_) for name, type_ in _RANGE.items()}
    parts["digest"] = pa.array([item["digest"].hex() for item in flat], pa.string())
    structs = pa.StructArray.from_arrays(list(parts.values()), names=list(parts))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)
