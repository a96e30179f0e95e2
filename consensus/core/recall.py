"""Whether this member's disk was set back: a restarted member asks the others for what it has signed itself.

A message that it signed and that its log doesn't hold proves that the disk is older than its votes. Such a member
counts among the f: it says so and votes on nothing until a stable checkpoint stands past every watermark that it may
have voted in. Until 2f others have answered it votes on nothing either; with fewer, no quorum could use its vote.
"""

from consensus.core import votelog
from consensus.core.bodies import VOTES, NewView, Recall, Recalled, Status, ViewChange, Vote, vote_body
from consensus.core.certificates import Certificate, is_certified
from consensus.core.effects import SetBack
from consensus.core.messages import Kind, Malformed, Message, is_authentic, sign
from consensus.core.normal import vote_for
from consensus.core.state import State


def ask(s: State) -> None:
    """Ask all others, again at each status until enough have answered."""
    if s.question:
        s.send(sign(s.config, Kind.RECALL, Recall(s.config.epoch, s.question, 0).encode()))


def answer(s: State, member: int, question: int) -> None:
    """Show a member its newest messages of each sort, and where this member stands."""
    stable = b"" if s.stable is None else s.stable.encode()
    messages = tuple(message.encode() for message in _held_of(s, member))
    body = Recalled(s.config.epoch, member, question, stable, messages)
    s.send(sign(s.config, Kind.RECALLED, body.encode()), member)


def _held_of(s: State, member: int) -> list[Message]:
    """Votes above the stable checkpoint, and the newest view change, new-view and status."""
    held = [opened for opened in s.opened.values() if opened.member == member]
    for height, slot in s.slots.items():
        for kind, ballots in ((Kind.PREPARE, slot.prepares), (Kind.COMMIT, slot.commits)):
            ballot = ballots.of(member)
            if ballot is not None:
                body = vote_body(s.config.epoch, ballot.view, height, ballot.digest)
                held.append(Message(kind, member, body, ballot.signature))
    if member in s.view_changes:
        held.append(s.view_changes[member])
    if s.new_view is not None and s.new_view.member == member:
        held.append(s.new_view)
    if member in s.peers:
        held.append(s.peers[member].message)
    return held


def recalled_refusal(s: State, message: Message, body: Recalled) -> str:
    """Why an answer is of no use, judged without its signature; empty if it may be."""
    asked = s.question != 0 and (body.member, body.question) == (s.config.index, s.question)
    return "" if asked and message.member not in s.answers else "answer to no question"


def on_recalled(s: State, message: Message, body: Recalled) -> None:
    """A genuine answer to this start's question. Raises Malformed for a certificate that proves nothing."""
    s.answers[message.member] = _proven_height(s, body.stable)
    for data in body.messages:
        own = Message.decode(data)
        if own.member == s.config.index and is_authentic(s.config, own) and _is_forgotten(s, own):
            s.forgotten = own
    if len(s.answers) >= s.config.quorum - 1:
        _conclude(s)


def _proven_height(s: State, data: bytes) -> int:
    if not data:
        return 0
    certificate = Certificate.decode(data)
    if s.application.note_height(certificate.note) != certificate.height or not is_certified(s.config, certificate):
        raise Malformed("an answer with a certificate that proves nothing")
    return certificate.height


def _is_forgotten(s: State, own: Message) -> bool:
    """Whether a log that holds all that was ever sent would show another state than this one."""
    if own.kind in VOTES:
        vote = Vote.decode(own.body)
        known = s.signed.get((own.kind, vote.view, vote.height))
        return vote.view >= s.view and vote.height > s.stable_height and (known is None or known.body != own.body)
    if own.kind is Kind.VIEW_CHANGE:
        return ViewChange.decode(own.body).view > s.view
    if own.kind is Kind.NEW_VIEW:
        view = NewView.decode(own.body).view
        return view > s.view or (view == s.view and s.changing)
    if own.kind is Kind.STATUS:
        status = Status.decode(own.body)
        return status.view > s.view or status.certified > s.certified
    return False


# Enters: 2f others have answered. One of them that is honest signed the checkpoint of whatever was stable here before,
# so no old watermark is more than 2 windows above what it proved, and no old vote more than 2 above that.
def _conclude(s: State) -> None:
    question, s.question = s.question, 0
    if s.forgotten is None:
        for slot in s.slots.values():
            if slot.accepted is not None and slot.accepted.view == s.view and not s.changing:
                vote_for(s, slot, slot.accepted)
        return
    s.bar = max(s.bar, s.stable_height, *s.answers.values()) + 4 * s.config.window
    s.barred = sign(s.config, Kind.RECALL, Recall(s.config.epoch, question, s.bar).encode())
    s.persist(votelog.message_entry(s.barred))
    s.send(s.barred)
    s.effects.append(SetBack(s.forgotten.encode(), s.bar))
