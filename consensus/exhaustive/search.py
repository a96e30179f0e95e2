"""The search: every combination of the correct replicas' states that can be told apart, each checked once.

See `docs/exhaustive.md` for what the bounds cover and why each reduction loses nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from consensus.exhaustive.byzantine import Byzantine
from consensus.exhaustive.checks import Checks, told
from consensus.exhaustive.events import Events
from consensus.exhaustive.local import Local, Locals, Wanted
from consensus.exhaustive.messages import Said, Wire
from consensus.exhaustive.setting import Bounds, Setting

State = tuple[int, ...]
"""The number of a local state for each correct member."""
REPORT_EVERY = 100_000


@dataclass(frozen=True)
class Found:
    """What a search came to. `violation` is empty if nothing broke; `complete` if no state in the bounds is left."""

    bounds: Bounds
    states: int
    steps: int
    """Transitions between them."""
    local_states: int
    core_runs: int
    """How often the real core was given an event."""
    complete: bool
    violation: str = ""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moves:
    """What a member can do next, and what others would have to say for it to have further choices."""

    after: tuple[int, ...]
    wanted: tuple[Said | Wanted, ...]


class Search:
    """One search. Breadth first, so that a violation comes with a short trace.

    `reduced`: where one member's choices can't grow any more, only they are followed, since they commute with all that
    the others do. Every final state is reached, and what is broken stays broken.
    """

    def __init__(self, bounds: Bounds, *, reduced: bool = True) -> None:
        self.setting, self._reduced = Setting(bounds), reduced
        wire = Wire(self.setting)
        byzantine = Byzantine(self.setting, wire)
        self._events = Events(self.setting, wire, byzantine)
        self._checks = Checks(byzantine)
        self.members = tuple(self.setting.correct)
        self.locals = tuple(Locals(self.setting, wire, member) for member in self.members)
        self._moves: dict[tuple[int, ...], Moves] = {}
        self.parents: dict[State, State | None] = {}
        self.final: set[State] = set()
        """States in which nobody can do anything more."""
        self._steps = 0
        self._may_still_say = cache(lambda place, number, wanted: self._local(place, number).may_still_say(wanted))

    def run(self, most: int, report: Callable[[str], None] = lambda line: None) -> Found:
        """Search up to `most` states."""
        first: State = tuple(local.first for local in self.locals)
        self.parents[first] = None
        queue = deque([first])
        while queue:
            if len(self.parents) > most:
                return self._found(complete=False)
            state = queue.popleft()
            violation = self._checks.violation(self.standing(state))
            if violation:
                return self._found(complete=False, violation=violation, trace=tuple(self._trace(state)))
            for after in self._successors(state):
                self._steps += 1
                if after not in self.parents:
                    self.parents[after] = state
                    queue.append(after)
                    if len(self.parents) % REPORT_EVERY == 0:
                        report(f"{len(self.parents):,} states, {len(queue):,} of them to be followed")
        return self._found(complete=True)

    def _found(self, *, complete: bool, violation: str = "", trace: tuple[str, ...] = ()) -> Found:
        local_states = sum(len(local.states) for local in self.locals)
        core_runs = sum(local.ran for local in self.locals)
        counts = (len(self.parents), self._steps, local_states, core_runs)
        return Found(self.setting.bounds, *counts, complete=complete, violation=violation, trace=trace)

    def _trace(self, state: State) -> Iterator[str]:
        before = self.parents[state]
        if before is None:
            return
        yield from self._trace(before)
        place = next(i for i in range(len(state)) if state[i] != before[i])
        event = self.locals[place].event_between(before[place], state[place])
        heard = "; ".join(f"of {member}: {told(said)}" for member, said in event.heard)
        yield f"member {self.members[place]} hears {heard or 'nothing'}{f', then {event.timer}' if event.timer else ''}"

    def _local(self, place: int, number: int) -> Local:
        return self.locals[place].states[number]

    def standing(self, state: State) -> tuple[Local, ...]:
        """The local states of a state."""
        return tuple(self._local(place, number) for place, number in enumerate(state))

    def _successors(self, state: State) -> Iterable[State]:
        """The states that follow, by one event of one member each."""
        moves = [self._moves_of(state, place) for place in range(len(state))]
        places: Iterable[int] = range(len(state))
        if not any(each.after for each in moves):
            self.final.add(state)
        if self._reduced:
            closed = (place for place in places if moves[place].after and self._is_closed(state, place, moves[place]))
            alone = next(closed, None)
            places = places if alone is None else [alone]
        for place in places:
            for number in moves[place].after:
                yield (*state[:place], number, *state[place + 1 :])

    def _is_closed(self, state: State, place: int, moves: Moves) -> bool:
        """Whether nothing that others could still say gives a member another choice than it has."""
        return not any(
            self._may_still_say(other, state[other], wanted)
            for wanted in moves.wanted
            for other in range(len(state))
            if other != place
        )

    def _moves_of(self, state: State, place: int) -> Moves:
        standing = self.standing(state)
        key = (place, state[place], *(local.said for i, local in enumerate(standing) if i != place))
        known = self._moves.get(key)
        if known is None:
            known = self._moves[key] = self._worked_out(standing, state[place], place)
        return known

    def _worked_out(self, standing: tuple[Local, ...], number: int, place: int) -> Moves:
        sent = {local.member: local.sent for local in standing}
        after: dict[int, None] = {}
        wanted: dict[Said | Wanted, None] = {}
        for event, want in self._events.of(standing[place], sent):
            found = self.locals[place].after(number, event)
            if found is not None:
                after[found] = None
            elif want is not None:
                wanted[want] = None
        return Moves(tuple(after), tuple(wanted))
