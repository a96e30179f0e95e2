"""A witness: follows the ledger with the genesis alone, and cosigns checkpoints of the one history that it has seen.

Growth is checked by making the tree grow leaf by leaf from the checkpoint that was cosigned last. A cosignature is C2SP
tlog-cosignature with Ed25519 (type 0x04, with the time). Pure: messages in, a position and a checkpoint out.
"""

from typing import Any

from carbon import signing
from consensus.log import evidence, note, proof
from consensus.log.follower import Certified, Follower, LedgerError, Position, certified
from consensus.log.genesis import Genesis
from consensus.log.note import NoteKey
from consensus.log.proof import ProofRefused

WAITING_BLOCKS = 64
"""How far ahead of its predecessor a block may come and wait for it."""
COPIES = 4
"""Certified messages of one height that may wait: only one of them can be whole, whichever came first."""


class Forked(Exception):
    """Two certified checkpoints contradict each other; `file` is the evidence."""

    def __init__(self, file: dict[str, Any]) -> None:
        super().__init__("the ledger has forked")
        self.file = file


class Witness:
    """Where a witness stands, and what it makes of each message of the ledger topic."""

    def __init__(self, genesis: Genesis, position: Position | None = None, checkpoint: str = "") -> None:
        self._follower = Follower(genesis, position)
        self.checkpoint = checkpoint
        """The certified checkpoint of the position; empty before the first block."""
        self._refused = ""
        self._early: dict[int, list[tuple[int, bytes]]] = {}

    @property
    def position(self) -> Position:
        """After the last block that was taken."""
        return self._follower.position

    @property
    def objection(self) -> str:
        """Why certified blocks after the position were not taken; empty when there are none."""
        return self._refused or (f"block {self.position.height + 1} is missing" if self._early else "")

    @property
    def oldest_waiting(self) -> int | None:
        """Offset of the oldest message that waits for its predecessor: a restart goes on from it."""
        return min((offset for copies in self._early.values() for offset, _ in copies), default=None)

    def offer(self, message: bytes, offset: int) -> bool:
        """Look at a message; whether the position moved. Passes over what is no certified block. Raises Forked."""
        before = self.position.height
        self._look_at(message, offset)
        while (due := self._early.pop(self.position.height + 1, None)) is not None:
            for waiting, early in due:
                self._look_at(early, waiting)
        return self.position.height > before

    def _look_at(self, message: bytes, offset: int) -> None:
        try:
            found = certified(self._follower.genesis, self._follower.committees, message)
        except LedgerError:
            return
        header, now = found.header, self.position
        self._refuse_fork(found)
        ahead = header["height"] - now.height
        if ahead == 1:
            self._take(message)
        elif 1 < ahead <= WAITING_BLOCKS:
            copies = self._early.setdefault(header["height"], [])
            if len(copies) < COPIES and all(message != copy for _, copy in copies):
                copies.append((offset, message))

    def _refuse_fork(self, found: Certified) -> None:
        now, header, block = self.position, found.header, found.block
        same = header["height"] == now.height and found.digest != now.digest
        beside = header["height"] == now.height + 1 and header["previous"] != now.digest
        if now.height and (same or beside):
            known = evidence.Known.of(self._follower.genesis, now.epochs)
            raise Forked(evidence.fork(known, self.checkpoint, block["checkpoint"], block["header"]))

    def _take(self, message: bytes) -> None:
        try:
            block = self._follower.accept(message)
        except LedgerError as error:
            self._refused = str(error)
            return
        assert block is not None, "it is of the next height"
        self.checkpoint, self._refused = block.checkpoint, ""


def is_of(genesis: Genesis, position: Position, checkpoint: str) -> bool:
    """Whether a checkpoint is certified, and the position's."""
    try:
        stated, _ = proof.certified(checkpoint, genesis, proof.committees(position.epochs, genesis))
    except ProofRefused:
        return False
    tree = position.tree
    return (stated.height, stated.block, stated.size, stated.root) == (
        position.height, position.digest, tree.size, tree.root(),
    )  # fmt: skip


def cosignature(seed: bytes, key: NoteKey, checkpoint: str, seconds: int) -> str:
    """The signature line of a witness over a checkpoint at a time in Unix seconds (C2SP tlog-cosignature)."""
    assert key.type == note.COSIGNATURE
    text, _ = note.split(checkpoint)
    signature = signing.sign_raw(seed, f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return note.signature_line(key, seconds.to_bytes(8, "big") + signature)
