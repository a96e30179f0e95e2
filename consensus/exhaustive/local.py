"""The states of one replica, and what each event makes of them: the real core, run once for every (state, event)."""

import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

from consensus.core import effects as fx
from consensus.core.config import Instant
from consensus.core.messages import Kind, Message
from consensus.core.quorum import Ballots
from consensus.core.replica import Replica
from consensus.core.state import Slot, State
from consensus.exhaustive.messages import Said, Wire
from consensus.exhaustive.setting import WALL_MS, Setting

STEP_MS = 1_000_000
"""Time between two events of a replica: whatever waits is overdue, and no earlier status counts."""


class Event(NamedTuple):
    """What happens to a replica: it hears messages by (member, what it says), then a timer runs out (or none does)."""

    heard: tuple[tuple[int, Said], ...]
    timer: str = ""


class Wanted(NamedTuple):
    """What a member could still take a step on: anything said by one in a view below `below`, or by one that is to
    open a view below `opens`, or whatever anyone says."""

    below: int
    opens: int = 0
    always: bool = False


@dataclass(frozen=True)
class Local:
    """A state of a correct replica. `sent` is all that it ever said; `snapshot` the pickled replica."""

    member: int
    number: int
    snapshot: bytes
    view: int
    changing: bool
    accepted: tuple[tuple[int, bytes], ...]
    """(height, digest) of each height that was accepted in this view."""
    prepared: frozenset[int]
    """Heights that were prepared in this view."""
    waits: tuple[tuple[int, bytes], ...]
    """(height, note) of the heights that are applied and not certified."""
    low: int
    """Stable height."""
    sent: frozenset[Said]
    said: int
    """A number of `sent`."""
    blocks: tuple[fx.OrderedBlock, ...]
    applied: int
    """A number of `blocks`."""
    fault: str = ""
    """What an honest replica never does, and this one did."""

    def may_still_say(self, wanted: Said | Wanted) -> bool:
        """Whether this member, which has not said it, could say it later; True if in doubt."""
        if isinstance(wanted, Wanted):
            return wanted.always or self.view < wanted.below or (self.changing and self.view < wanted.opens)
        if self.view != wanted.view or self.changing:
            return self.view <= wanted.view
        accepted: bytes = dict(self.accepted).get(wanted.height, b"")
        return accepted in (b"", wanted.content)


