"""A restart: the vote log back into a state that never signs a conflict, and out of it in its shortest form."""

from collections.abc import Iterable
from typing import Any

from consensus.core import votelog
from consensus.core.bodies import VOTES, Checkpoint, Endorsement, Justified, NewView, Proposal, Recall, ViewChange, Vote
from consensus.core.catch_up import tick
from consensus.core.certificates import Certificate, MemberSignature, Prepared
from consensus.core.checkpoints import adopt_stable, forget_slots
from consensus.core.effects import Persist
from consensus.core.endorsement_votes import keep_own
from consensus.core.messages import Kind, Malformed, Message, is_authentic
from consensus.core.new_view import verified_new_view
from consensus.core.normal import accept
from consensus.core.state import State
from consensus.core.view_change import enter
from consensus.core.votelog import Entry, VoteLogError


def reload(s: State, entries: Iterable[bytes]) -> None:
    """Bring a new state to where the log's writer was. Raises VoteLogError.

    What follows from the entries without standing among them is persisted at the start, like anything else.
    """
    s.question = s.now.wall_ms
    written = set()
    for data in entries:
        written.add(data)
        entry = votelog.decode(data)
        try:
            _apply(s, entry)
        except (Malformed, AssertionError) as error:
            raise VoteLogError(f"an entry that doesn't follow: {error}") from error
    _forget_certified(s)
    forget_slots(s)
    s.prune_signed()
    s.armed.clear()
    s.effects = [Persist(entry) for entry in entries_of(s) if entry not in written]


# Enters: the log may hold votes far above the ledger, whose copy was damaged and cut. A vote is given two windows above
# what is stable at most, and a certified block is durable before any vote that rests on it.
def _forget_certified(s: State) -> None:
    """Let go of heights that were certified before the highest vote, and vote on nothing until they are so again."""
    voted = (height for kind, _, height in s.signed if kind in VOTES)
    low = max(voted, default=0) - 2 * s.config.window
    if low <= s.stable_height:
        return
    s.bar = max(s.bar, low)
    s.slots = {height: slot for height, slot in s.slots.items() if height > low}
    s.signed = {key: message for key, message in s.signed.items() if not 0 < key[2] <= low}


def adopt_application(s: State) -> None:
    """Begin at the height that the application holds: the epoch's base, or one that this epoch has certified."""
    s.certified = s.executed
    assert s.certified >= s.config.base, "an epoch starts above the one before"
    if s.certified > s.config.base:
        held = s.application.certificate(s.certified)
        assert held is not None, "an application restarts at a height whose certificate it holds"
        signatures = tuple(MemberSignature(*pair) for pair in held[1])
        adopt_stable(s, Certificate(s.config.epoch, s.certified, held[0], signatures))


def _apply(s: State, entry: Entry) -> None:
    content = entry.content
    if isinstance(content, Certificate):
        _check_epoch(s, content.epoch)
        adopt_stable(s, content)
    elif isinstance(content, Prepared):
        _apply_prepared(s, content)
    elif entry.kind is votelog.EntryKind.VIEW:
        body = NewView.decode(content.body)
        if body.view >= s.view:
            enter(
                s,
                content,
                body.view,
                verified_new_view(s.config, content, body, s.application.note_height),
                body.pre_prepares,
            )
    else:
        _apply_own(s, content)


def _check_epoch(s: State, epoch: int) -> None:
    """A key may serve in many epochs, a log in one: what was signed in another says nothing of this one."""
    if epoch != s.config.epoch:
        raise VoteLogError("an entry of another epoch")


def _apply_prepared(s: State, certificate: Prepared) -> None:
    proposal = certificate.content()
    _check_epoch(s, proposal.epoch)
    if proposal.height <= s.stable_height and proposal.height != s.certified + 1:
        return
    slot = s.slot(proposal.height)
    if slot.prepared is None or slot.prepared.view < certificate.view:
        slot.prepared = certificate


OWN: dict[Kind, Any] = {
    **dict.fromkeys(VOTES, Vote),
    Kind.CHECKPOINT: Checkpoint,
    Kind.VIEW_CHANGE: ViewChange,
    Kind.RECALL: Recall,
    Kind.ENDORSEMENT: Endorsement,
}
"""The bodies of the messages that a log holds."""


def _apply_own(s: State, message: Message) -> None:
    """An own message: whatever is signed once is known again before anything can be signed anew."""
    if message.kind not in OWN or message.member != s.config.index or not is_authentic(s.config, message):
        raise VoteLogError("an own message that this member didn't sign")
    body = OWN[message.kind].decode(message.body)
    _check_epoch(s, body.epoch)
    match body:
        case Vote():
            s.signed[message.kind, body.view, body.height] = message
            if message.kind is Kind.PRE_PREPARE:
                _apply_own_pre_prepare(s, message, body)
        case Checkpoint():
            s.signed[Kind.CHECKPOINT, 0, body.height] = message
            _commit_again(s, body.height)
        case ViewChange():
            _apply_own_view_change(s, message, body.view)
        case Recall():
            s.barred, s.bar = message, body.bar
        case Endorsement():
            keep_own(s, message, body)


def _commit_again(s: State, height: int) -> None:
    """What was applied here was committed, and prepared in the view that committed it or in a later one."""
    slot = s.slots.get(height)
    if slot is not None and slot.prepared is not None and height == s.certified + 1:
        slot.committed = slot.prepared.content()


def _apply_own_pre_prepare(s: State, message: Message, vote: Vote) -> None:
    if vote.view == s.view and not s.changing and vote.height > s.stable_height and message.attachment:
        justified = Justified.decode(message.attachment)
        accept(s, vote, Proposal.decode(justified.proposal), message.signature, justified.endorsements)


def _apply_own_view_change(s: State, message: Message, view: int) -> None:
    if view > s.view:
        s.view, s.changing = view, True
        s.opened.clear()
        s.signed[Kind.VIEW_CHANGE, view, 0] = message
        s.view_changes[s.config.index] = message


def resume(s: State) -> None:
    """Start the periodic status, and take up heights that were prepared here in the view that is still open."""
    s.next_due_ms = s.now.ms + s.timeout_ms
    for slot in s.slots.values():
        prepared = slot.prepared
        is_stable = slot.height <= s.stable_height
        if prepared is None or prepared.view != s.view or s.changing or slot.accepted is not None or is_stable:
            continue
        proposal = prepared.content()
        vote = Vote(s.config.epoch, s.view, slot.height, proposal.digest(s.config.channel))
        accept(s, vote, proposal, prepared.pre_prepare)
    tick(s)


def entries_of(s: State) -> list[bytes]:
    """The shortest log that leads back here: stable checkpoint, view, prepared certificates, own messages."""
    entries = [] if s.stable is None else [votelog.stable_entry(s.stable)]
    if s.new_view is not None:
        entries.append(votelog.view_entry(s.new_view))
    for _, slot in sorted(s.slots.items()):
        if slot.prepared is not None:
            entries.append(votelog.prepared_entry(slot.prepared))
    if s.barred is not None and s.stable_height < s.bar:
        entries.append(votelog.message_entry(s.barred))
    own = [message for key, message in s.signed.items() if _is_own_entry(s, key[0], message)]
    endorsements = [Message.decode(wire) for wire in dict.fromkeys(s.endorsed.values())]
    return entries + [votelog.message_entry(message) for message in [*own, *endorsements]]


def _is_own_entry(s: State, kind: Kind, message: Message) -> bool:
    """Pre-prepares of a new-view are in its entry."""
    return kind is not Kind.PRE_PREPARE or bool(message.attachment)
