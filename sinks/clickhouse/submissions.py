"""Rows of table `submissions_log`, made from leaves of kind 4 and the payloads behind them."""

import json
from typing import Any

import pyarrow as pa

from carbon import calendar, submission
from carbon.refusal import label
from consensus.log.follower import VerifiedBlock, VerifiedLeaf
from schemas import codec
from sinks.clickhouse.rows import TIME

SUBMISSIONS = pa.schema(
    [
        ("height", pa.uint64()),
        ("time", TIME),
        ("leaf_index", pa.uint64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("party", pa.string()),
        ("number", pa.uint64()),
        ("kind", pa.string()),
        ("about", TIME),
        ("subject", pa.string()),
        ("counterparty", pa.string()),
        ("signers", pa.list_(pa.string())),
        ("content", pa.string()),
        ("code", pa.string()),
        ("registry_height", pa.uint64()),
        ("commitment", pa.string()),
        ("leaf_hash", pa.string()),
        ("payload", pa.string()),
    ]
)


def submission_row(
    block: VerifiedBlock, verified: VerifiedLeaf, payload: bytes, prefix: str, utc_offset_minutes: int
) -> dict[str, Any]:
    """The row of a leaf and what it commits to, with its code of that prefix, in a channel of that offset.

    A rejected leaf's payload may be no submission: then little is said.
    """
    leaf = verified.leaf
    return {
        "height": block.height,
        "time": block.header["time"],
        "leaf_index": verified.index,
        "verdict": "accepted" if leaf.accepted else "rejected",
        "reason": "" if leaf.accepted else label(leaf.reason),
        **_said(payload, leaf.commitment, block.header["time"], prefix, utc_offset_minutes),
        "registry_height": leaf.registry_height,
        "commitment": leaf.commitment.hex(),
        "leaf_hash": verified.hash.hex(),
        "payload": payload.hex() if leaf.accepted else "",
    }


def _said(payload: bytes, commitment: bytes, time_ms: int, prefix: str, utc_offset_minutes: int) -> dict[str, Any]:
    try:
        read = submission.read(payload)
    except codec.CodecError:
        texts = dict.fromkeys(("party", "kind", "subject", "counterparty", "content", "code"), "")
        return {**texts, "number": 0, "about": time_ms, "signers": []}
    return {
        "party": read.party,
        "number": max(0, read.number),  # a negative one is refused, and shown as none
        "kind": read.kind,
        "about": _about(read, utc_offset_minutes) or time_ms,
        "subject": read.subject or "",
        "counterparty": str(read.content.get("buyer", "")),
        "signers": [name for name, _ in read.signatures],
        "content": json.dumps(submission.plain(read.content), ensure_ascii=False),
        "code": submission.code(read, commitment, time_ms, prefix),
    }


def _about(read: submission.Submission, utc_offset_minutes: int) -> int:
    """The last instant of what it is about, ms UTC; 0 for none that a table can show."""
    at_ms = submission.moment(read, utc_offset_minutes)
    return at_ms if calendar.is_sane(at_ms, utc_offset_minutes) else 0
