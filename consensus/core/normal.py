"""The normal case: pre-prepare, prepare, commit (Castro and Liskov 1999, section 4.2), several heights in flight."""

from consensus.core import votelog
from consensus.core.bodies import Justified, Proposal, Vote, vote_body
from consensus.core.certificates import MemberSignature, Prepared
from consensus.core.endorsement_votes import are_justified, learn
from consensus.core.messages import Kind, Malformed, Message
from consensus.core.pool import fitting
from consensus.core.quorum import Ballot, Ballots
from consensus.core.state import Accepted, Slot, State, Waiting


def vote_refusal(s: State, message: Message, vote: Vote) -> str:
    """Why a pre-prepare, prepare or commit is of no use, judged without its signature; empty if it may be."""
    is_primary = message.member == s.config.primary(vote.view)
    if is_primary != (message.kind is Kind.PRE_PREPARE) and message.kind is not Kind.COMMIT:
        return "not this member's vote"
    if not s.stable_height < vote.height <= s.stable_height + 2 * s.config.window:
        return "outside the watermarks"
    if vote.height > s.end:
        return "beyond the epoch"
    if vote.view < s.view:
        return "earlier view"
    if message.kind is Kind.PRE_PREPARE:
        return "later view" if s.changing or vote.view > s.view else ""
    slot = s.slots.get(vote.height)
    if slot is None:
        return ""
    ballots = slot.prepares if message.kind is Kind.PREPARE else slot.commits
    known = ballots.latest(message.member)
    if known is None or known.view < vote.view:
        return ""
    return "" if _contradicts(s, known, vote) else "repeated vote"


def _contradicts(s: State, known: Ballot, vote: Vote) -> bool:
    """Whether a vote beside a known one of its member and kind is evidence, and news."""
    return known.view == vote.view and known.digest != vote.digest and known.signature not in s.shown


# Enters: a genuine pre-prepare by the primary of this open view, between the watermarks (or one window above).
# The first of a height is kept; another digest is evidence. It waits until it can be judged.
def on_pre_prepare(s: State, message: Message, vote: Vote) -> None:
    """A pre-prepare came in. Raises Malformed for an attachment that is not what was signed."""
    first = s.opened.setdefault(vote.height, message.bare())
    if first.body != message.body:
        s.evidence("two pre-prepares", message.member, first, message.bare())
        return s.drop("second pre-prepare")
    slot = s.slots.get(vote.height)
    if slot is not None and slot.accepted is not None and slot.accepted.view == vote.view:
        return s.drop("repeated pre-prepare")
    justified = Justified.decode(message.attachment)
    proposal = Proposal.decode(justified.proposal)
    if proposal.digest(s.config.channel) != vote.digest or proposal.height != vote.height:
        raise Malformed("a pre-prepare with another proposal attached")
    s.waiting[vote.height] = Waiting(message, vote, proposal, justified)
    return None


# Enters: after every event. Pre-prepares are taken in order of height: each is judged on what those below will do.
def accept_waiting(s: State) -> bool:
    """Judge the pre-prepares that can be judged now; whether one was accepted."""
    moved = False
    for height in sorted(s.waiting):
        waiting = s.waiting[height]
        if not _can_judge(s, waiting):
            break
        del s.waiting[height]
        reason = _objection(s, waiting.proposal, waiting.justified)
        if reason:
            s.drop(f"pre-prepare refused: {reason}")
            continue
        accept(s, waiting.vote, waiting.proposal, waiting.message.signature, waiting.justified.endorsements)
        moved = True
    return moved


def _can_judge(s: State, waiting: Waiting) -> bool:
    """Whether the height is between the watermarks, all below are known, and all batches are held.

    Whether an empty block may be is in the block below it at the latest: a change of members that ends the epoch.
    """
    height = waiting.vote.height
    if s.changing or height > s.stable_height + s.config.window:
        return False
    for below in range(s.executed + 1, height):
        slot = s.slots.get(below)
        if slot is None or s.settled(slot) is None:
            return False
    if waiting.proposal.is_null and not s.is_closing and s.executed < height - 1:
        return False
    missing = [batch.digest for batch in waiting.proposal.batches if batch.digest not in s.pool.batches]
    s.need(missing, height)
    return not missing


def _objection(s: State, proposal: Proposal, justified: Justified) -> str:
    """Why this member does not prepare a first proposal; empty if it does. Cheap checks first."""
    c = s.config
    if proposal.epoch != c.epoch or proposal.height <= s.executed:
        return "epoch or height"
    if proposal.height > s.end:
        return "beyond the epoch"
    if proposal.is_null and not s.is_closing:
        return "empty"
    held = [s.pool.batches[batch.digest] for batch in proposal.batches]
    if sum(batch.records for batch in held) > c.max_records or sum(batch.size for batch in held) > c.max_bytes:
        return "block bounds"
    for batch, known in zip(proposal.batches, held, strict=True):
        if (batch.submitter, batch.stream, batch.number) != (*known.stream, known.number):
            return "another batch's digest"
        if len(batch.codes) != 2 * known.records:
            return "codes of another length"
    if proposal.time < time_before(s, proposal.height) or abs(proposal.time - s.now.wall_ms) > c.clock_bound_ms:
        return "block time"
    if len(fitting(proposal.batches, s.head, s.heads_before(proposal.height))) != len(proposal.batches):
        return "batch numbers"
    return "" if are_justified(s, proposal, justified.endorsements) else "endorsements"


