"""One member's copy of the ledger, read beside a running member or with nothing running: for proofs and look-ups.

Everything that is shown from here is checked against the genesis first; whose copy it is does not matter.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbon import identity, merkle, packet, window
from carbon import record as records
from carbon.registry import Point
from carbon.window import PacketFacts
from consensus.log import leaf as leaves
from consensus.log import proof
from consensus.log.follower import Follower, OpenedLeaf, VerifiedBlock, VerifiedLeaf
from consensus.member.store import read_messages, read_packages
from infra.channel import Channel
from infra.errors import EnvironmentFault
from schemas import codec


@dataclass(frozen=True)
class Found:
    """A record of the ledger: its block, its leaf, and what the leaf commits to."""

    block: VerifiedBlock
    opened: OpenedLeaf
    fields: dict[str, Any]

    @property
    def leaf(self) -> VerifiedLeaf:
        """The leaf."""
        return self.opened.leaf


class NotFound(Exception):
    """No record or reading of the ledger has this code."""


class LedgerCopy:
    """The copy of one member; `block_messages` and look-ups go through all blocks."""

    def __init__(self, data: Path, channel: Channel, member: int = 0) -> None:
        self.channel = channel
        self._folder = data / "members" / str(member)
        if not (self._folder / "ledger.sqlite").exists():
            raise EnvironmentFault(
                f"member {member} has no ledger in {data} yet: 'carbonledger demo' or 'up' makes one"
            )

    def packages(self) -> Iterator[bytes]:
        """The block-packages in the order of their heights. Raises EnvironmentFault when the file can't be read."""
        try:
            yield from read_packages(self._folder / "ledger.sqlite")
        except sqlite3.Error as error:
            raise EnvironmentFault(f"the ledger in {self._folder} can't be read: {error}") from error

    def blocks(self) -> Iterator[tuple[VerifiedBlock, list[OpenedLeaf]]]:
        """All blocks, each verified, with the payloads behind their leaves. Raises LedgerError."""
        reader = Follower(self.channel.genesis)
        for package in self.packages():
            fields = codec.decode_bare("block-package", package)
            block = reader.accept(fields["block"])
            assert block is not None, "a copy holds each height once"
            yield block, list(_opened(block, fields["salts"], fields["payloads"]))

    def newest(self) -> VerifiedBlock:
        """The last block. Raises EnvironmentFault when there is none."""
        block = None
        for block, _ in self.blocks():
            pass
        if block is None:
            raise EnvironmentFault("the ledger holds no block yet: wait for the first, see 'carbonledger status'")
        return block

    def point(self, code: identity.CarbonCode) -> Point:
        """The point that a code is of. Raises NotFound."""
        for point in self.channel.registry.points.values():
            if (point.subject, point.object) == (code.subject, code.object):
                return point
        raise NotFound(f"no point of {code.subject} has object {code.object}")

    def versions(self, point: Point, start: int) -> list[Found]:
        """The records of a window in ledger order, refused ones included."""
        return [found for found in self._records(point) if found.fields["window_start"] == start]

    def _records(self, point: Point) -> Iterator[Found]:
        head = records.head(point, self.channel.registry.factors.digest)
        for block, opened in self.blocks():
            for item in opened:
                if item.payload.startswith(head):
                    yield Found(block, item, records.decode(item.payload))

    def leaf_data(self) -> list[bytes]:
        """Every leaf of the log."""
        return [data for package in self.packages() for data in _leaves(package)]

    def prove(self, found: Found, reading: tuple[list[PacketFacts], bytes] | None = None) -> dict[str, Any]:
        """The proof of a record, or of one reading below it (its packets and its leaf hash)."""
        data = self.leaf_data()
        hashes = [merkle.leaf_hash(item) for item in data]
        log = proof.inclusion(data[found.leaf.index], hashes, found.leaf.index)
        checkpoint = self.newest().checkpoint
        if reading is None:
            shown = (found.opened.salt, found.opened.payload)
            return proof.build(log, checkpoint, None, shown)
        return proof.build(log, checkpoint, self._evidence(found, *reading), None)

    def _evidence(self, found: Found, packets: list[PacketFacts], leaf_hash: bytes) -> dict[str, Any]:
        key = (found.fields["point"], found.fields["window_start"])
        counted = window.counted(key, packets)
        hashes = [facts.leaves[index] for facts, index in counted]
        place = hashes.index(leaf_hash)
        facts, index = counted[place]
        return proof.inclusion(packet.evidence_leaves(facts.packet)[index].tobytes(), hashes, place)

    def evidence(self, fields: dict[str, Any]) -> list[PacketFacts]:
        """The packets that a record names, from the member's archive."""
        facts = []
        for item in fields["evidence"]:
            messages = read_messages(
                self._folder / "archive.sqlite", item["gateway"], item["run"], item["first"], item["last"]
            )
            for message in messages:
                read = packet.verify(message, self.channel.registry, self.channel.genesis.digest)
                facts.append(window.analyse(read, self.channel.registry))
        return facts


def _opened(block: VerifiedBlock, salts: bytes, payloads: list[bytes]) -> Iterator[OpenedLeaf]:
    size = records.SALT_BYTES
    for place, (leaf, payload) in enumerate(zip(block.leaves, payloads, strict=True)):
        yield OpenedLeaf(leaf, salts[size * place : size * (place + 1)], payload)


def _leaves(package: bytes) -> list[bytes]:
    return leaves.split(codec.decode("block", codec.decode_bare("block-package", package)["block"])["leaves"])
