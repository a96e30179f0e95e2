"""Point 5: a disk that was set back is found out by what others hold of its member; an intact one goes on at once."""

from dataclasses import replace

from consensus.core import effects as fx
from consensus.core.bodies import VOTES, Recall, Recalled, vote_body
from consensus.core.messages import Kind, Message, sign
from tests.consensus.core.committee import Committee, body_of, config_of, unless


def _set_back() -> Committee:
    """Member 3 has voted at height 2; its log and ledger are those of height 1 again. Nothing is delivered yet."""
    committee = Committee()
    committee.propose(body_of("batch 1"), 1)
    committee.settle()
    yesterday, ledger = list(committee.logs[3]), committee.ledgers[3].restarted()
    committee.propose(body_of("batch 2"), 2)
    committee.settle(unless(Kind.COMMIT))
    committee.ledgers[3] = ledger
    committee.done[3].clear()
    committee.restart(3, yesterday)
    return committee


def _votes(committee: Committee, i: int) -> list[Message]:
    return [message for kind in VOTES for message in committee.sent(i, kind)]


def test_point_05_a_disk_that_was_set_back_is_found_out_and_its_member_votes_on_nothing() -> None:
    committee = _set_back()
    committee.settle()
    (found,) = committee.found(3, fx.SetBack)
    assert Message.decode(found.message).kind in VOTES and found.bar == 1 + 16
    assert committee.replicas[3].is_silent
    assert [replica.votes_from for replica in committee.replicas] == [None, None, None, 17]
    for number in range(2, 12):
        committee.propose(body_of(f"batch {number}"), number)
        committee.pass_time(1_000, step=50)
    assert committee.heights() == [11] * 4
    assert not _votes(committee, 3)
    assert not committee.sent(3, Kind.VIEW_CHANGE) and not committee.sent(3, Kind.CHECKPOINT)


def test_point_05_past_every_old_watermark_it_votes_again() -> None:
    committee = _set_back()
    for number in range(2, 20):
        committee.propose(body_of(f"batch {number}"), number)
        committee.pass_time(1_000, step=50)
    assert committee.heights()[3] >= 17 and not committee.replicas[3].is_silent
    assert committee.replicas[3].votes_from is None
    committee.down = {2}
    committee.propose(body_of("batch 20"), 20)
    committee.pass_time(1_000, step=50)
    assert committee.heights()[3] == max(committee.heights()) == 20
    assert _votes(committee, 3)


def test_point_05_before_it_has_asked_it_signs_no_second_vote() -> None:
    """The primary's proposal for the height that member 3 has forgotten its vote on comes before any answer."""
    committee = _set_back()
    committee.wire.clear()
    committee.offer(3, body_of("batch 2"), 2)
    committee.give(3, committee.sent(0, Kind.PRE_PREPARE)[-1])
    for i in (1, 2):
        committee.give(3, committee.sent(i, Kind.PREPARE)[-1])
    assert not _votes(committee, 3)


def test_point_05_what_it_said_of_itself_survives_its_next_restart() -> None:
    committee = _set_back()
    committee.settle()
    for log in (None, committee.replicas[3].compacted()):
        committee.restart(3, log)
        committee.wire.clear()
        assert committee.replicas[3]._s.bar == 17
        committee.settle()
    assert committee.replicas[3].is_silent


def test_point_05_all_members_restart_at_once_and_vote_again() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    for i in range(4):
        committee.restart(i)
        committee.offer(i, body_of("one"))
    assert all(replica.is_silent for replica in committee.replicas)
    committee.settle()
    assert not any(replica.is_silent for replica in committee.replicas)
    committee.pass_time(3_000)
    assert committee.heights() == [1] * 4
    assert not any(committee.found(i, fx.SetBack) for i in range(4))


def test_point_05_a_wiped_member_is_set_back_too() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    committee.pass_time(600)
    committee.ledgers[2].blocks.clear()
    committee.restart(2, [])
    committee.settle()
    assert committee.found(2, fx.SetBack)


def test_point_05_nobody_else_can_set_a_member_back() -> None:
    """A liar's answer holds messages that member 3 did not sign, and none of the others' do."""
    committee = Committee()
    committee.restart(3)
    (asked, *_) = committee.sent(3, Kind.RECALL)
    question = Recall.decode(asked.body).question
    forged = replace(sign(config_of(0), Kind.COMMIT, vote_body(0, 9, 1, bytes(32))), member=3)
    foreign = sign(config_of(0), Kind.COMMIT, vote_body(0, 9, 1, bytes(32)))
    answer = Recalled(0, 3, question, b"", (forged.encode(), foreign.encode()))
    for other in (answer, replace(answer, question=question - 1), replace(answer, member=2)):
        committee.give(3, sign(config_of(0), Kind.RECALLED, other.encode()))
    assert committee.replicas[3].is_silent
    assert committee.replicas[3].dropped["answer to no question"] == 2
    committee.give(3, sign(config_of(1), Kind.RECALLED, replace(answer, messages=()).encode()))
    assert not committee.replicas[3].is_silent
    assert not committee.found(3, fx.SetBack)


def test_a_member_whose_ledger_was_wiped_but_not_its_log_leads_no_view_change() -> None:
    """It holds certificates far above a checkpoint that it can't prove."""
    committee = Committee()
    for number in range(1, 14):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    committee.pass_time(600)
    committee.ledgers[1].blocks.clear()
    committee.done[1].clear()
    committee.restart(1)
    committee.settle(lambda sender, to, message: message.kind is not Kind.BLOCKS)
    assert committee.replicas[1].is_silent
    committee.down = {0}
    committee.propose(body_of("batch 14"), 14)
    committee.pass_time(6_000, step=50)
    assert not committee.sent(1, Kind.VIEW_CHANGE)
