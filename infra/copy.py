"""One member's copy of the ledger, read beside a running member or with nothing running: for proofs and look-ups.

Everything that is shown from here is checked against the genesis first; whose copy it is does not matter.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbon import identity, packet, window
from carbon import record as records
from carbon.emission.figures import figures
from carbon.refusal import label
from carbon.registry import Point, Registry, RegistryError
from carbon.window import PacketFacts
from consensus import membership, registration
from consensus.ledger import Ledger
from consensus.log import growth, proof
from consensus.log import leaf as leaves
from consensus.log import package as packages
from consensus.log.committee import Committee
from consensus.log.follower import Follower, LedgerError, OpenedLeaf, VerifiedBlock, VerifiedLeaf, batch_of
from consensus.member.archive import read_messages
from consensus.member.publisher import votes_on
from consensus.member.store import LedgerFile, read_package, read_packages
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
    """The copy of one member. A look-up goes once through all blocks and verifies each."""

    def __init__(self, data: Path, channel: Channel, member: int = 0) -> None:
        self.channel = channel
        self._folder = data / "members" / str(member)
        if not (self._folder / "ledger.sqlite").exists():
            raise EnvironmentFault(
                f"member {member} has no ledger in {data} yet: 'carbonledger demo' or 'up' makes one"
            )
        self._hashes: list[bytes] = []
        self._newest: VerifiedBlock | None = None
        self.epochs: tuple[dict[str, Any], ...] = ()
        """The chain of committees up to the newest block, once the blocks were read."""
        self.changes: dict[int, tuple[int, int]] = {}
        """Number of each proposed change of the committee to its height and reason (0: accepted), read with them."""
        self.registries = {0: channel.registry}
        """By registry height, as far as the blocks were read; the last may be one that is to come."""
        self._versions: dict[tuple[str, int], list[Found]] = {}

    def packages(self) -> Iterator[bytes]:
        """The block-packages in the order of their heights. Raises EnvironmentFault when the file can't be read."""
        try:
            yield from read_packages(self._folder / "ledger.sqlite")
        except sqlite3.Error as error:
            raise EnvironmentFault(f"the ledger in {self._folder} can't be read: {error}") from error

    def blocks(self) -> Iterator[tuple[VerifiedBlock, list[OpenedLeaf]]]:
        """All blocks, each verified, with the payloads behind their leaves. Raises LedgerError."""
        reader = Follower(self.channel.genesis)
        self._hashes.clear()
        for package in self.packages():
            message, salts, payloads = packages.read(package)
            block = reader.accept(message)
            assert block is not None, "a copy holds each height once"
            self._newest, self.epochs = block, reader.position.epochs
            self.changes.update(_changes(block))
            self._hashes += block.hashes
            opened = list(_opened(block, salts, payloads))
            for item in opened:
                if item.leaf.leaf.kind == leaves.REGISTRATION:
                    self._follow(item)
            yield block, opened

    def _follow(self, item: OpenedLeaf) -> None:
        _check(item)
        try:
            registration.follow(self.registries, item.leaf.leaf, item.payload)
        except RegistryError as error:
            raise LedgerError(f"leaf {item.leaf.index}: {error}") from error

    def committees(self) -> tuple[Committee, ...]:
        """One an epoch, as far as the ledger tells; the last may be one that is to come. Raises LedgerError."""
        deque(self.blocks(), maxlen=0)
        return proof.committees(self.epochs, self.channel.genesis)

    def newest(self) -> VerifiedBlock:
        """The last block. Raises EnvironmentFault when there is none, LedgerError."""
        if self._newest is None:
            deque(self.blocks(), maxlen=0)
        if self._newest is None:
            raise EnvironmentFault("the ledger holds no block yet: wait for the first, see 'carbonledger status'")
        return self._newest

    def point(self, code: identity.CarbonCode) -> Point:
        """The point that a code is of; the blocks are read for one that the genesis doesn't know.

        Raises NotFound, LedgerError.
        """
        found = self._point(code)
        if found is None and self._newest is None:
            deque(self.blocks(), maxlen=0)
            found = self._point(code)
        if found is None:
            raise NotFound(f"no point of {code.subject} has object {code.object}")
        return found

    def _point(self, code: identity.CarbonCode) -> Point | None:
        whose = (code.subject, code.object)
        return next((p for p in self.registry.points.values() if (p.subject, p.object) == whose), None)

    @property
    def registry(self) -> Registry:
        """The newest registry that is known: no point leaves, and whose and what its readings are stays."""
        return self.registries[max(self.registries)]

    def versions(self, point: Point, start: int) -> list[Found]:
        """The records of a window in ledger order, refused ones included. Raises LedgerError."""
        key = (point.id, start)
        if key not in self._versions:
            self._versions[key] = [found for found in self._records(point) if found.fields["window_start"] == start]
        return self._versions[key]

    def _records(self, point: Point) -> Iterator[Found]:
        name = records.beginning(point.id)
        for block, opened in self.blocks():
            for item in opened:
                if item.leaf.leaf.kind == leaves.WINDOW_RECORD and item.payload.startswith(name):
                    _check(item)
                    with suppress(codec.CodecError):  # a refused one may be no record
                        yield Found(block, item, records.decode(item.payload))

    def prove(self, found: Found, reading: tuple[list[PacketFacts], bytes] | None = None) -> dict[str, Any]:
        """The proof of a record, or of one reading below it (its packets and its leaf hash)."""
        checkpoint = self.newest().checkpoint
        log = proof.inclusion(leaves.encode(found.leaf.leaf), self._hashes, found.leaf.index)
        if reading is None:
            shown = (found.opened.salt, found.opened.payload)
            return proof.build(log, checkpoint, None, shown, self.epochs)
        return proof.build(log, checkpoint, self._evidence(found, *reading), None, self.epochs)

    def _evidence(self, found: Found, packets: list[PacketFacts], leaf_hash: bytes) -> dict[str, Any]:
        key = (found.fields["point"], found.fields["window_start"])
        counted = window.counted(key, packets)
        hashes = [facts.leaves[index] for facts, index in counted]
        place = hashes.index(leaf_hash)
        facts, index = counted[place]
        return proof.inclusion(packet.evidence_leaves(facts.packet)[index].tobytes(), hashes, place)

    def growth(self, old: int, new: int | None, *, sizes: bool = False) -> dict[str, Any]:
        """The proof that the ledger grew from height `old` to `new` (None: the newest), or between those tree sizes.

        Raises NotFound, LedgerError.
        """
        stands: dict[int, VerifiedBlock] = {}
        for block, _ in self.blocks():
            stands.setdefault(block.header["tree_size"] if sizes else block.height, block)
        what = "tree size" if sizes else "height"
        first, last = stands.get(old), self.newest() if new is None else stands.get(new)
        if first is None or last is None:
            raise NotFound(f"no block of this copy has {what} {old if first is None else new}")
        if first.height > last.height:
            raise NotFound(f"{what} {new} is no later than {old}")
        hashes = self._hashes[: last.header["tree_size"]]
        return growth.build(first.checkpoint, last.checkpoint, hashes, first.header["tree_size"], self.epochs)

    def find(self, code: identity.CarbonCode) -> tuple[Found, tuple[list[PacketFacts], bytes] | None]:
        """The record of a code; for a reading's code the record that counts it, its packets and its leaf hash.

        Raises NotFound, LedgerError.
        """
        point = self.point(code)
        span = 1000 * point.window_seconds
        for found in reversed(self.versions(point, code.at_ms // span * span)):
            if code.window_seconds is not None:
                if found.leaf.leaf.commitment.startswith(code.hash):
                    return found, None
            elif found.leaf.leaf.accepted and (reading := self._reading(found, code)) is not None:
                return found, reading
        raise NotFound(f"the ledger has no {'reading' if code.window_seconds is None else 'record'} {code}")

    def _reading(self, found: Found, code: identity.CarbonCode) -> tuple[list[PacketFacts], bytes] | None:
        packets = self.evidence(found)
        for facts, index in window.counted((found.fields["point"], found.fields["window_start"]), packets):
            if facts.leaves[index].startswith(code.hash) and int(facts.packet.at[index]) == code.at_ms:
                return packets, facts.leaves[index]
        return None

    def describe(self, found: Found, reading: tuple[list[PacketFacts], bytes] | None) -> dict[str, Any]:
        """What a record or reading is, where it came from, what was decided on it, and where it stands."""
        place = {
            "verdict": "accepted" if found.leaf.leaf.accepted else "rejected",
            "reason": label(found.leaf.leaf.reason),
            "votes": self.votes(found),
            "height": found.block.height,
            "leaf_index": found.leaf.index,
            "leaf_hash": found.leaf.hash.hex(),
            "record": records.code(found.fields, found.leaf.leaf.commitment, self.registry),
        }
        plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in found.fields.items() if k != "evidence"}
        packets = [f"{e['gateway']} run {e['run']} packets {e['first']}–{e['last']}" for e in found.fields["evidence"]]
        whole = {**plain, "replaces": str(plain["replaces"])} | self._figures(found)
        datum = self._datum(found, *reading) if reading else whole
        point = self.registry.points[found.fields["point"]]
        newest = [v for v in self.versions(point, found.fields["window_start"]) if v.leaf.leaf.accepted]
        latest = newest[-1].fields["version"] if newest else None
        signer = self.registry.gateways[point.gateway]
        signed = {"gateway_kind": signer.kind, "attested": signer.attests}
        return datum | {"packets": packets, "latest_version": latest} | signed | place

    def _figures(self, found: Found) -> dict[str, Any]:
        """What an accepted record that emits comes to, by its rule and the factor set that it names."""
        fields, factors = found.fields, self.registry.set_of(found.fields["factors"])
        if not found.leaf.leaf.accepted or factors is None:
            return {}
        point = self.registries[found.leaf.leaf.registry_height].points[fields["point"]]
        rule = point.emission
        if not rule.gas:
            return {}
        again = figures(fields["quantity"], fields["scale"], fields["unit"], rule, factors, point.untrusted)
        said = {"factor_set": factors.version, "source": rule.source, "gas": rule.gas, "scope": rule.scope}
        return said | {"reference": rule.reference} | {f"computed_{name}": n for name, n in again._asdict().items()}

    def _datum(self, found: Found, packets: list[PacketFacts], leaf_hash: bytes) -> dict[str, Any]:
        key = (found.fields["point"], found.fields["window_start"])
        facts, index = next(item for item in window.counted(key, packets) if item[0].leaves[item[1]] == leaf_hash)
        read = facts.packet
        reading = {"point": key[0], "at": int(read.at[index]), "value": int(read.value[index])}
        came = {"gateway": read.gateway, "run": read.run, "sequence": read.sequence, "index": index}
        return reading | {"flag": chr(read.flag[index])} | came | {"sent_at": read.sent_at, "packet": read.digest.hex()}

    def votes(self, found: Found) -> str:
        """What each member said of a record, in words."""
        batch, inside = batch_of(found.block.header, found.leaf.index - found.block.leaves[0].index)
        said = votes_on(batch["digest"], inside, found.block.votes)
        return ", ".join(f"{found.block.committee.members[v['member']].name}: {v['reason']}" for v in said)

    def evidence(self, found: Found) -> list[PacketFacts]:
        """The packets that an accepted record names, from the member's archive, by the registry that it names."""
        registry, facts = self.registries[found.leaf.leaf.registry_height], []
        for item in found.fields["evidence"]:
            messages = read_messages(
                self._folder / "archive.sqlite", item["gateway"], item["run"], item["first"], item["last"]
            )
            for message in messages:
                read = packet.verify(message, registry, self.channel.genesis.digest)
                facts.append(window.analyse(read, registry))
        return facts


class ReadOnly(LedgerFile):
    """A member's copy, read beside it. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def registry_in_force(data: Path, channel: Channel) -> tuple[int, Registry]:
    """Registry height and registry at the next height, by the copy on this machine that has come furthest.

    A worker asks its own machine; what it makes of the answer, the committee checks.
    """
    height, found = 0, (0, channel.registry)
    for path in sorted((data / "members").glob("*/ledger.sqlite")):
        with suppress(sqlite3.Error, LedgerError), closing(ReadOnly(path)) as file:
            kept = file.resume()
            if kept is None or kept[0].height <= height:
                continue
            mine = (0, channel.registry)
            if b"registry " in kept[1]:
                ledger = Ledger(channel.genesis, channel.registry, file)
                mine = (ledger.registry_height, ledger.registry)
            height, found = kept[0].height, mine
    return found


def header_bytes(data: Path, member: int, height: int) -> bytes | None:
    """The header of a block in a member's copy; None when it doesn't hold that height."""
    package = read_package(data / "members" / str(member) / "ledger.sqlite", height)
    if package is None:
        return None
    header: bytes = codec.decode("block", codec.decode_bare("block-package", package)["block"])["header"]
    return header


def _changes(block: VerifiedBlock) -> Iterator[tuple[int, tuple[int, int]]]:
    place = 0
    for batch in block.header["batches"]:
        if (batch["submitter"], batch["stream"]) == (membership.SUBMITTER, membership.STREAM):
            yield batch["number"], (block.height, int(block.columns["reason"][place]))
        place += batch["records"]


def _check(item: OpenedLeaf) -> None:
    if records.commitment(item.salt, item.payload) != item.leaf.leaf.commitment:
        raise LedgerError(f"leaf {item.leaf.index}: not the payload that the leaf commits to")


def _opened(block: VerifiedBlock, salts: bytes, payloads: list[bytes]) -> Iterator[OpenedLeaf]:
    size = records.SALT_BYTES
    for place, (leaf, payload) in enumerate(zip(block.leaves, payloads, strict=True)):
        yield OpenedLeaf(leaf, salts[size * place : size * (place + 1)], payload)
