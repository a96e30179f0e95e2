"""What can happen to a correct member, given what the others have said, and what it could still be waiting for."""

from collections.abc import Iterator
from itertools import combinations

from consensus.core.messages import Kind
from consensus.exhaustive.byzantine import Byzantine, Sent
from consensus.exhaustive.local import Event, Local, Wanted
from consensus.exhaustive.messages import Said, Wire
from consensus.exhaustive.setting import Setting

Choice = tuple[Event, Said | Wanted | None]
"""An event, and what must be said for it to make a step if it makes none yet."""


class Events:
    """The events of correct members. Votes come with every vote that there is, since more never hinder."""

    def __init__(self, setting: Setting, wire: Wire, byzantine: Byzantine) -> None:
        self._setting, self._wire, self._byzantine = setting, wire, byzantine

    def of(self, local: Local, sent: Sent) -> Iterator[Choice]:
        """Every event that could make a member take a step, now or once more is said."""
        if local.fault:
            return
        others = {member: said for member, said in sent.items() if member != local.member}
        if local.changing:
            yield from self._entries(local, sent, others)
        else:
            yield from self._proposals(local, others)
            yield from self._votes(local, others)
        if local.view + 1 < self._setting.bounds.views:
            yield from self._departures(local, others)

    def _quorum(self, said: Said, others: Sent) -> Choice:
        """Everybody who says so, and the Byzantine member."""
        honest = [member for member, sent in sorted(others.items()) if said in sent]
        return Event(tuple((member, said) for member in [self._byzantine.index, *honest])), said

    def _proposals(self, local: Local, others: Sent) -> Iterator[Choice]:
        """A pre-prepare for a height that has none in this view; a primary proposes when it is time."""
        primary = self._setting.primary(local.view)
        if primary == local.member:
            yield Event((), "batch"), None
            return
        taken = {height for height, _ in local.accepted}
        for height in self._setting.heights:
            if height <= local.low or height in taken:
                continue
            if primary == self._byzantine.index:
                for value in (0, 1):
                    yield Event(((primary, self._wire.propose(local.view, height, value)),)), None
                continue
            place = (Kind.PRE_PREPARE, local.view, height)
            proposed = [said for said in others[primary] if said[:3] == place and self._wire.is_proposal(said)]
            yield from ((Event(((primary, said),)), None) for said in proposed)
            if not proposed:
                yield Event(()), Wanted(local.view + 1)

    def _votes(self, local: Local, others: Sent) -> Iterator[Choice]:
        for height, digest in local.accepted:
            kind = Kind.COMMIT if height in local.prepared else Kind.PREPARE
            if kind is Kind.COMMIT and not self._setting.bounds.applies:
                continue
            yield self._quorum(Said(kind, local.view, height, digest), others)
        for height, note in local.waits if self._setting.bounds.checkpoints else ():
            if height == local.low + 1:
                yield self._quorum(self._wire.checkpoint(height, note), others)[0], Wanted(0, always=True)

    def _departures(self, local: Local, others: Sent) -> Iterator[Choice]:
        """Leave the view: for the next timeout between views, or by a complaint of its own, or of one that left."""
        last = self._setting.bounds.views - 1
        gone = [(member, _furthest(sent)) for member, sent in others.items()]
        if local.changing:
            is_heard = any(view >= local.view for _, view in gone)
            yield Event((), "new_view" if is_heard else ""), Wanted(last)
            return
        complaint = (self._byzantine.index, Said(Kind.STATUS, local.view, 0, False))
        yield Event((complaint,), "progress"), Wanted(last)
        for member, view in gone:
            if view > local.view:
                yield Event((complaint, (member, Said(Kind.STATUS, view, 0, True)))), None

    def _entries(self, local: Local, sent: Sent, others: Sent) -> Iterator[Choice]:
        """Open the view as its primary, or enter it as it was opened."""
        view, primary = local.view, self._setting.primary(local.view)
        yield Event(()), Wanted(view, opens=view + 1, always=self._setting.bounds.checkpoints)
        if primary == local.member:
            yield from ((event, None) for event in self._openings(view, sent, others))
        elif primary == self._byzantine.index:
            yield from ((Event(((primary, said),)), None) for said in self._byzantine.new_views(sent, view))
        else:
            opened = [said for said in others[primary] if said[:2] == (Kind.NEW_VIEW, view)]
            yield from ((Event(((primary, said),)), None) for said in opened)

    def _openings(self, view: int, sent: Sent, others: Sent) -> Iterator[Event]:
        changes = [(self._byzantine.index, change) for change in self._byzantine.view_changes(sent, view)]
        for member, those in others.items():
            changes += [(member, said) for said in those if said[:2] == (Kind.VIEW_CHANGE, view)]
        yield from (Event(pair) for pair in combinations(changes, 2) if pair[0][0] != pair[1][0])


def _furthest(sent: frozenset[Said]) -> int:
    """The highest view that a member left for."""
    return max((said.view for said in sent if said.kind is Kind.VIEW_CHANGE), default=0)
