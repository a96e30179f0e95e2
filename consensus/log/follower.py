"""Following the ledger with nothing but the genesis: every block is checked completely before it counts.

Pure: bytes in, verified blocks out. Whoever keeps results keeps `height` in the same store and transaction, and
restores the follower from the header and the tree that it had there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon import merkle, signing
from consensus.log import leaf as leaves_
from consensus.log import note, proof
from consensus.log.committee import Committee, in_charge
from consensus.log.genesis import Genesis
from consensus.log.genesis import parse as parse_genesis
from consensus.log.leaf import Leaf
from schemas import codec

Verify = Callable[[bytes, str, bytes, bytes, bytes], bool]
"""Like `signing.check`; a member remembers what it has verified."""


class LedgerError(ValueError):
    """A block that does not continue the ledger, or whose certificate does not hold."""


@dataclass(slots=True)
class VerifiedLeaf:
    """A leaf with its place in the log and its hash, by which its payload is found.

    Never changed once made; not frozen, because there is one a record and a frozen one takes three times as long.
    """

    index: int
    hash: bytes
    leaf: Leaf


@dataclass(frozen=True)
class VerifiedBlock:
    """A block whose certificate, chain, leaves and counts were checked."""

    height: int
    digest: bytes
    header: dict[str, Any]
    first: int
    """Index of its first leaf in the log."""
    columns: NDArray[np.void] = field(compare=False)
    """Its leaves, each field a column, as `leaf.columns` has them."""
    hashes: list[bytes]
    """Those of its leaves."""
    checkpoint: str
    committee: Committee
    signers: tuple[int, ...]
    """Places in the committee."""
    votes: list[bytes]

    @cached_property
    def leaves(self) -> list[VerifiedLeaf]:
        """Its leaves one by one, for whoever wants them so: making them takes longer than verifying them."""
        opened = leaves_.opened(self.columns)
        places = range(self.first, self.first + len(opened))
        return [VerifiedLeaf(*parts) for parts in zip(places, self.hashes, opened, strict=True)]


@dataclass
class Position:
    """Where a reader of the ledger stands: after which block, with which tree and counts."""

    height: int
    digest: bytes
    time: int
    accepted: int
    rejected: int
    tree: merkle.GrowingTree
    epochs: tuple[dict[str, Any], ...] = ()
    """The chain of committees up to here: one link of a proof's `epochs` for each change."""

    def dump(self) -> dict[str, Any]:
        """The position as a JSON value."""
        peaks = [peak.hex() for peak in self.tree.peaks]
        counts = {"height": self.height, "time": self.time, "accepted": self.accepted, "rejected": self.rejected}
        tree = {"digest": self.digest.hex(), "size": self.tree.size, "peaks": peaks}
        return counts | tree | ({"epochs": list(self.epochs)} if self.epochs else {})

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Position":
        """The position of a value that `dump` made."""
        tree = merkle.GrowingTree(data["size"], [bytes.fromhex(peak) for peak in data["peaks"]])
        counts = (data["time"], data["accepted"], data["rejected"])
        return cls(data["height"], bytes.fromhex(data["digest"]), *counts, tree, tuple(data.get("epochs", ())))


def beginning(genesis: Genesis) -> Position:
    """Where every ledger starts: the digest of its genesis stands in for a block before the first."""
    return Position(0, genesis.digest, 0, 0, 0, merkle.GrowingTree())


