"""Submissions in a member's copy of the ledger: found by code, and what was decided on them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from carbon import record as records
from carbon import submission
from carbon.identity import CarbonCode
from carbon.ledger.book import Book
from carbon.ledger.history import History
from carbon.refusal import label
from carbon.submission import ROLES
from consensus.log.follower import LedgerError
from consensus.log.leaf import SUBMISSION
from infra.copy import Found, LedgerCopy, NotFound
from schemas import codec


def is_meant(code: CarbonCode, copy: LedgerCopy) -> bool:
    """Whether a code is one of a submission: no point of that subject is called like its kind."""
    named = {(point.subject, point.object) for point in copy.registry.points.values()}
    return code.object in ROLES and code.window_seconds is None and (code.subject, code.object) not in named


def recorded(copy: LedgerCopy) -> Iterator[Found]:
    """Every submission of the ledger, refused ones included, in its order. Raises LedgerError."""
    for block, opened in copy.blocks():
        for item in opened:
            if item.leaf.leaf.kind != SUBMISSION:
                continue
            if records.commitment(item.salt, item.payload) != item.leaf.leaf.commitment:
                raise LedgerError(f"leaf {item.leaf.index}: not the payload that the leaf commits to")
            with suppress(codec.CodecError):  # a refused one may be none
                yield Found(block, item, dict(submission.read(item.payload).content))


def past_of(copy: LedgerCopy, party: str) -> History:
    """What a party stated that counts, as whoever takes something back needs it. Raises LedgerError."""
    book, past = Book(copy.channel.genesis.utc_offset_minutes), History()
    for found in recorded(copy):
        if found.leaf.leaf.accepted:
            stated = submission.read(found.opened.payload)
            _, entry = book.apply(stated, found.block.header["time"])
            if stated.party == party:
                past.take(stated, entry)
    return past


def find(copy: LedgerCopy, code: CarbonCode) -> Found:
    """The submission of a code. Raises NotFound, LedgerError."""
    for found in recorded(copy):
        if found.block.header["time"] == code.at_ms and found.leaf.leaf.commitment.startswith(code.hash):
            return found
    raise NotFound(f"the ledger has no submission {code}")


def describe(copy: LedgerCopy, found: Found) -> dict[str, Any]:
    """What a submission states, who signed it, what was decided on it, and where it stands."""
    stated, leaf = submission.read(found.opened.payload), found.leaf.leaf
    return {
        "kind": stated.kind,
        "party": stated.party,
        "number": stated.number,
        "signed_by": ", ".join(party for party, _ in stated.signatures),
        **{f"content.{name}": value for name, value in submission.plain(stated.content).items()},
        "verdict": "accepted" if leaf.accepted else "rejected",
        "reason": label(leaf.reason),
        "votes": copy.votes(found),
        "height": found.block.height,
        "leaf_index": found.leaf.index,
        "leaf_hash": found.leaf.hash.hex(),
        "record": code_of(copy, found),
    }


def code_of(copy: LedgerCopy, found: Found) -> str:
    """The carbon code of a submission that was found."""
    stated, time_ms = submission.read(found.opened.payload), found.block.header["time"]
    return submission.code(stated, found.leaf.leaf.commitment, time_ms, copy.registry.prefix)
