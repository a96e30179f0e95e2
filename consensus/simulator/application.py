"""A small replicated ledger for simulated runs: a real RFC 6962 tree of its records, and C2SP checkpoint notes.

A record is eight bytes; its first decides the evidence half. A leaf is the record behind its two-byte code. Batches of
one stream change the committee.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from carbon.merkle import GrowingTree, leaf_hash
from consensus.core.bodies import ProposedBatch
from consensus.core.config import Config, MemberKeys
from consensus.core.effects import OrderedBlock
from consensus.core.messages import is_noted
from consensus.core.quorum import are_distinct

RECORD_BYTES = 8
REFUSED = 7
"""Reason code of a record whose first byte is below 32."""

MEMBERS = ("committee", "members")
"""Submitter and stream of the batches that change the committee."""
FEWEST = 4
"""Members of a committee at least."""


def name_of(keys: MemberKeys) -> bytes:
    """The record that names a member's keys."""
    return b"\xff" + sha256(keys.vote + keys.note).digest()[: RECORD_BYTES - 1]


def change_body(members: Iterable[MemberKeys], after: int, number: int = 1) -> bytes:
    """A batch after which the committee is `members`, from `after` heights above its own: when, then who."""
    when = b"\xff" + after.to_bytes(3, "big") + number.to_bytes(RECORD_BYTES - 4, "big")
    return when + b"".join(name_of(keys) for keys in members)


def codes_of_body(body: bytes) -> bytes:
    """The evidence half of a batch: u16 big endian a record."""
    firsts = body[::RECORD_BYTES]
    return b"".join((REFUSED if first < 32 else 0).to_bytes(2, "big") for first in firsts)


def leaves(body: bytes, codes: bytes) -> list[bytes]:
    """The log's leaves of a batch."""
    count = len(body) // RECORD_BYTES
    return [codes[2 * i : 2 * i + 2] + body[RECORD_BYTES * i : RECORD_BYTES * (i + 1)] for i in range(count)]


@dataclass
class CertifiedBlock:
    """A block with its note and certificate, as it is kept and sent."""

    block: OrderedBlock
    note: bytes
    signatures: tuple[tuple[int, bytes], ...]


