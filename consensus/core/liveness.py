"""When a member has had enough of a primary: it measures being overtaken, not queueing.

A member that waits too long only *says* so in its status and goes on voting; a view is left when f + 1 say so, one of
them honest. So a member that was cut off alone never leaves its view, and need not be brought back to it.
"""

from collections.abc import Iterator

from consensus.core.effects import SetTimer
from consensus.core.propose import has_room, next_height
from consensus.core.state import State
from consensus.core.view_change import leave


# Enters: after every event.
def watch(s: State) -> None:
    """While something waits for this view's primary, keep since when, and the progress timer set."""
    if s.changing:
        return
    if not _waits(s):
        s.since_ms = None
        return
    if s.since_ms is None:
        s.since_ms = s.now.ms
    if "progress" not in s.armed and (due := _earliest_due(s)) is not None:
        s.armed.add("progress")
        s.effects.append(SetTimer("progress", max(due - s.now.ms, 1)))


def _waits(s: State) -> bool:
    return bool(s.pool.waiting) or any(True for _ in _owed(s))


def _owed(s: State) -> Iterator[int]:
    """When the heights without a certificate anywhere are due, ms."""
    stable = s.stable_height
    return (slot.due_ms for slot in s.slots.values() if slot.height > stable and s.settled(slot) is not None)


def _earliest_due(s: State) -> int | None:
    """When the first batch that could be ordered, or the first height without a certificate, is overdue, ms.

    A height that is applied here counts until it is certified: who lacks it may be too few to leave by themselves.
    What this epoch has no height left for waits for the next one; a height that is still to come before the end of the
    epoch is waited for like a batch.
    """
    dues = list(_owed(s))
    height = next_height(s)
    waiting = s.pool.earliest_due()
    if waiting is not None and height <= s.end:
        dues.append(waiting)
    if s.is_closing and has_room(s, height):
        dues.append(s.next_due_ms)
    return min(dues, default=None)


def is_overdue(s: State) -> bool:
    """Whether something waits longer than this view's primary may take."""
    due = _earliest_due(s)
    return not s.changing and due is not None and due <= s.now.ms


# Enters: after every event, in an open view. Fresh complaints only: one that was taken back may still be on its way.
def complain(s: State) -> bool:
    """Leave the view if f + 1 members, this one perhaps among them, wait too long in it or have left it."""
    if s.changing:
        return False
    oldest = s.now.ms - 4 * s.config.status_ms
    against = {member for member, view in s.sought.items() if view > s.view}
    for member, peer in s.peers.items():
        left = peer.status.view > s.view and peer.status.changing
        if peer.at_ms >= oldest and (left or (peer.status.view == s.view and peer.status.suspects)):
            against.add(member)
    if s.suspects and is_overdue(s):
        against.add(s.config.index)
    if len(against) <= s.config.f or s.is_silent:
        return False
    leave(s, s.view + 1)
    return True
