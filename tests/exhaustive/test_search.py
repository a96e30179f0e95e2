"""Every interleaving within small bounds: nothing breaks, and bugs put back on purpose are found."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consensus.core import new_view, normal, replica, view_change
from consensus.core.bodies import NewView
from consensus.core.config import Config
from consensus.core.messages import Kind, Message
from consensus.core.new_view import Change, NoteHeight, Plan, plan
from consensus.core.state import State
from consensus.exhaustive.search import Found, Search
from consensus.exhaustive.setting import MEMBERS, Bounds

MOST = 200_000
EACH = pytest.mark.parametrize("byzantine", range(MEMBERS))


def _search(bounds: Bounds) -> Found:
    return Search(bounds).run(MOST)


@pytest.mark.parametrize("byzantine", [0, 1])  # those who lead first; `make search` has every one
def test_one_height_over_three_views_holds(byzantine: int) -> None:
    found = _search(Bounds(byzantine, views=3, heights=1))
    assert found.violation == ""
    assert found.complete


@EACH
def test_one_height_with_checkpoints_over_two_views_holds(byzantine: int) -> None:
    found = _search(Bounds(byzantine, views=2, heights=1, checkpoints=True))
    assert found.violation == ""
    assert found.complete


@EACH
@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_reduction_reaches_every_final_state(byzantine: int, checkpoints: bool) -> None:
    bounds = Bounds(byzantine, views=2, heights=1, checkpoints=checkpoints)
    ends = []
    for reduced in (False, True):
        search = Search(bounds, reduced=reduced)
        assert search.run(MOST).complete
        ends.append({tuple((local.sent, local.blocks) for local in search.standing(state)) for state in search.final})
    assert ends[0] == ends[1]


@EACH
def test_the_search_gets_as_far_as_its_bounds(byzantine: int) -> None:
    """In the last view both values can be prepared where the liar has led, and everybody can apply one."""
    search = Search(Bounds(byzantine, views=2, heights=1))
    search.run(MOST)
    ends = [search.standing(state) for state in search.final]
    prepared = {said.content for end in ends for local in end for said in local.sent if said[:2] == (Kind.COMMIT, 1)}
    both = [search.setting.digest(value) for value in search.setting.values[1]]
    assert prepared == set(both if byzantine < 2 else both[:1])
    assert any(all(local.blocks for local in end) for end in ends)


def _is_found(search: Search) -> bool:
    """Whether a property breaks: certificates or blocks that contradict each other, not an error of the mutant."""
    violation = search.run(MOST).violation
    return any(told in violation for told in ("prepared beside", "takes back", "different blocks"))


def test_a_quorum_of_2f_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "quorum", property(lambda config: 2 * config.f))
    assert _is_found(Search(Bounds(0, views=1, heights=1)))


def test_a_prepared_certificate_dropped_in_a_view_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_change, "_prepared", lambda s: ())
    assert _is_found(Search(Bounds(0, views=2, heights=1)))


def test_a_new_view_that_backups_take_as_it_is_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(Bounds(1, views=2, heights=1))

    def trusting(config: Config, message: Message, body: NewView, note_height: NoteHeight) -> Plan:
        return Plan(None, tuple(search.setting.proposals[opened.digest] for opened in body.pre_prepares))

    monkeypatch.setattr(view_change, "verified_new_view", trusting)
    assert _is_found(search)


def test_the_oldest_prepared_certificate_instead_of_the_newest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def oldest(config: Config, changes: Sequence[Change]) -> Plan:
        aged = [
            replace(change, prepared=tuple((-view, proposal) for view, proposal in change.prepared))
            for change in changes
        ]
        return plan(config, aged)

    for module in (new_view, view_change):
        monkeypatch.setattr(module, "plan", oldest)
    assert _is_found(Search(Bounds(0, views=3, heights=1)))


def test_a_member_that_votes_in_a_view_it_has_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(s: State) -> bool:
        left, s.changing = s.changing, False
        view, s.view = s.view, s.view - left
        try:
            return normal.prepare_and_commit(s)
        finally:
            s.view, s.changing = view, left

    steps = tuple(again if step is normal.prepare_and_commit else step for step in replica.STEPS)
    monkeypatch.setattr(replica, "STEPS", steps)
    monkeypatch.setitem(replica.RULES, Kind.PREPARE, replica.RULES[Kind.PREPARE]._replace(refusal=lambda s, m, v: ""))
    assert _is_found(Search(Bounds(0, views=2, heights=1)))