@dataclass
class Ledger:
    """One member's copy. `bodies` is what its shell holds; a block that is not certified yet is lost at a restart."""

    config: Config
    """Of the epoch in which its replica is."""
    bodies: dict[bytes, bytes]
    directory: Mapping[bytes, MemberKeys] = field(default_factory=dict)
    """All keys that a change of members can name."""
    epochs: tuple[Config, ...] = ()
    """Each epoch that was recorded, the first by genesis: of its members, only what all may know."""
    blocks: dict[int, CertifiedBlock] = field(default_factory=dict)
    heads: dict[tuple[str, str], int] = field(default_factory=dict)
    tree: GrowingTree = field(default_factory=GrowingTree)
    height: int = 0
    time_ms: int = 0

    def __post_init__(self) -> None:
        self.epochs = self.epochs or (self.config,)

    @property
    def epoch_end(self) -> int | None:
        """See `Application`."""
        following = self.config.epoch + 1
        return self.epochs[following].base if following < len(self.epochs) else None

    def epoch_of(self, height: int) -> Config:
        """The epoch that certifies a height."""
        return next(config for config in reversed(self.epochs) if config.base < height)

    def stream_head(self, submitter: str, stream: str) -> int:
        """See `Application`."""
        return self.heads.get((submitter, stream), 0)

    def execute(self, block: OrderedBlock) -> bytes:
        """See `Application`."""
        assert block.height == self.height + 1 and block.time_ms >= self.time_ms
        return self._apply(block, self.bodies)

    def _apply(self, block: OrderedBlock, bodies: Mapping[bytes, bytes]) -> bytes:
        for batch in block.batches:
            stream = (batch.submitter, batch.stream)
            assert batch.number == self.stream_head(*stream) + 1, "a stream goes on without a gap"
            self.heads[stream] = batch.number
            for leaf in leaves(bodies[batch.digest], batch.codes):
                self.tree.append(leaf_hash(leaf))
            if stream == MEMBERS:
                self._change(block, bodies[batch.digest])
        self.height, self.time_ms = block.height, block.time_ms
        origin = f"carbonledger.example/simulation/{self.config.channel.hex()[:16]}"
        root = b64encode(self.tree.root()).decode()
        return f"{origin}\n{self.tree.size}\n{root}\nheight {self.height}\ntime {self.time_ms}\n".encode()

    def _change(self, block: OrderedBlock, body: bytes) -> None:
        """Let another committee follow, unless one does already, or the batch says what can't be."""
        names = [body[i : i + RECORD_BYTES] for i in range(RECORD_BYTES, len(body), RECORD_BYTES)]
        after = int.from_bytes(body[1:4], "big")
        is_sound = len(set(names)) == len(names) >= FEWEST and all(name in self.directory for name in names)
        if is_sound and after >= 2 * self.config.window and block.epoch + 1 == len(self.epochs):
            members = tuple(self.directory[name] for name in names)
            following = replace(self.config, epoch=block.epoch + 1, base=block.height + after, members=members, index=0)
            self.epochs += (replace(following, vote_seed=b"", note_seed=b""),)

    def keep(self, block: OrderedBlock, note: bytes, signatures: tuple[tuple[int, bytes], ...]) -> None:
        """A height was certified."""
        self.blocks[block.height] = CertifiedBlock(block, note, signatures)

    def install(self, block: bytes) -> bool:
        """See `Application`."""
        try:
            found, bodies = _decode(block)
        except (ValueError, KeyError, TypeError):
            return False
        if found.block.height != self.height + 1:
            return False
        signers = [member for member, _ in found.signatures]
        epoch = self.epoch_of(found.block.height)
        genuine = all(is_noted(epoch, *pair[:1], found.note, pair[1]) for pair in found.signatures)
        if found.block.epoch != epoch.epoch or len(signers) != epoch.quorum:
            return False
        if not genuine or not are_distinct(signers):
            return False
        return self._install(found, bodies)

    def _install(self, found: CertifiedBlock, bodies: dict[bytes, bytes]) -> bool:
        if any(batch.digest not in bodies for batch in found.block.batches):
            return False
        trial = replace(self, heads=dict(self.heads), tree=self.tree.copy())
        try:
            note = trial._apply(found.block, bodies)
        except AssertionError:
            return False
        if note != found.note:
            return False
        self.heads, self.tree, self.epochs = trial.heads, trial.tree, trial.epochs
        self.height, self.time_ms = trial.height, trial.time_ms
        self.bodies.update(bodies)
        self.keep(found.block, found.note, found.signatures)
        return True

    def certified(self, height: int) -> bytes | None:
        """See `Application`."""
        found = self.blocks.get(height)
        return None if found is None else _encode(found, self.bodies)

    def certificate(self, height: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
        """See `Application`."""
        found = self.blocks.get(height)
        return None if found is None else (found.note, found.signatures)

    def note_height(self, note: bytes) -> int | None:
        """See `Application`."""
        lines = note.split(b"\n")
        is_height = len(lines) == 6 and lines[3].startswith(b"height ") and lines[3][7:].isdigit()
        return int(lines[3][7:]) if is_height else None

    def restarted(self) -> "Ledger":
        """What a restart finds: the certified blocks, applied again."""
        again = Ledger(self.config, self.bodies, self.directory, self.epochs[:1])
        for height in sorted(self.blocks):
            found = self.blocks[height]
            again._apply(found.block, self.bodies)
            again.keep(found.block, found.note, found.signatures)
        return again


def certificate_of(block: bytes) -> tuple[bytes, tuple[tuple[int, bytes], ...]]:
    """Note and signatures of a certified block."""
    found = _decode(block)[0]
    return found.note, found.signatures


def _encode(found: CertifiedBlock, bodies: Mapping[bytes, bytes]) -> bytes:
    block = found.block
    batches = [[*batch[:3], batch.digest.hex(), batch.codes.hex()] for batch in block.batches]
    return json.dumps(
        {
            "block": [block.epoch, block.height, block.time_ms, batches],
            "bodies": [bodies[batch.digest].hex() for batch in block.batches],
            "note": found.note.decode(),
            "signatures": [[member, signature.hex()] for member, signature in found.signatures],
        }
    ).encode()


def _decode(data: bytes) -> tuple[CertifiedBlock, dict[bytes, bytes]]:
    fields = json.loads(data)
    epoch, height, time_ms, rows = fields["block"]
    batches = tuple(
        ProposedBatch(str(row[0]), str(row[1]), int(row[2]), bytes.fromhex(row[3]), bytes.fromhex(row[4]))
        for row in rows
    )
    signatures = tuple((member, bytes.fromhex(signature)) for member, signature in fields["signatures"])
    bodies = [bytes.fromhex(body) for body in fields["bodies"]]
    block = OrderedBlock(epoch, height, time_ms, batches)
    return CertifiedBlock(block, fields["note"].encode(), signatures), {sha256(b).digest(): b for b in bodies}
