"""The replica: events in, effects out. Everything that can happen to a member comes through here.

Each event is checked cheapest first (size, kind, epoch, use, signature), recorded by the handler of its step, and then
every step advances until nothing moves. Nothing that arrives can raise out of a replica: it is counted and dropped.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from consensus.core import bodies, catch_up, certificates, checkpoints, endorsement_votes, normal, recall, view_change
from consensus.core.application import Application
from consensus.core.config import Config, Instant
from consensus.core.effects import Effect, SetTimer
from consensus.core.liveness import complain, is_overdue, watch
from consensus.core.messages import Kind, Malformed, Message, is_authentic, sign
from consensus.core.pool import Batch, Pool, Stream
from consensus.core.propose import propose
from consensus.core.recovery import adopt_application, entries_of, reload, resume
from consensus.core.state import State
from consensus.core.view_change import disarm

MESSAGE_LIMIT = 16 << 20
"""Bytes of a message at most."""


def _always(s: State, message: Message, body: Any) -> str:
    return ""


class Dropped(Exception):
    """A message of no use here, with the reason."""


class Rule(NamedTuple):
    """How a kind of message is read, refused without its signature, and handled."""

    body: Any
    refusal: Callable[[State, Message, Any], str]
    handler: Callable[[State, Message, Any], None]


RULES: dict[Kind, Rule] = {
    Kind.ENDORSEMENT: Rule(bodies.Endorsement, endorsement_votes.endorsement_refusal, endorsement_votes.on_endorsement),
    Kind.PRE_PREPARE: Rule(bodies.Vote, normal.vote_refusal, normal.on_pre_prepare),
    Kind.PREPARE: Rule(bodies.Vote, normal.vote_refusal, normal.on_prepare),
    Kind.COMMIT: Rule(bodies.Vote, normal.vote_refusal, normal.on_commit),
    Kind.CHECKPOINT: Rule(bodies.Checkpoint, checkpoints.checkpoint_refusal, checkpoints.on_checkpoint),
    Kind.VIEW_CHANGE: Rule(bodies.ViewChange, view_change.view_change_refusal, view_change.on_view_change),
    Kind.NEW_VIEW: Rule(bodies.NewView, view_change.new_view_refusal, view_change.on_new_view),
    Kind.STATUS: Rule(bodies.Status, _always, catch_up.on_status),
    Kind.CERTIFICATE: Rule(certificates.Certificate, _always, checkpoints.on_certificate),
    Kind.BLOCK_REQUEST: Rule(bodies.BlockRequest, _always, catch_up.on_block_request),
    Kind.BLOCKS: Rule(bodies.Blocks, _always, catch_up.on_blocks),
    Kind.BATCH_REQUEST: Rule(bodies.BatchRequest, _always, catch_up.on_batch_request),
    Kind.BATCH_BODY: Rule(bodies.BatchBody, _always, catch_up.on_batch_body),
    Kind.RECALL: Rule(bodies.Recall, _always, catch_up.on_recall),
    Kind.RECALLED: Rule(bodies.Recalled, recall.recalled_refusal, recall.on_recalled),
}

STEPS: tuple[Callable[[State], bool], ...] = (
    view_change.follow,
    view_change.open_view,
    normal.accept_waiting,
    normal.prepare_and_commit,
    checkpoints.execute_committed,
    checkpoints.sign_applied,
    checkpoints.certify,
    propose,
    complain,
)


class Replica:
    """One member's protocol state. Every method is an event at a time `now`, and gives effects for the shell in order.

    The shell may feed many events before it acts; then it makes every Persist durable, in order, before it transmits
    any Send that comes after it. After a `Divergence` no event has an effect.
    """

    def __init__(self, config: Config, application: Application, now: Instant) -> None:
        """A member that never ran. Use `restore` for one that may have."""
        self._s = State(config, application, Pool(config.quota), now)
        adopt_application(self._s)

    @classmethod
    def restore(cls, config: Config, application: Application, entries: Iterable[bytes], now: Instant) -> "Replica":
        """A member with the vote log of its earlier life; empty for a first start.

        Raises VoteLogError for an entry that this member didn't write.
        """
        replica = cls(config, application, now)
        reload(replica._s, entries)
        return replica

    @property
    def dropped(self) -> Counter[str]:
        """Input that was not used, by reason."""
        return self._s.dropped

    @property
    def view(self) -> int:
        """The open view, or the one that this member left for."""
        return self._s.view

    @property
    def is_changing(self) -> bool:
        """Whether this member is between views."""
        return self._s.changing

    @property
    def is_primary(self) -> bool:
        """Whether this member leads an open view."""
        return self._s.is_primary

    @property
    def is_halted(self) -> bool:
        """Whether a divergence stopped this member."""
        return self._s.halted

    @property
    def is_silent(self) -> bool:
        """Whether this member votes on nothing: it asks for its votes, its disk was set back, or the epoch is over."""
        return self._s.is_silent

    @property
    def is_over(self) -> bool:
        """Whether the last height of this epoch is certified here: the next one is for another replica.

        It goes on to answer the members that are not there yet, and signs no votes.
        """
        return self._s.is_over

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way here that messages of others could move."""
        s = self._s
        under_way = s.pool.batches or s.slots or s.executions or s.changing or s.question or s.is_closing
        return not under_way and all(peer.status.certified <= s.certified for peer in s.peers.values())

    @property
    def votes_from(self) -> int | None:
        """The height whose certificate lets a member with a disk that was set back vote again; None if it may vote."""
        s = self._s
        return s.bar if s.stable_height < s.bar else None

    @property
    def lags(self) -> bool:
        """Whether this member is so far behind that its verdicts would come too late: it takes certified blocks."""
        return catch_up.lags(self._s)

    @property
    def executed(self) -> int:
        """Last height applied."""
        return self._s.executed

    @property
    def certified(self) -> int:
        """Last height whose certificate is held."""
        return self._s.certified

    @property
    def in_pool(self) -> int:
        """Batches in the pool."""
        return len(self._s.pool.batches)

    def sizes(self) -> dict[str, int]:
        """Entries of each table that this member keeps: none grows with what others send, or with the ledger."""
        return {name: len(table) for name, table in vars(self._s).items() if isinstance(table, dict | set)}

    def decided(self, digest: bytes) -> bytes | None:
        """The codes that 2f + 1 members gave a batch, as far as this member knows."""
        counted = self._s.tallies.get(digest)
        return None if counted is None else counted.decided

    def compacted(self) -> list[bytes]:
        """The shortest vote log that restores this state: for the shell to rotate its log.

        To be taken only when all effects were handled, and every `Certified` is durable in the application.
        """
        return entries_of(self._s)

    def start(self, now: Instant) -> list[Effect]:
        """The shell is ready: begin the periodic status, take up what a restart interrupted."""
        return self._event(now, resume)

    def receive(self, data: bytes, now: Instant) -> list[Effect]:
        """A message from the wire."""
        s = self._s
        s.now = now
        if s.halted:
            return []
        try:
            handle = _useful(s, data)
        except (Dropped, Malformed) as error:
            # it changed nothing, so there is nothing that could advance
            s.drop(str(error) if isinstance(error, Dropped) else "malformed")
            return []
        return self._event(now, handle)

    def timer(self, name: str, now: Instant) -> list[Effect]:
        """A timer that was set has run out."""
        return self._event(now, lambda s: _fire(s, name))

    def batch_arrived(
        self, digest: bytes, submitter: str, stream: str, number: int, records: int, size: int, now: Instant
    ) -> list[Effect]:
        """The shell holds a batch: digest and submitter verified, `size` bytes, numbered from 1 in its stream."""
        batch = Batch(digest, Stream(submitter, stream), number, records, size, now.ms)
        return self._event(now, lambda s: _admit(s, batch))

    def verdict(self, digest: bytes, codes: bytes, now: Instant) -> list[Effect]:
        """The contract judged a batch: a reason code a record, u16 big endian, 0 = pass."""
        return self._event(now, lambda s: endorsement_votes.give_verdict(s, digest, codes))

    def send_batch(self, to: int, digest: bytes, body: bytes, now: Instant) -> list[Effect]:
        """Answer a `BatchRequested`."""
        return self._event(now, lambda s: _send_batch(s, to, digest, body))

    def certificate_seen(
        self, height: int, note: bytes, signatures: Iterable[tuple[int, bytes]], now: Instant
    ) -> list[Effect]:
        """A certificate from the ledger topic, of a height that is applied here: note, (member, note signature) sorted.

        For a member whose others have gone on to the next epoch and sign nothing of this one any more.
        """
        signed = tuple(certificates.MemberSignature(*pair) for pair in signatures)
        certificate = certificates.Certificate(self._s.config.epoch, height, note, signed)
        return self._event(now, lambda s: checkpoints.take_over(s, certificate))

    def _event(self, now: Instant, handle: Callable[[State], object]) -> list[Effect]:
        s = self._s
        if s.halted:
            return []
        s.now = now
        try:
            handle(s)
        except Malformed:
            s.drop("malformed")
        _advance(s)
        _take_back(s)
        watch(s)
        effects, s.effects = s.effects, []
        return effects


