"""What must hold after every step of a run, checked from outside with a view of all honest members at once."""

from base64 import b64decode
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from carbon import merkle
from consensus.core import bodies, votelog
from consensus.core.bodies import Checkpoint, Endorsement, ProposedBatch, ViewChange, Vote
from consensus.core.config import Config, MemberKeys
from consensus.core.effects import OrderedBlock
from consensus.core.messages import Kind, Message, signatures

SUBMITTERS = 8
"""Submitters of a run at most, the rogue among them."""


class Violation(AssertionError):
    """A property of the protocol does not hold."""


def require(holds: bool, what: str) -> None:
    """Raises Violation unless `holds`."""
    if not holds:
        raise Violation(what)


@dataclass
class Checkers:
    """The history of all honest members. Raises Violation at the step that breaks a property."""

    config: Config
    blocks: dict[int, tuple[int, int, tuple[ProposedBatch, ...]]] = field(default_factory=dict)
    notes: dict[int, bytes] = field(default_factory=dict)
    codes: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    states: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    numbers: dict[tuple[str, str, int], tuple[int, bytes]] = field(default_factory=dict)
    votes: dict[tuple[object, ...], bytes] = field(default_factory=dict)
    epochs: dict[int, tuple[int, tuple[MemberKeys, ...]]] = field(default_factory=dict)
    """Base and members of each epoch that an honest member recorded."""

    def __post_init__(self) -> None:
        self.recorded((self.config,))

    def recorded(self, epochs: tuple[Config, ...]) -> None:
        """Membership: nobody honest takes an epoch to begin elsewhere, or with other members or keys."""
        for epoch in epochs:
            facts = (epoch.base, epoch.members)
            require(self.epochs.setdefault(epoch.epoch, facts) == facts, f"two committees of epoch {epoch.epoch}")

    def executed(self, block: OrderedBlock) -> None:
        """Agreement: one block a height. Uniqueness: a batch, hence a record, at one height only."""
        base, _ = self.epochs[block.epoch]
        end, _ = self.epochs.get(block.epoch + 1, (block.height, ()))
        require(base < block.height <= end, f"height {block.height} is not of epoch {block.epoch}")
        content = (block.epoch, block.time_ms, block.batches)
        require(self.blocks.setdefault(block.height, content) == content, f"two blocks at height {block.height}")
        for batch in block.batches:
            place = (batch.submitter, batch.stream, batch.number)
            recorded = (block.height, batch.digest)
            require(self.numbers.setdefault(place, recorded) == recorded, f"batch {place} is recorded twice")
            self.decided(block.epoch, batch.digest, batch.codes)

    def applied(self, height: int, note: bytes, heads: dict[tuple[str, str], int]) -> None:
        """State: whoever applies a height comes to the same note and streams, certified or not."""
        require(self.notes.setdefault(height, note) == note, f"two states at height {height}")
        if height not in self.states:
            self.states[height] = dict(heads)
        require(self.states[height] == heads, f"two states of the streams at height {height}")

    def bounded(self, sizes: dict[str, int], pool: int, n: int) -> None:
        """Memory: heights within two windows, one entry a member, a bounded number of strangers' batches."""
        heights = 2 * self.config.window
        limits = dict.fromkeys(("checkpoints", "waiting", "opened", "executions"), heights)
        limits |= dict.fromkeys(("view_changes", "sought", "sound", "unsound", "peers", "answers", "strangers"), n)
        limits |= {"slots": heights + 1, "signed": 4 * heights + 2}
        limits |= {"tallies": 512 * n + pool, "endorsed": 2048, "shown": 1024}
        limits["pool"] = SUBMITTERS * self.config.quota + self.config.max_records * heights
        held = sizes | {"pool": pool}
        for name, limit in limits.items():
            require(held[name] <= limit, f"{held[name]} {name} are kept, {limit} are the most")

    def decided(self, epoch: int, digest: bytes, codes: bytes) -> None:
        """Verdicts: whoever decides a batch in an epoch decides it alike."""
        require(self.codes.setdefault((epoch, digest), codes) == codes, f"two decisions on batch {digest.hex()[:8]}")

    def certified(self, block: OrderedBlock, note: bytes, signed: tuple[tuple[int, bytes], ...]) -> None:
        """A certificate verifies from outside: exactly a quorum of its epoch, distinct, sorted, genuine, one note."""
        require(self.notes.setdefault(block.height, note) == note, f"two notes at {block.height}")
        _, keys = self.epochs[block.epoch]
        members = [member for member, _ in signed]
        needed = len(keys) - (len(keys) - 1) // 3
        require(len(members) == needed and sorted(set(members)) == members, "a certificate of other than a quorum")
        for member, signature in signed:
            signed_note = (keys[member].note, "", self.config.channel, note, signature)
            require(signatures.check(*signed_note), "a forged certificate")

    def transmitted(self, message: Message, durable: set[bytes]) -> None:
        """Durable before sent; and an honest member never signs two things that exclude each other."""
        keys = _claims(message)
        if message.kind is Kind.NEW_VIEW:
            require(votelog.view_entry(message) in durable, "a view opened before it is durable")
        if keys:
            require(_entry(message) in durable, f"{message.kind} sent before it is durable")
        for key, content in keys:
            place = (message.kind, message.member, *key)
            require(self.votes.setdefault(place, content) == content, f"member signed two of {place}")

    def grown(self, hashes: list[bytes]) -> None:
        """The log only grew: every certified tree is consistent with the next, over the leaf hashes of the longest."""
        roots = [(0, merkle.EMPTY_ROOT)] + [_tree(self.notes[height]) for height in sorted(self.notes)]
        for (old_size, old_root), (size, root) in pairwise(roots):
            path = merkle.consistency_path(hashes[:size], old_size) if 0 < old_size < size else []
            try:
                merkle.check_consistency(old_size, old_root, size, root, path)
            except merkle.ProofError as error:
                raise Violation(f"the log did not grow: {error}") from error


_entry = lru_cache(maxsize=2048)(votelog.message_entry)


def _tree(note: bytes) -> tuple[int, bytes]:
    lines = note.split(b"\n")
    return int(lines[1]), b64decode(lines[2])


def _claims(message: Message) -> list[tuple[tuple[object, ...], bytes]]:
    """What a message commits its signer to: (place, content) pairs of which no other content may be signed."""
    if message.kind in bodies.VOTES:
        vote = Vote.decode(message.body)
        return [((vote.epoch, vote.view, vote.height), vote.digest)]
    if message.kind is Kind.CHECKPOINT:
        checkpoint = Checkpoint.decode(message.body)
        return [((checkpoint.epoch, checkpoint.height), checkpoint.note_signature)]
    if message.kind is Kind.VIEW_CHANGE:
        change = ViewChange.decode(message.body)
        return [((change.epoch, change.view), message.body)]
    if message.kind is Kind.ENDORSEMENT:
        said = Endorsement.decode(message.body)
        contents = [(row.batch, row.passes + repr(row.failures).encode()) for row in said.verdicts]
        return [((said.epoch, batch), content) for batch, content in contents]
    return []
