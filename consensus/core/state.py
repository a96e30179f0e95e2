"""All that a replica remembers, and the few acts that every protocol step shares: send, persist, sign, drop.

The steps (normal, checkpoints, view_change, …) are functions over this state; none of them calls another's handler.
A handler records what came in; `Replica` then lets every step advance until nothing moves.
"""

from collections import Counter
from dataclasses import dataclass, field

from consensus.core import votelog
from consensus.core.application import Application
from consensus.core.bodies import HEIGHT_LIMIT, VOTES, Justified, Proposal, Status, Vote
from consensus.core.certificates import Certificate, Prepared
from consensus.core.config import Config, Instant
from consensus.core.effects import (
    BatchDone,
    Dissent,
    Divergence,
    Effect,
    Evidence,
    NeedBatch,
    OrderedBlock,
    Persist,
    Send,
)
from consensus.core.endorsements import Tally
from consensus.core.messages import Kind, Message, sign
from consensus.core.new_view import Change
from consensus.core.pool import Pool, Stream, fitting
from consensus.core.quorum import Ballots


@dataclass(frozen=True)
class Accepted:
    """A pre-prepare that this member accepted in a view."""

    view: int
    proposal: Proposal
    digest: bytes
    signature: bytes


@dataclass
class Slot:
    """The agreement on one height."""

    height: int
    accepted: Accepted | None = None
    prepares: Ballots = field(default_factory=Ballots)
    commits: Ballots = field(default_factory=Ballots)
    prepared: Prepared | None = None
    """The prepared certificate of the highest view."""
    committed: Proposal | None = None
    is_finished: bool = False
    """Whether 2f + 1 committed what is accepted, this member among them: no vote changes anything any more."""
    endorsements: tuple[bytes, ...] = ()
    due_ms: int = 0

    def stage(self, view: int) -> int:
        """0 nothing, 1 pre-prepared in `view`, 2 prepared in `view`, 3 that and committed.

        What was committed in an earlier view is prepared again: others may need this member's commit in this one.
        """
        if self.prepared is not None and self.prepared.view == view:
            return 2 if self.committed is None else 3
        return int(self.accepted is not None and self.accepted.view == view)


@dataclass(frozen=True)
class Waiting:
    """A pre-prepare that is genuine but can't be judged yet."""

    message: Message
    vote: Vote
    proposal: Proposal
    justified: Justified


@dataclass(frozen=True)
class Execution:
    """A height applied here whose checkpoint is not certified yet."""

    block: OrderedBlock
    note: bytes
    dissents: tuple[Dissent, ...]


@dataclass(frozen=True)
class Peer:
    """The newest status of another member, when it came, and the message that said it."""

    status: Status
    at_ms: int
    message: Message


PATIENCE = 2.5
"""A primary may take so many times as long as heights have lately taken."""
PACE_MS = 8_000
"""Waiting in which the pace comes down to a third of what it was above the times measured now."""

SignedKey = tuple[Kind, int, int]
"""(kind, view, height) of a message that this member may sign only once; unused parts are 0."""