def time_before(s: State, height: int) -> int:
    """The block time that a proposal of `height` may not go below, ms."""
    times = [s.application.time_ms]
    for below in range(s.executed + 1, height):
        slot = s.slots.get(below)
        proposal = None if slot is None else s.settled(slot)
        if proposal is not None:
            times.append(proposal.time)
    return max(times)


# Enters: the proposal was judged (or made) here, or a new-view carries it with the proof that it may be prepared.
def accept(s: State, vote: Vote, proposal: Proposal, signature: bytes, endorsements: tuple[bytes, ...] = ()) -> None:
    """Take a pre-prepare as the one of its height in this view; a backup votes for it."""
    assert vote.view == s.view and not s.changing and vote.height > s.stable_height
    slot = s.slot(vote.height)
    slot.accepted, slot.is_finished = Accepted(vote.view, proposal, vote.digest, signature), False
    slot.endorsements = endorsements or slot.endorsements
    slot.due_ms = s.now.ms + s.timeout_ms
    for endorsement in endorsements:
        learn(s, endorsement)
    vote_for(s, slot, slot.accepted)


def vote_for(s: State, slot: Slot, accepted: Accepted) -> None:
    """Prepare what was accepted, as a backup."""
    if s.is_primary:
        return
    vote = Vote(s.config.epoch, accepted.view, slot.height, accepted.digest)
    own = s.sign_once((Kind.PREPARE, vote.view, vote.height), vote.encode())
    if own is not None:
        slot.prepares.add(s.config.index, Ballot(vote.view, vote.digest, own.signature))
        s.send(own)


def on_prepare(s: State, message: Message, vote: Vote) -> None:
    """A genuine prepare of a backup, near the watermarks, of this view or a later one."""
    _count(s, s.slot(vote.height).prepares, message, vote)


def on_commit(s: State, message: Message, vote: Vote) -> None:
    """A genuine commit, near the watermarks, of this view or a later one."""
    _count(s, s.slot(vote.height).commits, message, vote)


def _count(s: State, ballots: Ballots, message: Message, vote: Vote) -> None:
    """The first vote of a member in a view counts; another digest there is evidence, once."""
    if ballots.add(message.member, Ballot(vote.view, vote.digest, message.signature)):
        return None
    known = ballots.latest(message.member)
    if known is None or not _contradicts(s, known, vote):
        return s.drop("repeated vote")
    s.drop("second vote")
    s.shown.add(known.signature)
    first = vote_body(s.config.epoch, known.view, vote.height, known.digest)
    bare = Message(message.kind, message.member, first, known.signature)
    return s.evidence(f"two {message.kind.value}s", message.member, bare, message.bare())


def prepare_and_commit(s: State) -> bool:
    """Let each height that has its quorum become prepared, then committed; whether one did."""
    if s.changing:
        return False
    moved = False
    for slot in s.slots.values():
        accepted = slot.accepted
        if accepted is not None and accepted.view == s.view and not slot.is_finished:
            moved |= _prepare(s, slot, accepted)
            moved |= _commit(s, slot, accepted)
    return moved


# Enters: pre-prepared in this view; 2f prepares of backups agree with it (its own among them, if it sent one).
def _prepare(s: State, slot: Slot, accepted: Accepted) -> bool:
    if slot.prepared is None or slot.prepared.view < accepted.view:
        needed = s.config.quorum - 1
        voters = slot.prepares.agreeing(accepted.view, accepted.digest)
        if len(voters) < needed:
            return False
        prepares = tuple(MemberSignature(*voter) for voter in voters[:needed])
        slot.prepared = Prepared(accepted.view, accepted.proposal.encode(), accepted.signature, prepares)
        s.persist(votelog.prepared_entry(slot.prepared))
    if slot.commits.has(s.config.index, accepted.view):
        return False
    body = vote_body(s.config.epoch, accepted.view, slot.height, accepted.digest)
    own = s.sign_once((Kind.COMMIT, accepted.view, slot.height), body)
    if own is None:
        return False
    slot.commits.add(s.config.index, Ballot(accepted.view, accepted.digest, own.signature))
    s.send(own)
    return True


# Enters: prepared in this view, so that the log holds what a restart applies again; 2f + 1 commits agree with it: f + 1
# honest members hold its prepared certificate.
def _commit(s: State, slot: Slot, accepted: Accepted) -> bool:
    if slot.prepared is None or slot.prepared.view < accepted.view:
        return False
    if len(slot.commits.agreeing(accepted.view, accepted.digest)) < s.config.quorum:
        return False
    slot.is_finished = slot.commits.has(s.config.index, accepted.view)
    if slot.committed is not None:
        if slot.committed != accepted.proposal:
            s.halt(slot.height, "two proposals committed")
        return False
    slot.committed = accepted.proposal
    return True
