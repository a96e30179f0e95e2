"""Leaving a view and entering the next one."""

from consensus.core import votelog
from consensus.core.bodies import NewView, OpenedHeight, ViewChange, Vote, vote_body
from consensus.core.checkpoints import adopt_stable
from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.new_view import Plan, opened_heights, plan, verified_change, verified_new_view
from consensus.core.normal import accept
from consensus.core.state import State


# Enters: f + 1 members have had enough of this view, or 2f + 1 are between views and no new-view came in time.
def leave(s: State, view: int) -> None:
    """Vote in no view below `view` again, and show the others what was prepared here."""
    assert view > s.view
    s.view, s.changing, s.suspects = view, True, False
    s.level = min(s.level + 1, 16)
    s.waiting.clear()
    s.opened.clear()
    s.sound.clear()
    s.unsound.clear()
    disarm(s, "new_view")
    stable = b"" if s.stable is None else s.stable.encode()
    own = s.sign_once((Kind.VIEW_CHANGE, view, 0), ViewChange(s.config.epoch, view, stable, _prepared(s)).encode())
    assert own is not None, "a view is left for only once"
    s.view_changes[s.config.index] = own
    s.prune_signed()
    s.send(own)


def _prepared(s: State) -> tuple[bytes, ...]:
    """The prepared certificates above the stable checkpoint, by height."""
    above = sorted((height, slot.prepared) for height, slot in s.slots.items() if height > s.stable_height)
    return tuple(prepared.encode() for _, prepared in above if prepared is not None)


def disarm(s: State, timer: str) -> None:
    """Stop a timer if it is set."""
    if timer in s.armed:
        s.armed.discard(timer)
        s.effects.append(CancelTimer(timer))


def view_change_refusal(s: State, message: Message, body: ViewChange) -> str:
    """Why a view change is of no use, judged without its signature; empty if it may be."""
    if body.view < s.view or (body.view == s.view and not s.changing):
        return "earlier view"
    return "repeated view change" if s.sought.get(message.member, -1) >= body.view else ""


def on_view_change(s: State, message: Message, body: ViewChange) -> None:
    """A genuine view change, the highest of its member: its certificates are verified when they are used."""
    s.view_changes[message.member] = message
    s.sought[message.member] = body.view
    s.sound.pop(message.member, None)
    s.unsound.discard(message.member)


# Enters: after every event. The (f + 1)th highest view that others left for is one that an honest member seeks.
def follow(s: State) -> bool:
    """Go along with f + 1 members that left for a higher view; time the primary once 2f + 1 are between views."""
    if not (s.sought or s.changing) or s.is_silent:
        return False
    others = [view for member, view in s.sought.items() if member != s.config.index and view >= s.view]
    higher = sorted((view for view in others if view > s.view), reverse=True)
    if len(higher) > s.config.f:
        leave(s, higher[s.config.f])
        return True
    if s.changing and "new_view" not in s.armed and 1 + len(others) >= s.config.quorum:
        s.armed.add("new_view")
        s.effects.append(SetTimer("new_view", s.timeout_ms))
    return False


def on_new_view_timer(s: State) -> None:
    """The primary of the next view had its time: on to the one after."""
    if s.changing and not s.is_silent:
        leave(s, s.view + 1)


# Enters: this member leads the view that it left for, and holds sound view changes of 2f + 1 members, its own included.
def open_view(s: State) -> bool:
    """Open the view as its primary; whether it did."""
    if not s.changing or s.config.primary(s.view) != s.config.index or s.is_silent:
        return False
    _verify_changes(s)
    if len(s.sound) < s.config.quorum:
        return False
    own = s.config.index
    members = sorted([own, *[member for member in sorted(s.sound) if member != own][: s.config.quorum - 1]])
    found = plan(s.config, [s.sound[member] for member in members])
    opened = opened_heights(s.view, found, s.config, lambda body: sign(s.config, Kind.PRE_PREPARE, body).signature)
    changes = tuple(s.view_changes[member].encode() for member in members)
    message = sign(s.config, Kind.NEW_VIEW, NewView(s.config.epoch, s.view, changes, opened).encode())
    enter(s, message, s.view, found, opened)
    s.send(message)
    return True


def _verify_changes(s: State) -> None:
    """Verify each view change for this view once; a forged one is as if it had not come."""
    for member, message in list(s.view_changes.items()):
        if member in s.sound or member in s.unsound or s.sought.get(member, s.view) != s.view:
            continue
        try:
            s.sound[member] = verified_change(s.config, message, s.view, s.application.note_height)
        except Malformed:
            s.drop("unsound view change")
            s.unsound.add(member)


def new_view_refusal(s: State, message: Message, body: NewView) -> str:
    """Why a new-view is of no use, judged without its signatures; empty if it may be."""
    if body.view < s.view or (body.view == s.view and not s.changing):
        return "earlier view"
    if s.question:
        return "later than the question"
    return "" if message.member == s.config.primary(body.view) else "not this member's view"


def on_new_view(s: State, message: Message, body: NewView) -> None:
    """A genuine new-view of this view or a later one: enter if it proves itself. Raises Malformed."""
    found = verified_new_view(s.config, message, body, s.application.note_height)
    enter(s, message, body.view, found, body.pre_prepares)


def enter(s: State, message: Message, view: int, found: Plan, opened: tuple[OpenedHeight, ...]) -> None:
    """Begin a view with what its new-view carries; backups vote for each open height again."""
    s.persist(votelog.view_entry(message))
    begin(s, message, view)
    if found.stable is not None:
        adopt_stable(s, found.stable)
    for proposal, pre_prepare in zip(found.proposals, opened, strict=True):
        _reopen(s, proposal.height, pre_prepare, found)
    s.prune_signed()


def begin(s: State, message: Message, view: int) -> None:
    """Take a view as the open one."""
    s.view, s.changing, s.suspects, s.new_view = view, False, False, message
    s.since_ms = None
    s.waiting.clear()
    s.opened.clear()
    s.sound.clear()
    s.unsound.clear()
    disarm(s, "new_view")
    s.next_due_ms = s.now.ms + s.timeout_ms
    s.pool.restart(s.next_due_ms)


def _reopen(s: State, height: int, pre_prepare: OpenedHeight, found: Plan) -> None:
    if height <= s.stable_height:
        return None
    proposal = found.proposals[height - found.proposals[0].height]
    slot = s.slot(height)
    if slot.committed is not None and slot.committed != proposal:
        return s.halt(height, "a new view takes back what was committed")
    body = vote_body(s.config.epoch, s.view, height, pre_prepare.digest)
    signed = Message(Kind.PRE_PREPARE, s.config.primary(s.view), body, pre_prepare.signature)
    s.opened[height] = signed
    if s.is_primary:
        s.signed[Kind.PRE_PREPARE, s.view, height] = signed
    return accept(s, Vote(s.config.epoch, s.view, height, pre_prepare.digest), proposal, pre_prepare.signature)
