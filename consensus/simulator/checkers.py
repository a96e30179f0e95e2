"""What must hold after every step of a run, checked from outside with a view of all honest members at once."""

from base64 import b64decode
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from carbon import merkle
from consensus.core import bodies, votelog
from consensus.core.bodies import Checkpoint, Endorsement, ProposedBatch, ViewChange, Vote
from consensus.core.config import Config
from consensus.core.effects import Certified, OrderedBlock
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
    codes: dict[bytes, bytes] = field(default_factory=dict)
    states: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    numbers: dict[tuple[str, str, int], tuple[int, bytes]] = field(default_factory=dict)
    votes: dict[tuple[object, ...], bytes] = field(default_factory=dict)

    def executed(self, block: OrderedBlock) -> None:
        """Agreement: one block a height. Uniqueness: a batch, hence a record, at one height only."""
        content = (block.epoch, block.time_ms, block.batches)
        require(self.blocks.setdefault(block.height, content) == content, f"two blocks at height {block.height}")
        for batch in block.batches:
            place = (batch.submitter, batch.stream, batch.number)
            recorded = (block.height, batch.digest)
            require(self.numbers.setdefault(place, recorded) == recorded, f"batch {place} is recorded twice")
            self.decided(batch.digest, batch.codes)

    def applied(self, height: int, note: bytes, heads: dict[tuple[str, str], int]) -> None:
        """State: whoever applies a height comes to the same note and streams, certified or not."""
        require(self.notes.setdefault(height, note) == note, f"two states at height {height}")
        if height not in self.states:
            self.states[height] = dict(heads)
        require(self.states[height] == heads, f"two states of the streams at height {height}")

    def bounded(self, sizes: dict[str, int], pool: int) -> None:
        """Memory: heights within two windows, one entry a member, a bounded number of strangers' batches."""
        heights, n = 2 * self.config.window, self.config.n
        limits = dict.fromkeys(("slots", "checkpoints", "waiting", "opened", "executions"), heights)
        limits |= dict.fromkeys(("view_changes", "sought", "sound", "unsound", "peers", "answers", "strangers"), n)
        limits |= {"signed": 4 * heights + 2, "tallies": 512 * n + pool, "endorsed": 2048, "shown": 1024}
        limits["pool"] = SUBMITTERS * self.config.quota + self.config.max_records * heights
        held = sizes | {"pool": pool}
        for name, limit in limits.items():
            require(held[name] <= limit, f"{held[name]} {name} are kept, {limit} are the most")

    def decided(self, digest: bytes, codes: bytes) -> None:
        """Verdicts: whoever decides a batch decides it alike."""
        require(self.codes.setdefault(digest, codes) == codes, f"two decisions on batch {digest.hex()[:8]}")

    def certified(self, found: Certified) -> None:
        """A certificate verifies from outside: exactly a quorum, distinct, sorted, genuine, over one note a height."""
        require(self.notes.setdefault(found.height, found.note) == found.note, f"two notes at {found.height}")
        members = [member for member, _ in found.signatures]
        needed = self.config.n - (self.config.n - 1) // 3
        require(len(members) == needed and sorted(set(members)) == members, "a certificate of other than 2f + 1")
        for member, signature in found.signatures:
            signed = (self.config.members[member].note, "", self.config.channel, found.note, signature)
            require(signatures.check(*signed), "a forged certificate")

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
        return [((vote.view, vote.height), vote.digest)]
    if message.kind is Kind.CHECKPOINT:
        checkpoint = Checkpoint.decode(message.body)
        return [((checkpoint.height,), checkpoint.note_signature)]
    if message.kind is Kind.VIEW_CHANGE:
        return [((ViewChange.decode(message.body).view,), message.body)]
    if message.kind is Kind.ENDORSEMENT:
        verdicts = Endorsement.decode(message.body).verdicts
        return [((verdict.batch,), verdict.passes + repr(verdict.failures).encode()) for verdict in verdicts]
    return []