class Follower:
    """Checks blocks in the order of their heights, from a position on."""

    def __init__(
        self,
        genesis: Genesis,
        position: Position | None = None,
        committees: Sequence[Committee] = (),
        verify: Verify = signing.check,
    ) -> None:
        """`committees`: what the position's chain leads to, for whoever knows it already."""
        self.genesis = genesis
        self.position = position or beginning(genesis)
        self._verify = verify
        self.committees = tuple(committees) or proof.committees(self.position.epochs, genesis)
        """One an epoch, as far as the position tells."""

    @classmethod
    def from_file(cls, path: str | Path) -> "Follower":
        """A follower that knows a genesis file and nothing else. Raises GenesisError, OSError."""
        return cls(parse_genesis(Path(path).read_bytes()))

    @property
    def height(self) -> int:
        """The last height that was accepted; 0 before the first."""
        return self.position.height

    def accept(self, message: bytes) -> VerifiedBlock | None:
        """The next block, checked; None for one that was accepted before. Raises LedgerError and stays where it was."""
        block = _decode("block", message)
        header = _decode_bare("block-header", block["header"])
        if header["height"] <= self.height:
            return None
        block_digest, committee = sha256(block["header"]).digest(), in_charge(self.committees, header["height"])
        self._check_header(header)
        columns, hashes, position = self._grow(header, block_digest, block["leaves"])
        signers = certificate_signers(self.genesis, committee, header, block_digest, block["checkpoint"], self._verify)
        for vote in block["votes"]:
            check_vote(self.genesis, committee, header["height"], vote, self._verify)
        link = membership_link(block, header, self.position.tree)
        if link is not None:
            position = replace(position, epochs=(*position.epochs, link))
            self.committees = _committees(position, self.genesis)
        leaves = (self.position.tree.size, columns, hashes)
        self.position = position
        certificate = (block["checkpoint"], committee, signers)
        return VerifiedBlock(header["height"], block_digest, header, *leaves, *certificate, block["votes"])

    def _check_header(self, header: Mapping[str, Any]) -> None:
        now, genesis = self.position, self.genesis
        if header["height"] != now.height + 1:
            raise LedgerError(f"block {header['height']} where {now.height + 1} was due: a block is missing")
        if (header["format"], header["channel"]) != (1, genesis.digest):
            raise LedgerError(f"block {header['height']} is of another channel or format")
        if header["previous"] != now.digest:
            raise LedgerError(f"block {header['height']} does not name the block before it")
        if header["time"] < now.time:
            raise LedgerError(f"block {header['height']} is older than the block before it")

    def _grow(
        self, header: Mapping[str, Any], block_digest: bytes, data: bytes
    ) -> tuple[NDArray[np.void], list[bytes], Position]:
        try:
            columns = leaves_.columns(data)
        except leaves_.LeafError as error:
            raise LedgerError(f"block {header['height']}: {error}") from error
        now, tree = self.position, self.position.tree.copy()
        hashes = merkle.leaf_hashes(np.frombuffer(data, np.uint8).reshape(-1, leaves_.SIZE))
        tree.extend(hashes)
        rejected = int(np.count_nonzero(columns["reason"]))
        counts = (now.accepted + len(hashes) - rejected, now.rejected + rejected)
        stated = (header["tree_size"], header["root"], header["accepted"], header["rejected"])
        if (tree.size, tree.root(), *counts) != stated or sum(b["records"] for b in header["batches"]) != len(hashes):
            raise LedgerError(f"block {header['height']}: its leaves are not what its header states")
        position = Position(header["height"], block_digest, header["time"], *counts, tree, now.epochs)
        return columns, hashes, position


def membership_link(
    block: Mapping[str, Any], header: Mapping[str, Any], before: merkle.GrowingTree
) -> dict[str, Any] | None:
    """The link of the chain of committees that a block adds; None when it changes none. Raises LedgerError.

    `before` is the tree before the block. There is a link exactly where an accepted leaf is of that kind.
    """
    data, opening = block["leaves"], block["membership"]
    place = leaves_.accepted_place(data, leaves_.MEMBERSHIP)
    if (place is None) != (opening is None):
        raise LedgerError(f"block {header['height']}: what its change of the committee opens is missing, or foreign")
    if place is None or opening is None:
        return None
    envelopes = leaves_.split(data)
    path = merkle.appended_path(before, [merkle.leaf_hash(envelope) for envelope in envelopes], place)
    log = proof.located(envelopes[place], before.size + place, header["tree_size"], path)
    return proof.epoch_link(log, block["checkpoint"], opening["salt"], opening["payload"])


