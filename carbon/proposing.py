"""A stream of proposals, pure: drafts become records chained point by point, batches numbered 1, 2, 3 … and signed.

Records are chained optimistically: each names the one proposed before it. `confirm` takes what the ledger decided: an
accepted record is forgotten; behind a refused one the rest of its point's chain is built again, in new batches, on the
last record that still stands. A batch stays pending, ready to be proposed again, until it is seen on the ledger.

    propose ──▶ pending ──▶ confirm ──▶ accepted: forgotten
                   ▲                └─▶ refused: what followed is chained again
                   └──────────────────────────────────────────────────────┘

A number never names two batches: whoever sends must have made the batch durable before.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from carbon import record as records
from carbon import signing
from carbon.packet import ZERO_DIGEST
from carbon.record import SALT_BYTES, Draft, PayloadWriter
from carbon.substitution import stated
from schemas import codec

KIND = "batch"
WINDOW_RECORDS = 1
MOST_RECORDS = 1_000
MOST_BYTES = 700_000
FIRST_STATE_REASON = 40
"""Reason codes from here on are the state half's, below the evidence half's."""
OTHER_REGISTRY = 46
"""The reason of records that name a registry which is not in force."""

_COUNT = struct.Struct(">I")
_Record = tuple[dict[str, Any], bytes]
"""Fields and salt."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A proposed record: its bytes, its salt, the predecessor that it names and its own commitment."""

    point: str
    window_start: int
    payload: bytes
    salt: bytes
    previous: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A batch that the ledger has not shown yet, under the registry of a height. `message` is the signed proposal,
    `digest` SHA-256 of its body."""

    number: int
    registry_height: int
    links: tuple[Link, ...]
    message: bytes
    digest: bytes

    def dump(self) -> bytes:
        """The batch as it is kept for a restart: the salts, which are not in the proposal, and the proposal."""
        return _COUNT.pack(len(self.links)) + b"".join(link.salt for link in self.links) + self.message


class Verdict(NamedTuple):
    """What the ledger says of one record of a batch, in the batch's order."""

    accepted: bool
    reason: int
    commitment: bytes


class Refusal(NamedTuple):
    """A record that was refused although it stood behind the last accepted one."""

    point: str
    window_start: int
    version: int
    reason: int


class Charged(NamedTuple):
    """A window's substitution: its version, and how many late packets it rests on."""

    version: int
    late: int


@dataclass
class Confirmed:
    """What a confirmation led to."""

    known: bool
    """Whether the batch was pending; what is not known changes nothing unless it accepts a record of ours."""
    batches: list[Pending] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    outdated: dict[str, int] = field(default_factory=dict)
    """Point to the start of its first window that must be drafted again, under the registry in force."""
    is_outdated: bool = False
    """Whether the ledger refused a record for the registry that it names."""
    accepted: list[Link] = field(default_factory=list)
    """In the order of each point's chain."""
    uncharged: dict[tuple[str, int], Charged] = field(default_factory=dict)
    """Point and start of windows whose substitution is forgotten, with what stood on it."""