@dataclass
class State:
    """The state of one replica."""

    config: Config
    application: Application
    pool: Pool
    now: Instant
    effects: list[Effect] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Input that was not used, by reason."""
    halted: bool = False

    view: int = 0
    changing: bool = False
    """Left for `view`, and no new-view yet: votes in no view."""
    new_view: Message | None = None
    """The new-view message by which the last view was entered; None in view 0."""
    view_changes: dict[int, Message] = field(default_factory=dict)
    """The view change of the highest view of each member."""
    sought: dict[int, int] = field(default_factory=dict)
    """The highest view that each member left for."""
    sound: dict[int, Change] = field(default_factory=dict)
    """View changes for `view` whose certificates were verified, by member."""
    unsound: set[int] = field(default_factory=set)
    """Members whose view change for `view` proves nothing."""
    suspects: bool = False
    """Something that could be ordered waits longer than this view's primary may take."""
    level: int = 0
    """The view timeout is doubled this many times."""
    next_due_ms: int = 0
    """When the primary of an epoch that is to end has waited too long with its next height."""
    since_ms: int | None = None
    """Since when this view's primary has owed a height; None: it owes none."""
    pace_ms: int = 0
    """How long heights have lately been waited for."""

    stable: Certificate | None = None
    """The highest checkpoint of this epoch that is known to be certified; None while that is its base."""
    certified: int = 0
    """Last height whose certificate the application holds."""
    question: int = 0
    """Names the question after own messages that is open since the restart; 0: none."""
    answers: dict[int, int] = field(default_factory=dict)
    """The stable height that each answer proved."""
    forgotten: Message | None = None
    """An own message that an answer held and the log does not."""
    barred: Message | None = None
    """This member's word that its disk was set back."""
    bar: int = 0
    """It votes on nothing until a checkpoint of this height is stable."""

    slots: dict[int, Slot] = field(default_factory=dict)
    executions: dict[int, Execution] = field(default_factory=dict)
    checkpoints: dict[int, dict[int, bytes]] = field(default_factory=dict)

    signed: dict[SignedKey, Message] = field(default_factory=dict)
    opened: dict[int, Message] = field(default_factory=dict)
    """The first pre-prepare of each height in this view, bare: a second one is evidence."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    missing: dict[bytes, int] = field(default_factory=dict)
    """Batches that a proposal needs and the shell doesn't hold: digest to the highest height that needs it."""

    tallies: dict[bytes, Tally] = field(default_factory=dict)
    strangers: dict[int, dict[bytes, None]] = field(default_factory=dict)
    """Tallied digests of no batch here, by the member that named each first, oldest first."""
    verdicts: dict[bytes, bytes] = field(default_factory=dict)
    """Own verdicts that wait for their signature: digest to codes."""
    endorsed: dict[bytes, bytes] = field(default_factory=dict)
    """Own signed endorsement (wire bytes) by batch digest, until the batch is done."""
    resend_ms: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """When an own endorsement message is sent again, and the delay after that."""
    flushed_ms: int = -1_000_000
    armed: set[str] = field(default_factory=set)
    """Timers that are set."""
    peers: dict[int, Peer] = field(default_factory=dict)
    help_given: Counter[int] = field(default_factory=Counter)
    """Answers to each member since the last own status."""
    shown: set[bytes] = field(default_factory=set)
    """Signatures that were shown as evidence."""
    round: int = 0
    mark: tuple[int, ...] = ()
    still: int = 0
    """Statuses since the protocol last moved here."""

    def __post_init__(self) -> None:
        self.pace_ms = int(self.config.view_timeout_ms / PATIENCE)

    @property
    def stable_height(self) -> int:
        """The low watermark."""
        return self.config.base if self.stable is None else self.stable.height

    @property
    def end(self) -> int:
        """The last height of this epoch, as far as that is known here."""
        end = self.application.epoch_end
        return HEIGHT_LIMIT if end is None else end

    @property
    def is_over(self) -> bool:
        """Whether the last height of this epoch is certified here: it signs no votes any more."""
        return self.certified >= self.end

    @property
    def is_closing(self) -> bool:
        """Whether this epoch goes on to a known end, with empty blocks if there are no others."""
        return self.application.epoch_end is not None and not self.is_over

    @property
    def executed(self) -> int:
        """Last height applied."""
        return self.application.height

    @property
    def is_primary(self) -> bool:
        """Whether this member leads an open view."""
        return not self.changing and self.config.primary(self.view) == self.config.index

    @property
    def is_silent(self) -> bool:
        """Whether this member votes on nothing: it may have voted otherwise before, or the epoch is over."""
        return self.question != 0 or self.stable_height < self.bar or self.is_over

    @property
    def timeout_ms(self) -> int:
        """How long a primary may take now, by what was measured: doubled with each view change, capped."""
        c = self.config
        base = max(int(PATIENCE * self.pace_ms), c.view_timeout_floor_ms)
        return min(base << min(self.level, 16), c.view_timeout_cap_ms)

    def measure(self) -> None:
        """A height is applied: take how long it was waited for into the pace.

        It follows a longer time at once, and comes down by each shorter one as much as that one lasted. So heights
        that come in one burst say little, and a queue that grows is not taken for a primary that is gone.
        """
        if self.since_ms is None:
            return
        took = min(self.now.ms - self.since_ms, self.config.view_timeout_ms)
        self.pace_ms = max(took, self.pace_ms + (took - self.pace_ms) * took // PACE_MS)
        self.since_ms = self.now.ms

    def slot(self, height: int) -> Slot:
        """The slot of a height, made at need; the caller has checked that the height is near."""
        return self.slots.setdefault(height, Slot(height))

    def head(self, stream: Stream) -> int:
        """Number of the last applied batch of a stream."""
        return self.application.stream_head(stream.submitter, stream.name)

    def heads_before(self, height: int) -> dict[Stream, int]:
        """Where streams stand once all in flight below `height` is applied; streams not named stand at `head`."""
        heads: dict[Stream, int] = {}
        for below in range(self.executed + 1, height):
            slot = self.slots.get(below)
            if slot is not None and (proposal := self.settled(slot)) is not None:
                fitting(proposal.batches, self.head, heads)
        return heads

    def settled(self, slot: Slot) -> Proposal | None:
        """What this member takes to be the block of a slot: committed, or accepted in this view."""
        if slot.committed is not None:
            return slot.committed
        if slot.accepted is not None and slot.accepted.view == self.view:
            return slot.accepted.proposal
        return None

    def drop(self, reason: str) -> None:
        """Count input that is not used."""
        self.dropped[reason] += 1

    def send(self, message: Message, to: int | None = None) -> None:
        """Transmit after all that was persisted so far."""
        self.effects.append(Send(message.encode(), to))

    def persist(self, entry: bytes) -> None:
        """Append to the vote log."""
        self.effects.append(Persist(entry))

    def evidence(self, kind: str, member: int, a: Message, b: Message) -> None:
        """Two messages that convict their signer, shown once."""
        if b.signature in self.shown:
            return
        if len(self.shown) >= 1024:
            self.shown.clear()
        self.shown.add(b.signature)
        self.effects.append(Evidence(kind, member, a.encode(), b.encode()))

    def halt(self, height: int, reason: str) -> None:
        """Stop, keeping the state: going on could only make it worse."""
        if not self.halted:
            self.halted = True
            self.effects.append(Divergence(height, reason))

    def need(self, digests: list[bytes], height: int) -> None:
        """Ask the shell for batches once each."""
        for digest in digests:
            if digest not in self.missing:
                self.effects.append(NeedBatch(digest))
            self.missing[digest] = max(height, self.missing.get(digest, 0))

    def done(self, digests: list[bytes]) -> None:
        """Let batches and all that was said about them go."""
        for digest in digests:
            self.pool.forget(digest)
            self.tallies.pop(digest, None)
            self.missing.pop(digest, None)
            self.endorsed.pop(digest, None)
            self.forget_stranger(digest)
            self.verdicts.pop(digest, None)
        if digests:
            self.effects.append(BatchDone(tuple(digests)))

    def expire(self, digests: list[bytes]) -> None:
        """Let undecided batches go; what this member said of them it would say again."""
        own = {digest: self.endorsed[digest] for digest in digests if digest in self.endorsed}
        self.done(digests)
        self.endorsed.update(own)

    def forget_stranger(self, digest: bytes) -> None:
        """A batch came, or is done: it counts against nobody any more."""
        for named in self.strangers.values():
            named.pop(digest, None)

    def sign_once(self, key: SignedKey, body: bytes, attachment: bytes = b"") -> Message | None:
        """The message of this member for `key`, made durable before it can be sent; None if it signed another.

        This is the one gate before a vote: whatever a restart forgot, no second body is ever signed for a key.
        """
        known = self.signed.get(key)
        if known is not None:
            if known.body == body:
                return known
            self.drop("own conflicting vote")
            return None
        if self.is_silent:
            return None
        message = sign(self.config, key[0], body, attachment)
        self.signed[key] = message
        self.persist(votelog.message_entry(message))
        return message

    def prune_signed(self) -> None:
        """Forget votes that can't be asked for again: of earlier views, of stable heights."""
        stable, certified = self.stable_height, self.certified
        for kind, view, height in list(self.signed):
            old_vote = kind in VOTES and (view < self.view or height <= stable)
            old_checkpoint = kind is Kind.CHECKPOINT and height <= certified
            old_change = kind is Kind.VIEW_CHANGE and (view < self.view or not self.changing)
            if old_vote or old_checkpoint or old_change:
                del self.signed[kind, view, height]
