"""Following the ledger with nothing but the genesis: every block is checked completely before it counts.

Pure: bytes in, verified blocks out. Whoever keeps results keeps `height` in the same store and transaction, and
restores the follower from the header and the tree that it had there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbon import merkle, signing
from consensus.log import leaf as leaves_
from consensus.log import note
from consensus.log.genesis import Genesis
from consensus.log.genesis import parse as parse_genesis
from consensus.log.leaf import Leaf
from schemas import codec

Verify = Callable[[bytes, str, bytes, bytes, bytes], bool]
"""Like `signing.verify`; a member remembers what it has verified."""


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
    signers: tuple[int, ...]
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

    def dump(self) -> dict[str, Any]:
        """The position as a JSON value."""
        peaks = [peak.hex() for peak in self.tree.peaks]
        counts = {"height": self.height, "time": self.time, "accepted": self.accepted, "rejected": self.rejected}
        return counts | {"digest": self.digest.hex(), "size": self.tree.size, "peaks": peaks}

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Position":
        """The position of a value that `dump` made."""
        tree = merkle.GrowingTree(data["size"], [bytes.fromhex(peak) for peak in data["peaks"]])
        counts = (data["time"], data["accepted"], data["rejected"])
        return cls(data["height"], bytes.fromhex(data["digest"]), *counts, tree)


def beginning(genesis: Genesis) -> Position:
    """Where every ledger starts: the digest of its genesis stands in for a block before the first."""
    return Position(0, genesis.digest, 0, 0, 0, merkle.GrowingTree())


class Follower:
    """Checks blocks in the order of their heights, from a position on."""

    def __init__(self, genesis: Genesis, position: Position | None = None) -> None:
        self.genesis = genesis
        self.position = position or beginning(genesis)

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
        block_digest = sha256(block["header"]).digest()
        self._check_header(header)
        columns, hashes, position = self._grow(header, block_digest, block["leaves"])
        signers = certificate_signers(self.genesis, header, block_digest, block["checkpoint"])
        for vote in block["votes"]:
            check_vote(self.genesis, header["height"], vote)
        leaves = (self.position.tree.size, columns, hashes)
        self.position = position
        return VerifiedBlock(
            header["height"], block_digest, header, *leaves, block["checkpoint"], signers, block["votes"]
        )

    def _check_header(self, header: Mapping[str, Any]) -> None:
        now, genesis = self.position, self.genesis
        if header["height"] != now.height + 1:
            raise LedgerError(f"block {header['height']} where {now.height + 1} was due: a block is missing")
        if (header["format"], header["channel"], header["epoch"]) != (1, genesis.digest, genesis.epoch):
            raise LedgerError(f"block {header['height']} is of another channel, epoch or format")
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
        return columns, hashes, Position(header["height"], block_digest, header["time"], *counts, tree)


def certificate_signers(
    genesis: Genesis, header: Mapping[str, Any], block_digest: bytes, checkpoint: str
) -> tuple[int, ...]:
    """The members that certified a block: exactly 2f + 1 different ones. Raises LedgerError for anything else."""
    try:
        signed, signers = note.signers(checkpoint, [member.note_key for member in genesis.members])
    except note.NoteError as error:
        raise LedgerError(f"block {header['height']}: {error}") from error
    if signed != checkpoint_of(genesis, header, block_digest):
        raise LedgerError(f"block {header['height']}: the checkpoint is of another block")
    if len(signers) != genesis.quorum:
        raise LedgerError(f"block {header['height']}: {len(signers)} signatures, wanted {genesis.quorum}")
    return tuple(signers)


def check_vote(genesis: Genesis, height: int, message: bytes, verify: Verify = signing.verify) -> None:
    """An endorsement in a block must be what a member signed, to the last byte. Raises LedgerError.

    The certificate does not cover the votes: which members' endorsements a publisher holds may differ.
    """
    vote = _decode("consensus-message", message)
    member = vote["member"]
    if vote["kind"] != "endorsement" or vote["attachment"] or not 0 <= member < len(genesis.members):
        raise LedgerError(f"block {height}: a vote that is no endorsement of a member")
    key = genesis.members[member].vote_key
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