class Locals:
    """All states of one replica that were met, and the transitions between them."""

    def __init__(self, setting: Setting, wire: Wire, member: int) -> None:
        self._setting, self._wire, self._member = setting, wire, member
        self._numbers: dict[Any, int] = {}
        self._next: dict[tuple[int, Event], int | None] = {}
        self._sent: dict[frozenset[Said], int] = {}
        self._chains: dict[tuple[fx.OrderedBlock, ...], int] = {}
        self.states: list[Local] = []
        self.ran = 0
        replica, effects = setting.started(member)
        self.first = self._keep(replica, self._said(replica, effects), "")[0]

    def after(self, local: int, event: Event) -> int | None:
        """The state that an event leads to; None if it makes nobody take a step."""
        place = (local, event)
        if place not in self._next:
            self._next[place] = self._run(self.states[local], event)
        return self._next[place]

    def event_between(self, before: int, after: int) -> Event:
        """An event that leads from one state to the other."""
        return next(event for (local, event), found in self._next.items() if (local, found) == (before, after))

    def _run(self, local: Local, event: Event) -> int | None:
        self.ran += 1
        replica: Replica = pickle.loads(local.snapshot)  # noqa: S301 our own bytes, made a moment ago
        now = Instant(replica._s.now.ms + STEP_MS, WALL_MS)
        effects: list[fx.Effect] = []
        fault = local.fault
        try:
            for member, said in event.heard:
                effects += replica.receive(self._wire.encode(member, said), now)
            if event.timer:
                effects += replica.timer(event.timer, now)
        except Exception as error:
            # a core that raises is a fault like any other, and the search shows how it came to it
            fault = f"raises {error!r}"
        fault = fault or self._fault(effects)
        number, is_step = self._keep(replica, local.sent | self._said(replica, effects), fault, local)
        return number if is_step else None

    def _fault(self, effects: list[fx.Effect]) -> str:
        for effect in effects:
            if isinstance(effect, fx.Divergence):
                return f"stops at {effect.height}: {effect.reason}"
            if isinstance(effect, fx.Evidence) and effect.member != self._setting.bounds.byzantine:
                return f"convicts the correct member {effect.member}"
        return ""

    def _said(self, replica: Replica, effects: list[fx.Effect]) -> frozenset[Said]:
        said: set[Said] = set()
        for effect in effects:
            if isinstance(effect, fx.Send):
                said.update(self._wire.read(Message.decode(effect.message)))
        if self._setting.bounds.checkpoints:
            for height, execution in replica._s.executions.items():
                said.add(self._wire.checkpoint(height, execution.note))
        return frozenset(said)

    def _keep(
        self, replica: Replica, sent: frozenset[Said], fault: str, before: Local | None = None
    ) -> tuple[int, bool]:
        """Number of a state, and whether it is another than `before` in more than what was heard without effect."""
        s = replica._s
        step = (steps_of(s), sent, fault)
        if before is not None and step == (steps_of(pickle.loads(before.snapshot)._s), before.sent, before.fault):  # noqa: S301 as above
            return before.number, False
        key = (step, residue_of(s))
        number = self._numbers.setdefault(key, len(self.states))
        if number == len(self.states):
            self.states.append(self._local(replica, number, sent, fault))
        return number, True

    def _local(self, replica: Replica, number: int, sent: frozenset[Said], fault: str) -> Local:
        s = replica._s
        chain = s.application.blocks  # type: ignore[attr-defined]
        open_slots = [] if s.changing else [slot for slot in s.slots.values() if _accepted(slot, s.view)]
        return Local(
            member=self._member,
            number=number,
            snapshot=pickle.dumps(replica, pickle.HIGHEST_PROTOCOL),
            view=s.view,
            changing=s.changing,
            accepted=tuple((slot.height, _accepted(slot, s.view)) for slot in open_slots),
            prepared=frozenset(slot.height for slot in open_slots if slot.stage(s.view) >= 2),
            waits=tuple((height, execution.note) for height, execution in sorted(s.executions.items())),
            low=s.stable_height,
            sent=sent,
            said=self._sent.setdefault(sent, len(self._sent)),
            blocks=chain,
            applied=self._chains.setdefault(chain, len(self._chains)),
            fault=fault,
        )


def _accepted(slot: Slot, view: int) -> bytes:
    accepted = slot.accepted
    return accepted.digest if accepted is not None and accepted.view == view else b""


def steps_of(s: State) -> tuple[Any, ...]:
    """What of a replica's state its next steps depend on. No time, no signer, no timer: each can be any."""
    slots = []
    for height, slot in sorted(s.slots.items()):
        prepared = None if slot.prepared is None else (slot.prepared.view, slot.prepared.proposal)
        standing = (_accepted(slot, s.view), prepared, slot.committed)
        if any(standing):
            slots.append((height, *standing))
    signed = tuple(sorted((key, message.body) for key, message in s.signed.items() if key[0] is not Kind.VIEW_CHANGE))
    chain = s.application.blocks  # type: ignore[attr-defined]
    stable = b"" if s.stable is None else s.stable.note
    return (s.view, s.changing, s.halted, stable, s.certified, chain, tuple(slots), signed)


def residue_of(s: State) -> tuple[Any, ...]:
    """What was heard and has had no effect yet, but could still have one."""
    ballots = []
    for height, slot in sorted(s.slots.items()):
        is_prepared = slot.stage(s.view) >= 2
        for kind, votes, is_used in (
            (Kind.PREPARE, slot.prepares, is_prepared),
            (Kind.COMMIT, slot.commits, slot.committed is not None),
        ):
            ballots += [(kind, height, *vote) for vote in _live(votes, s, is_used=is_used)]
    own = s.config.index
    opened = tuple(sorted((height, message.body) for height, message in s.opened.items() if height not in s.slots))
    changes = tuple(
        (member, view, s.view_changes[member].body)
        for member, view in sorted(s.sought.items())
        if member != own and (view > s.view or (s.changing and view == s.view))
    )
    checkpoints = tuple((height, member) for height, held in sorted(s.checkpoints.items()) for member in sorted(held))
    return tuple(ballots), opened, tuple(sorted(s.waiting)), changes, checkpoints


def _live(votes: Ballots, s: State, *, is_used: bool) -> list[tuple[int, int, bytes]]:
    first = s.view + (1 if is_used else 0)
    return [
        (member, ballot.view, ballot.digest)
        for member, ballot in sorted(votes._latest.items())
        if member != s.config.index and ballot.view >= first
    ]