def _committees(position: Position, genesis: Genesis) -> tuple[Committee, ...]:
    try:
        return proof.committees(position.epochs, genesis)
    except proof.ProofRefused as error:
        raise LedgerError(f"block {position.height}: {error}") from error


class Certified(NamedTuple):
    """A block whose certificate holds; its place and its leaves are unchecked."""

    block: dict[str, Any]
    header: dict[str, Any]
    digest: bytes


def certified(genesis: Genesis, committees: Sequence[Committee], message: bytes) -> Certified:
    """The block of a message, if the committee of its height certified it. Raises LedgerError."""
    block = _decode("block", message)
    header, digest = _decode_bare("block-header", block["header"]), sha256(block["header"]).digest()
    certificate_signers(genesis, in_charge(committees, header["height"]), header, digest, block["checkpoint"])
    return Certified(block, header, digest)


def certificate_signers(
    genesis: Genesis,
    committee: Committee,
    header: Mapping[str, Any],
    block_digest: bytes,
    checkpoint: str,
    verify: Verify = signing.check,
) -> tuple[int, ...]:
    """The members that certified a block: exactly a quorum of the committee. Raises LedgerError for anything else."""
    if header["epoch"] != committee.epoch:
        raise LedgerError(f"block {header['height']} is of epoch {header['epoch']}, not {committee.epoch}")
    try:
        signed, signers = note.signers(
            checkpoint, committee.note_keys, lambda key, text, by: verify(key, "", genesis.digest, text, by)
        )
    except note.NoteError as error:
        raise LedgerError(f"block {header['height']}: {error}") from error
    if signed != checkpoint_of(genesis, header, block_digest):
        raise LedgerError(f"block {header['height']}: the checkpoint is of another block")
    if len(signers) != committee.quorum:
        raise LedgerError(f"block {header['height']}: {len(signers)} signatures, wanted {committee.quorum}")
    return tuple(signers)


def check_vote(
    genesis: Genesis, committee: Committee, height: int, message: bytes, verify: Verify = signing.check
) -> None:
    """An endorsement in a block must be what a member signed, to the last byte. Raises LedgerError.

    The certificate does not cover the votes: which members' endorsements a publisher holds may differ.
    """
    vote = _decode("consensus-message", message)
    member = vote["member"]
    if vote["kind"] != "endorsement" or vote["attachment"] or not 0 <= member < len(committee.members):
        raise LedgerError(f"block {height}: a vote that is no endorsement of a member")
    key = committee.members[member].vote_key
    if not verify(key, "consensus/endorsement", genesis.digest, vote["body"], vote["signature"]):
        raise LedgerError(f"block {height}: an endorsement that member {member} did not sign")


def checkpoint_of(genesis: Genesis, header: Mapping[str, Any], block_digest: bytes) -> str:
    """The text that members sign for a block."""
    size, root = header["tree_size"], header["root"]
    return note.checkpoint_text(genesis.origin, size, root, header["height"], block_digest, header["epoch"])


def batch_of(header: Mapping[str, Any], place: int) -> tuple[dict[str, Any], int]:
    """The batch that leaf `place` of a block came in, and its place there."""
    for batch in header["batches"]:
        if place < batch["records"]:
            return batch, place
        place -= batch["records"]
    raise AssertionError("a leaf beyond the batches of its block")


def _decode(name: str, data: bytes) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = codec.decode(name, data)
    except codec.CodecError as error:
        raise LedgerError(str(error)) from error
    return fields


def _decode_bare(name: str, data: bytes) -> dict[str, Any]:
    return _decode(name, codec.header(name) + data)


@dataclass(slots=True)
class OpenedLeaf:
    """A leaf whose payload is at hand: salt and canonical bytes that the leaf commits to."""

    leaf: VerifiedLeaf
    salt: bytes
    payload: bytes
