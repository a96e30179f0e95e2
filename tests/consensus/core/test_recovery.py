"""A member killed at any write never signs a conflict; the compacted log means the same; damage is refused."""

from dataclasses import replace
from random import Random

import pytest

from consensus.core import effects as fx
from consensus.core.bodies import VOTES, Checkpoint, Justified, Proposal, Vote
from consensus.core.messages import Kind, Message, sign
from consensus.core.replica import Replica
from consensus.core.votelog import VoteLogError
from consensus.simulator.application import Ledger
from tests.consensus.core.committee import CHANNEL, Committee, body_of, config_of, unless


def _history() -> Committee:
    """Two certified heights, a view change, a third height."""
    committee = Committee()
    for number in (1, 2):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    committee.propose(body_of("batch 3"), 3)
    committee.settle(unless(Kind.COMMIT))
    committee.down = {0}
    committee.pass_time(6_000, lambda sender, to, message: message.kind is not Kind.COMMIT or _view(message) > 0)
    assert committee.replicas[1].view == 1 and committee.heights()[1] == 3
    return committee


def _view(message: Message) -> int:
    return Vote.decode(message.body).view


def _claims(message: Message) -> tuple[object, ...] | None:
    if message.kind in VOTES:
        vote = Vote.decode(message.body)
        return (message.kind, message.member, vote.view, vote.height)
    if message.kind is Kind.CHECKPOINT:
        return (message.kind, message.member, Checkpoint.decode(message.body).height)
    return (message.kind, message.member, message.body[:4]) if message.kind is Kind.VIEW_CHANGE else None


def _signed(effects: list[fx.Effect]) -> dict[tuple[object, ...], bytes]:
    """What sent messages say, by what may be said once."""
    said = {}
    for effect in effects:
        if isinstance(effect, fx.Send):
            message = Message.decode(effect.message)
            place = _claims(message)
            if place is not None:
                said[place] = message.body
    return said


@pytest.mark.parametrize("i", [0, 1, 3])
def test_point_04_killed_at_every_write_a_member_never_signs_a_conflict(i: int) -> None:
    """Every prefix of the log is what some crash leaves; the sends before it are what others may have heard."""
    committee = _history()
    wire = [message for j in range(4) for message in _wire(committee, j) if j != i]
    writes = [n for n, effect in enumerate(committee.done[i]) if isinstance(effect, fx.Persist)]
    assert len(writes) > 10
    for kept, write in enumerate(writes):
        heard = _signed(committee.done[i][:write])
        ledger = Ledger(config_of(i), committee.bodies)
        log = committee.logs[i][:kept]
        replica = Replica.restore(config_of(i), ledger, log, committee.now)
        effects = replica.start(committee.now)
        for message in Random(kept).sample(wire, len(wire)):
            effects += replica.receive(message, committee.now)
        for place, body in _signed(effects).items():
            assert heard.get(place, body) == body, place


def _wire(committee: Committee, j: int) -> list[bytes]:
    return [effect.message for effect in committee.done[j] if isinstance(effect, fx.Send)]


def test_point_04_a_restarted_member_refuses_the_other_proposal_of_an_equivocating_primary() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.PREPARE))
    opened = committee.sent(0, Kind.PRE_PREPARE)[0]
    justified = Justified.decode(opened.attachment)
    other = replace(Proposal.decode(justified.proposal), time=committee.now.wall_ms + 1)
    vote = Vote(0, 0, 1, other.digest(CHANNEL))
    attachment = Justified(other.encode(), justified.endorsements).encode()
    committee.restart(1)
    before = len(committee.sent(1, Kind.PREPARE))
    committee.offer(1, body_of("one"))
    committee.give(1, sign(config_of(0), Kind.PRE_PREPARE, vote.encode(), attachment))
    assert len(committee.sent(1, Kind.PREPARE)) == before
    assert committee.replicas[1].dropped["own conflicting vote"] == 1


def test_all_members_restart_at_once_and_go_on() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.CHECKPOINT))
    assert [replica.executed for replica in committee.replicas] == [1] * 4
    committee.wire.clear()
    for i in range(4):
        committee.restart(i)
        committee.offer(i, body_of("one"))
    assert committee.heights() == [0] * 4
    committee.pass_time(3_000)
    assert committee.heights() == [1] * 4
    assert {replica.view for replica in committee.replicas} == {0}


@pytest.mark.parametrize("i", [1, 2, 3])
def test_the_compacted_log_leads_to_the_same_state(i: int) -> None:
    committee = _history()
    compacted = committee.replicas[i].compacted()
    assert len(compacted) < len(committee.logs[i])
    ledger = committee.ledgers[i].restarted()
    whole = Replica.restore(config_of(i), ledger, committee.logs[i], committee.now)
    short = Replica.restore(config_of(i), ledger.restarted(), compacted, committee.now)
    for name in ("view", "changing", "stable_height", "signed", "new_view", "certified"):
        assert getattr(whole._s, name) == getattr(short._s, name) == getattr(committee.replicas[i]._s, name), name
    assert sorted(short.compacted()) == sorted(compacted)


def test_a_member_between_views_restarts_between_views() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    committee.down = {0}
    committee.pass_time(4_000, lambda sender, to, message: message.kind not in (Kind.COMMIT, Kind.VIEW_CHANGE))
    (change,) = {message.body for message in committee.sent(2, Kind.VIEW_CHANGE)}
    committee.restart(2)
    assert committee.replicas[2].is_changing and committee.replicas[2].view == 1
    for j in (1, 3):
        committee.give(2, committee.sent(j, Kind.COMMIT)[0])
    assert committee.replicas[2].executed == 0
    committee.offer(2, body_of("one"))
    committee.pass_time(3_000)
    assert {message.body for message in committee.sent(2, Kind.VIEW_CHANGE)} == {change}
    assert {committee.heights()[i] for i in (1, 2, 3)} == {1}


def test_point_04_entries_that_the_member_did_not_write_stop_it() -> None:
    committee = _history()
    foreign = committee.logs[2]
    for entries in ([b"nonsense"], [foreign[0][:-1]], foreign):
        with pytest.raises(VoteLogError):
            Replica.restore(config_of(1), Ledger(config_of(1), committee.bodies), entries, committee.now)


def test_point_05_a_log_far_above_a_damaged_ledger_holds_no_heights_open_that_were_certified() -> None:
    """They are few, not voted on again, and come back as blocks; then it votes on."""
    committee = Committee()
    window = committee.configs[3].window
    for number in range(1, 3 * window + 1):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    committee.ledgers[3].blocks = {1: committee.ledgers[3].blocks[1]}
    committee.down = {3}
    committee.restart(3)
    member = committee.replicas[3]
    assert member.certified == 1 and member.votes_from == window
    assert member.sizes()["slots"] <= 2 * window
    assert not any(0 < height <= window for _, _, height in member._s.signed)
    committee.pass_time(10_000)
    assert committee.heights() == [3 * window] * 4
    committee.propose(body_of("one more"), 3 * window + 1)
    committee.settle()
    assert member.votes_from is None
    assert Vote.decode(committee.sent(3, Kind.COMMIT)[-1].body).height == 3 * window + 1
