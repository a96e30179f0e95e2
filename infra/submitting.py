"""Submissions on their way to the ledger: judged on this machine's copy, brought before the committee, awaited.

What this machine's copy says of a submission is a forecast: the committee judges it again.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from carbon import claims, submission
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.registry import Registry
from consensus.ledger import Ledger
from consensus.log import package as packages
from consensus.log.follower import Follower, VerifiedBlock
from consensus.member.store import read_package
from consensus.submission import STREAM, proposal
from infra.channel import Channel
from infra.copy import ReadOnly
from infra.errors import EnvironmentFault
from schemas import codec

BATCH_BYTES = 512_000
"""Submissions of one batch, in bytes, unless a single one is larger."""


@contextmanager
def ledger_of(data: Path, channel: Channel, member: int) -> Iterator[Ledger]:
    """A member's ledger on this machine as it stands, read beside the member. Raises EnvironmentFault."""
    path = data / "members" / str(member) / "ledger.sqlite"
    if not path.exists():
        raise EnvironmentFault(f"member {member} has no ledger in {data} yet: 'carbonledger up' makes one")
    try:
        with closing(ReadOnly(path)) as file:
            yield Ledger(channel.genesis, channel.registry, file)
    except sqlite3.Error as error:
        raise EnvironmentFault(f"the ledger in {path.parent} can't be read: {error}") from error


@dataclass(frozen=True)
class Forecast:
    """What this machine's copy says of a submission, and what it would post."""

    refusal: Refusal
    postings: Sequence[Any] = ()


def forecast(payloads: Sequence[bytes], channel: Channel, registry: Registry, book: Book, at_ms: int) -> list[Forecast]:
    """Judge submissions in their order as the committee will, in a block of that time. `book` is used up."""
    found = []
    for payload in payloads:
        refusal = claims.refusal(payload, channel.genesis.digest, registry, channel.genesis.utc_offset_minutes)
        if refusal is Refusal.PASS:
            found.append(Forecast(*book.apply(submission.read(payload), at_ms)))
        else:
            found.append(Forecast(refusal))
    return found


def batches(payloads: Sequence[bytes], most: int) -> list[list[bytes]]:
    """Payloads in their order, so many a batch, or as many as are small enough together."""
    found: list[list[bytes]] = []
    size = 0
    for payload in payloads:
        if not found or len(found[-1]) == most or size + len(payload) > BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(payload)
        size += len(payload)
    return found


@dataclass(frozen=True)
class Bringing:
    """A batch on its way: its party's stream, its number there, its digest and its message."""

    party: str
    number: int
    digest: bytes
    message: bytes
    stream: str = STREAM

    @classmethod
    def of(cls, payloads: Sequence[bytes], party: str, seed: bytes, ledger: Ledger) -> "Bringing":
        """The next batch of a party as a ledger stands."""
        number, channel = ledger.stream_head(party, STREAM) + 1, ledger.genesis.digest
        message = proposal(payloads, party, seed, number, ledger.registry_height, channel)
        return cls(party, number, sha256(codec.decode("proposal", message)["body"]).digest(), message)


@dataclass(frozen=True)
class Decided:
    """A block with a party's batch of a number, where its first leaf stands there, and whether it is what was sent."""

    block: VerifiedBlock
    place: int
    is_ours: bool


class Watch:
    """Looks for batches in the blocks that a member's copy takes on, each verified."""

    def __init__(self, data: Path, member: int, ledger: Ledger) -> None:
        self._path = data / "members" / str(member) / "ledger.sqlite"
        self._follower = Follower(ledger.genesis, ledger.kept)

    @property
    def height(self) -> int:
        """The last height looked at."""
        return self._follower.height

    def decided(self, bringing: Bringing) -> Decided | None:
        """The block with the batch of that number; None until the copy has it. Raises LedgerError."""
        wanted = (bringing.party, bringing.stream, bringing.number)
        while (package := read_package(self._path, self._follower.height + 1)) is not None:
            block = self._follower.accept(packages.read(package).block)
            assert block is not None, "a copy holds each height once"
            place = 0
            for batch in block.header["batches"]:
                if (batch["submitter"], batch["stream"], batch["number"]) == wanted:
                    return Decided(block, place, batch["digest"] == bringing.digest)
                place += batch["records"]
        return None


def verdicts(decided: Decided, payloads: Sequence[bytes], prefix: str) -> list[dict[str, Any]]:
    """What was decided on each submission of a batch, and where it stands."""
    block, found = decided.block, []
    for leaf, payload in zip(block.leaves[decided.place :], payloads, strict=False):
        code = submission.code(submission.read(payload), leaf.leaf.commitment, block.header["time"], prefix)
        found.append({"reason": leaf.leaf.reason, "height": block.height, "leaf_index": leaf.index, "code": code})
    return found


def now_ms() -> int:
    """This machine's clock, ms UTC."""
    return time.time_ns() // 1_000_000