class ProposalStream:
    """One submitter's stream of batches, and the end of every point's chain in it."""

    def __init__(
        self, submitter: str, seed: bytes, channel: bytes, stream: str, writer: PayloadWriter, registry_height: int = 0
    ) -> None:
        self.stream, self._registry_height = stream, registry_height
        self.pending: dict[int, Pending] = {}
        self.next_number = 1
        self._submitter, self._seed, self._channel, self._writer = submitter, seed, channel, writer
        self._accepted: dict[str, bytes] = {}
        self._chains: dict[str, deque[Link]] = {}
        """Each point's proposed records behind its last accepted one."""
        self._live: dict[bytes, str] = {}
        """Commitment to point, of all records in `_chains`."""
        self._halted: set[str] = set()
        """Points of which a window's first record was refused: the ledger takes no later window of them."""

    @property
    def unconfirmed(self) -> int:
        """Records in pending batches."""
        return sum(len(batch.links) for batch in self.pending.values())

    @property
    def is_settling(self) -> bool:
        """Whether batches under another registry are pending: they come before all others."""
        first = next(iter(self.pending.values()), None)
        return first is not None and first.registry_height != self._registry_height

    def propose(self, drafts: Iterable[Draft]) -> list[Pending]:
        """New batches of the drafts, in their order, each behind its point's last proposed record."""
        return self._batch([self._append(draft) for draft in drafts if draft.point not in self._halted])

    def _append(self, draft: Draft) -> Link:
        previous = self._head(draft.point)
        payload = self._writer.payload(draft, previous)
        commitment = records.commitment(draft.salt, payload)
        link = Link(draft.point, draft.window_start, payload, draft.salt, previous, commitment)
        self._chains.setdefault(draft.point, deque()).append(link)
        self._live[commitment] = draft.point
        return link

    def _head(self, point: str) -> bytes:
        chain = self._chains.get(point)
        return chain[-1].commitment if chain else self._accepted.get(point, ZERO_DIGEST)

    def _batch(self, links: Sequence[Link]) -> list[Pending]:
        batches = []
        for part in _parts(links):
            batch = self._sign(part)
            self.pending[batch.number] = batch
            batches.append(batch)
        return batches

    def _sign(self, links: Sequence[Link]) -> Pending:
        points = sorted({link.point for link in links})
        place = {point: index for index, point in enumerate(points)}
        head = {"submitter": self._submitter, "stream": self.stream, "number": self.next_number}
        columns = {
            "kind": WINDOW_RECORDS,
            "registry_height": self._registry_height,
            "points": points,
            "point": np.array([place[link.point] for link in links], ">u2").tobytes(),
            "window": np.array([link.window_start for link in links], ">i8").tobytes(),
            "payloads": [link.payload for link in links],
        }
        body = codec.encode_bare("batch", head | columns)
        signature = signing.sign(self._seed, KIND, self._channel, body)
        message = codec.encode("proposal", {"body": body, "signature": signature})
        self.next_number += 1
        return Pending(self.next_number - 1, self._registry_height, tuple(links), message, sha256(body).digest())

    # -- what the ledger says

    def confirm(self, number: int, digest: bytes, verdicts: Sequence[Verdict]) -> Confirmed:
        """Take the ledger's verdicts on batch `number` of this stream. The same again changes nothing."""
        batch = self.pending.pop(number, None)
        out = Confirmed(batch is not None)
        for verdict in verdicts:
            if verdict.accepted:
                out.accepted += self._accept(verdict.commitment)
        if batch is None:
            return out
        if batch.digest == digest:
            again = self._refuse(batch, verdicts, out)
        else:
            # the number is taken by a batch that we no longer know: ours was never decided
            again = [link for link in batch.links if self._place(link) is not None]
        out.batches = self._batch(again)
        return out

    def _accept(self, commitment: bytes) -> Iterator[Link]:
        point = self._live.get(commitment)
        if point is None:
            return
        self._accepted[point] = commitment
        while commitment in self._live:
            # a record whose successor is accepted was accepted before it
            done = self._chains[point].popleft()
            del self._live[done.commitment]
            yield done

    def _refuse(self, batch: Pending, verdicts: Sequence[Verdict], out: Confirmed) -> list[Link]:
        again: list[Link] = []
        for link, verdict in zip(batch.links, verdicts, strict=True):
            if verdict.accepted or (place := self._place(link)) is None:
                continue
            if verdict.reason == OTHER_REGISTRY:
                out.is_outdated = True
                again += self._outdate(link.point, self._cut(link.point, place), out)
            else:
                again += self._rebuild(link, place, verdict.reason, out)
        return again

    def _outdate(self, point: str, rest: Iterable[_Record], out: Confirmed) -> list[Link]:
        """Forget a chain's windows, whose readings may count otherwise now, and the charges that they made due, with
        what replaced these; chain corrections of earlier windows again."""
        again = []
        for fields, salt in rest:
            start, cause = fields["window_start"], fields["cause"]
            if fields["version"] == 1:
                out.outdated.setdefault(point, start)
            elif cause == "SUBSTITUTED" and point in out.outdated:
                out.uncharged[point, start] = Charged(fields["version"], len(fields["evidence"]) - 1)
            if start < out.outdated.get(point, start + 1) and (point, start) not in out.uncharged:
                again.append(self._append(records.draft_of(fields, salt)))
        return again

    def _cut(self, point: str, place: int) -> list[_Record]:
        """Take a point's chain from `place` on apart: fields and salt of each record."""
        chain = self._chains[point]
        rest = list(islice(chain, place, None))
        self._chains[point] = deque(islice(chain, place))
        for other in rest:
            del self._live[other.commitment]
        return [(records.decode(other.payload), other.salt) for other in rest]

    def _place(self, link: Link) -> int | None:
        """The place of a record among its point's proposed ones; None when it was built again or decided."""
        chain = self._chains.get(link.point, ())
        return next((i for i, other in enumerate(chain) if other is link), None)

    def _rebuild(self, link: Link, place: int, reason: int, out: Confirmed) -> list[Link]:
        """Chain again what stood at `place` and behind it; the record at `place` itself only if its time may come."""
        rest = self._cut(link.point, place)
        if place == 0 or reason < FIRST_STATE_REASON:
            fields, _ = rest.pop(0)
            out.refused.append(Refusal(link.point, link.window_start, fields["version"], reason))
            if fields["version"] == 1:
                self._halted.add(link.point)
                return []
            if fields["cause"] == "SUBSTITUTED":
                out.uncharged[link.point, link.window_start] = Charged(fields["version"], len(fields["evidence"]) - 1)
            if stated(fields["rule"]) is not None:
                # what is charged behind it rests on hours that the ledger does not have
                return self._outdate(link.point, rest, out)
        return [self._append(records.draft_of(fields, salt)) for fields, salt in rest]

    def chain(self, point: str) -> Sequence[Link]:
        """A point's records that are under way."""
        return self._chains.get(point, ())

    # -- restart

    def dump(self) -> dict[str, Any]:
        """All that a restart needs beside the pending batches, as a JSON value."""
        points = sorted(self._accepted.keys() | self._chains.keys())
        heads = [[p, self._accepted.get(p, ZERO_DIGEST).hex(), self._head(p).hex()] for p in points]
        return {"next": self.next_number, "heads": heads, "halted": sorted(self._halted)}

    def load(self, data: Mapping[str, Any], pending: Mapping[int, bytes]) -> list[int]:
        """Go on from what `dump` gave and the pending batches that were kept.

        Returns the numbers that are dropped: a batch kept without the state that knows it was never sent.
        """
        self.next_number, self._halted = data["next"], set(data["halted"])
        kept = {number: row for number, row in sorted(pending.items()) if number < self.next_number}
        self.pending = {number: self._restore(number, row) for number, row in kept.items()}
        links = {link.commitment: link for batch in self.pending.values() for link in batch.links}
        for point, accepted, head in data["heads"]:
            self._accepted[point] = bytes.fromhex(accepted)
            chain = _walk_back(links, bytes.fromhex(head), self._accepted[point])
            self._chains[point] = deque(chain)
            self._live |= {link.commitment: point for link in chain}
        return [number for number in pending if number not in kept]

    def _restore(self, number: int, row: bytes) -> Pending:
        (count,) = _COUNT.unpack_from(row)
        salts, message = row[_COUNT.size : _COUNT.size + SALT_BYTES * count], row[_COUNT.size + SALT_BYTES * count :]
        body = codec.decode("proposal", message)["body"]
        batch = codec.decode_bare("batch", body)
        places = np.frombuffer(batch["point"], ">u2").tolist()
        starts = np.frombuffer(batch["window"], ">i8").tolist()
        links = []
        for i, (place, start, payload) in enumerate(zip(places, starts, batch["payloads"], strict=True)):
            point, salt = batch["points"][place], salts[SALT_BYTES * i : SALT_BYTES * (i + 1)]
            previous = self._writer.previous_of(point, payload) or records.decode(payload)["previous"]
            links.append(Link(point, start, payload, salt, previous, records.commitment(salt, payload)))
        return Pending(number, batch["registry_height"], tuple(links), message, sha256(body).digest())


def _parts(links: Sequence[Link]) -> Iterator[list[Link]]:
    """The links in parts that fit a batch."""
    part: list[Link] = []
    size = 0
    for link in links:
        if part and (len(part) == MOST_RECORDS or size + len(link.payload) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(link)
        size += len(link.payload)
    if part:
        yield part


def _walk_back(links: Mapping[bytes, Link], head: bytes, accepted: bytes) -> list[Link]:
    chain: list[Link] = []
    while head != accepted and head in links:
        chain.append(links[head])
        head = links[head].previous
    return chain[::-1]