def _advance(s: State) -> None:
    """Let every step advance until nothing moves; after one that did, all are asked again from the first."""
    moved = True
    while moved and not s.halted:
        for step in STEPS:
            moved = step(s)
            if moved:
                break


def _useful(s: State, data: bytes) -> Callable[[State], None]:
    """What a message makes its handler do. Raises Dropped, or Malformed."""
    if len(data) > MESSAGE_LIMIT:
        raise Dropped("oversize")
    message = Message.decode(data)
    if not 0 <= message.member < s.config.n:
        raise Dropped("unknown member")
    if message.member == s.config.index:
        raise Dropped("own message")
    if message.attachment and message.kind is not Kind.PRE_PREPARE:
        # nobody signs it: kept, it would swell what this message is shown in, proposals and new-views
        raise Dropped("attachment")
    rule = RULES[message.kind]
    body = rule.body.decode(message.body)
    if body.epoch != s.config.epoch:
        raise Dropped("wrong epoch")
    reason = rule.refusal(s, message, body)
    if reason:
        raise Dropped(reason)
    if not is_authentic(s.config, message):
        raise Dropped("forged")
    return lambda s: rule.handler(s, message, body)


def _admit(s: State, batch: Batch) -> None:
    """Hold a batch, unless it is a replay, too large, or beyond a bound; one that a proposal needs is always held."""
    if batch.digest in s.pool.batches:
        return s.drop("repeated batch")
    reason = s.pool.refusal(batch, s.head(batch.stream)) if batch.digest not in s.missing else ""
    if not 0 < batch.records <= s.config.max_records or not 0 < batch.size <= s.config.max_bytes:
        reason = "batch bounds"
    if reason:
        s.drop(f"batch refused: {reason}")
        return s.done([batch.digest])
    s.missing.pop(batch.digest, None)
    s.forget_stranger(batch.digest)
    s.pool.admit(batch)
    return endorsement_votes.settle(s, batch.digest)


def _send_batch(s: State, to: int, digest: bytes, body: bytes) -> None:
    content = bodies.BatchBody(s.config.epoch, digest, body)
    s.send(sign(s.config, Kind.BATCH_BODY, content.encode()), to)


def _fire(s: State, name: str) -> None:
    s.armed.discard(name)
    if name == "status":
        catch_up.tick(s)
    elif name == "batch":
        propose(s, waited=True)
    elif name == "endorse":
        endorsement_votes.flush(s)
    elif name == "new_view":
        view_change.on_new_view_timer(s)
    elif name == "progress":
        _overdue(s)


def _take_back(s: State) -> None:
    """Say at once that nothing is overdue any more, or slow moments of three members would add up to a view change."""
    if s.suspects and not is_overdue(s):
        s.suspects = False
        disarm(s, "progress")
        catch_up.send_status(s, stalled=False)


def _overdue(s: State) -> None:
    """Say at once that something is overdue, and look again after a status."""
    if is_overdue(s):
        s.suspects = True
        catch_up.send_status(s, stalled=True)
        s.armed.add("progress")
        s.effects.append(SetTimer("progress", s.config.status_ms))
