"""Which fields of the core make a state of the search. One that the core gains fails here until somebody decides."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from consensus.core.certificates import Certificate, Prepared
from consensus.core.effects import OrderedBlock
from consensus.core.messages import Kind, Message
from consensus.core.quorum import Ballot
from consensus.core.state import Accepted, Slot, State
from consensus.exhaustive import local
from consensus.exhaustive.search import Search
from consensus.exhaustive.setting import MEMBERS, WALL_MS, Bounds, Setting
from tests.exhaustive.test_search import MOST

KEY = "in the key of a state"
FOLLOWS = "says nothing that the key doesn't: held below against a search that tells it apart"
TIME = "timers and clocks: any can run out at any time"
BOUNDS = "never moves within the bounds: no restart, no missing batch, no end of an epoch, all endorsed before"
HELP = "what a member is sent again; all that was ever said can come at any time anyway"
FIXED = "the same in every state of a member"

STATE = {
    "view": KEY,
    "changing": KEY,
    "halted": KEY,
    "stable": KEY,
    "certified": KEY,
    "application": KEY,
    "slots": KEY,
    "signed": KEY,
    "opened": KEY,
    "waiting": KEY,
    "view_changes": KEY,
    "sought": KEY,
    "checkpoints": KEY,
    "executions": FOLLOWS,
    "new_view": FOLLOWS,
    "sound": FOLLOWS,
    "unsound": FOLLOWS,
    "suspects": FOLLOWS,
    "level": FOLLOWS,
    "now": TIME,
    "next_due_ms": TIME,
    "since_ms": TIME,
    "pace_ms": TIME,
    "resend_ms": TIME,
    "flushed_ms": TIME,
    "armed": TIME,
    "pool": BOUNDS,
    "question": BOUNDS,
    "answers": BOUNDS,
    "forgotten": BOUNDS,
    "barred": BOUNDS,
    "bar": BOUNDS,
    "missing": BOUNDS,
    "tallies": BOUNDS,
    "strangers": BOUNDS,
    "verdicts": BOUNDS,
    "endorsed": BOUNDS,
    "peers": HELP,
    "help_given": HELP,
    "shown": HELP,
    "round": HELP,
    "mark": HELP,
    "still": HELP,
    "effects": HELP,
    "dropped": HELP,
    "config": FIXED,
}
SLOT = {
    "height": KEY,
    "accepted": KEY,
    "prepares": KEY,
    "commits": KEY,
    "prepared": KEY,
    "committed": KEY,
    "is_finished": FOLLOWS,
    "endorsements": BOUNDS,
    "due_ms": TIME,
}


@pytest.mark.parametrize(("kind", "known"), [(State, STATE), (Slot, SLOT)])
def test_every_field_of_the_core_is_decided_on(kind: type, known: dict[str, str]) -> None:
    assert {field.name for field in fields(kind)} == set(known)


SETTING = Setting(Bounds(byzantine=3, views=2, heights=1))
VALUE = SETTING.values[1][0]
DIGEST = SETTING.digest(VALUE)
SIGNED = Message(Kind.COMMIT, 3, b"body", bytes(64))
BALLOT = Ballot(0, DIGEST, bytes(64))


def _chain(s: State) -> None:
    s.application.execute(OrderedBlock(0, 1, WALL_MS, VALUE.batches))


CHANGES: dict[str, Callable[[State], Any]] = {
    "view": lambda s: setattr(s, "view", 1),
    "changing": lambda s: setattr(s, "changing", True),
    "halted": lambda s: setattr(s, "halted", True),
    "stable": lambda s: setattr(s, "stable", Certificate(0, 1, b"note", ())),
    "note": lambda s: setattr(s, "stable", Certificate(0, 1, b"another", ())),
    "certified": lambda s: setattr(s, "certified", 1),
    "application": _chain,
    "signed": lambda s: s.signed.update({(Kind.COMMIT, 0, 1): SIGNED}),
    "opened": lambda s: s.opened.update({1: SIGNED}),
    "waiting": lambda s: s.waiting.update({1: None}),
    "sought": lambda s: (s.sought.update({3: 1}), s.view_changes.update({3: SIGNED})),
    "view_changes": lambda s: (s.sought.update({3: 1}), s.view_changes.update({3: replace(SIGNED, body=b"other")})),
    "checkpoints": lambda s: s.checkpoints.update({1: {3: bytes(64)}}),
    "slots": lambda s: s.slots.update({1: Slot(1, committed=VALUE)}),
    "height": lambda s: s.slots.update({2: Slot(2, committed=VALUE)}),
    "accepted": lambda s: s.slots.update({1: Slot(1, accepted=Accepted(0, VALUE, DIGEST, bytes(64)))}),
    "prepared": lambda s: s.slots.update({1: Slot(1, prepared=Prepared(0, VALUE.encode(), bytes(64), ()))}),
    "committed": lambda s: s.slots.update({1: Slot(1, committed=replace(VALUE, time=WALL_MS + 1))}),
    "prepares": lambda s: s.slot(1).prepares.add(3, BALLOT),
    "commits": lambda s: s.slot(1).commits.add(3, BALLOT),
}


def _key(change: Callable[[State], Any]) -> tuple[Any, ...]:
    s = SETTING.started(1)[0]._s
    change(s)
    return local.steps_of(s), local.residue_of(s)


def test_what_is_in_the_key_tells_states_apart() -> None:
    in_key = {name for known in (STATE, SLOT) for name, why in known.items() if why == KEY}
    assert set(CHANGES) == in_key | {"note"}
    keys = [_key(lambda s: None), *map(_key, CHANGES.values())]
    assert len({repr(key) for key in keys}) == len(keys)


def _told_apart(s: State) -> tuple[Any, ...]:
    slots = tuple((height, slot.is_finished) for height, slot in sorted(s.slots.items()))
    opened = None if s.new_view is None else s.new_view.body
    return slots, tuple(sorted(s.executions)), opened, tuple(sorted(s.sound)), tuple(s.unsound), s.suspects, s.level


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("byzantine", range(MEMBERS))
def test_what_follows_from_the_key_changes_no_end(
    monkeypatch: pytest.MonkeyPatch, byzantine: int, checkpoints: bool
) -> None:
    steps_of, ends, states = local.steps_of, [], []
    for told_apart in (lambda s: (), _told_apart):
        monkeypatch.setattr(local, "steps_of", lambda s, more=told_apart: (*steps_of(s), more(s)))
        search = Search(Bounds(byzantine, views=2, heights=1, checkpoints=checkpoints))
        found = search.run(MOST)
        assert found.complete and not found.violation
        states.append(found.states)
        ends.append({tuple((one.sent, one.blocks) for one in search.standing(state)) for state in search.final})
    assert ends[0] == ends[1]
    assert states[0] < states[1]
