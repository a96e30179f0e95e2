"""Point 16: members and keys change at a height that is stated before, as an epoch of its own on the same ledger."""

from dataclasses import replace

import pytest

from consensus.core import effects as fx
from consensus.core.bodies import Blocks, Checkpoint, Justified, Proposal, Recalled, Status, Vote
from consensus.core.certificates import Certificate, MemberSignature, Prepared, is_certified, verified_prepared
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.new_view import Change, plan
from consensus.core.replica import Replica
from consensus.core.votelog import VoteLogError
from tests.consensus.core.committee import CHANNEL, WINDOWS, Committee, after, body_of, config_of, unless

ROTATED = (0, 1, 2, 9)
"""Member 3 has new keys."""
END = 1 + WINDOWS
"""The last height of epoch 0 if the change is in its first block."""


def _changed(**settings: int) -> Committee:
    """The change of member 3's keys is certified at height 1; nothing else came."""
    committee = Committee(**settings)
    committee.change(ROTATED)
    committee.settle()
    assert set(committee.heights()) == {1}
    return committee


def _ended(**settings: int) -> Committee:
    """Epoch 0 is over everywhere."""
    committee = _changed(**settings)
    committee.pass_time(1_500)
    assert set(committee.heights()) == {END} and all(replica.is_over for replica in committee.replicas)
    return committee


def _entered() -> Committee:
    """All members are in epoch 1, and may vote."""
    committee = _ended()
    for i in range(4):
        committee.enter(i, after(config_of(i, endorse_delay_ms=0), ROTATED, i, END))
    committee.wire.clear()
    committee.pass_time(600)
    assert not any(replica.is_silent or replica.is_over for replica in committee.replicas)
    return committee


def _opened(committee: Committee, height: int) -> Message:
    """An empty proposal of member 0."""
    proposal = Proposal(0, height, committee.now.wall_ms, ())
    vote = Vote(0, 0, height, proposal.digest(CHANNEL))
    return sign(config_of(0), Kind.PRE_PREPARE, vote.encode(), Justified(proposal.encode(), ()).encode())


def test_point_16_without_traffic_an_epoch_ends_with_empty_blocks_one_each_delay() -> None:
    committee = _changed(batch_delay_ms=100)
    committee.pass_time(350)
    assert set(committee.heights()) == {4}
    committee.pass_time(60_000, step=50)
    assert set(committee.heights()) == {END} and all(replica.is_over for replica in committee.replicas)
    assert {replica.view for replica in committee.replicas} == {0}


def test_point_16_no_primary_proposes_beyond_the_end_or_is_blamed_for_what_is_left() -> None:
    """Batches are decided, and the window has room, while the last two heights are not certified yet."""
    committee = _changed(batch_delay_ms=10_000)

    def hears(sender: int, to: int, message: Message) -> bool:
        return message.kind is not Kind.CHECKPOINT or Checkpoint.decode(message.body).height < END - 1

    for number in range(1, WINDOWS + 3):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(hears)
    assert committee.heights() == [END - 2] * 4 and committee.replicas[0].executed == END
    opened = [Vote.decode(message.body).height for message in committee.sent(0, Kind.PRE_PREPARE)]
    assert max(opened) == END
    committee.pass_time(60_000, step=100)
    assert committee.heights() == [END] * 4 and all(replica.in_pool == 2 for replica in committee.replicas)
    assert {replica.view for replica in committee.replicas} == {0}
    assert not any(Status.decode(message.body).suspects for i in range(4) for message in committee.sent(i, Kind.STATUS))


def test_point_16_a_primary_that_holds_a_change_back_is_replaced() -> None:
    committee = _changed()
    committee.pass_time(20_000, lambda s, to, message: s != 0 or message.kind is not Kind.PRE_PREPARE, step=20)
    assert committee.heights() == [END] * 4
    assert {replica.view for replica in committee.replicas} == {1}


def test_point_16_nothing_is_voted_for_beyond_the_end() -> None:
    committee = _changed()
    committee.pass_time(5_000, lambda s, to, message: s != 0 or message.kind is not Kind.CHECKPOINT, step=20)
    backup = committee.replicas[2]
    assert backup.certified >= END - WINDOWS // 2
    before = len(committee.done[2])
    committee.give(2, _opened(committee, END + 1))
    vote = Vote(0, 0, END + 1, bytes(32)).encode()
    committee.give(2, sign(config_of(1), Kind.COMMIT, vote))
    assert backup.dropped["beyond the epoch"] == 2
    assert not [e for e in committee.done[2][before:] if isinstance(e, fx.Send | fx.Persist)]


def test_point_16_a_proposal_beyond_an_end_that_was_not_known_yet_is_refused_when_it_is() -> None:
    committee = Committee(batch_delay_ms=10_000)
    committee.change(ROTATED)
    committee.settle(lambda s, to, message: to != 2)
    replica = committee.replicas[2]
    committee.give(2, _opened(committee, 2))
    committee.ledgers[2].epochs += (replace(config_of(2), epoch=1, base=1),)
    for i in (0, 1, 3):
        for message in [m for kind in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT) for m in committee.sent(i, kind)]:
            committee.give(2, message)
    assert replica.executed == 1
    assert replica.dropped["pre-prepare refused: beyond the epoch"] == 1


def test_point_16_an_empty_block_waits_for_the_change_that_allows_it() -> None:
    """The primary applied the change; member 2 hears of an empty block before it can."""
    committee = Committee()
    committee.change(ROTATED)
    committee.settle(lambda s, to, message: to != 2 or message.kind not in (Kind.COMMIT, Kind.CHECKPOINT))
    committee.pass_time(100, lambda s, to, message: to != 2 or message.kind in (Kind.PRE_PREPARE, Kind.PREPARE))
    votes = {Vote.decode(message.body).height for message in committee.sent(2, Kind.PREPARE)}
    assert committee.replicas[2].executed == 0 and votes == {1}
    committee.pass_time(1_500)
    assert committee.replicas[2].certified == END
    assert committee.replicas[2].dropped["pre-prepare refused: empty"] == 0


def test_point_16_an_empty_block_is_refused_while_no_change_is_recorded() -> None:
    committee = Committee()
    committee.give(2, _opened(committee, 1))
    assert committee.replicas[2].dropped["pre-prepare refused: empty"] == 1


def test_point_16_a_member_whose_epoch_is_over_helps_and_votes_on_nothing() -> None:
    committee = _changed()
    committee.pass_time(1_500, lambda s, to, message: to != 3)
    assert committee.heights() == [END, END, END, 1]
    for i in range(3):
        committee.done[i].clear()
        committee.judge(i, committee.offer(i, body_of("late")))
    committee.pass_time(5_000)
    assert committee.heights() == [END] * 4
    signs = (Kind.ENDORSEMENT, Kind.PREPARE, Kind.COMMIT, Kind.VIEW_CHANGE)
    assert not [message for i in range(3) for kind in signs for message in committee.sent(i, kind)]


def test_point_16_the_next_epoch_goes_on_with_new_keys_and_refuses_the_old() -> None:
    committee = _entered()
    committee.propose(body_of("one"))
    committee.settle()
    assert set(committee.heights()) == {END + 1}
    last, first = (committee.ledgers[0].blocks[height] for height in (END, END + 1))
    assert (last.block.epoch, first.block.epoch) == (0, 1)
    body = Vote(1, 0, END + 2, bytes(32)).encode()
    for old, config in ((True, config_of(3)), (False, committee.configs[3])):
        committee.give(0, sign(config, Kind.COMMIT, body))
        assert committee.replicas[0].dropped["forged"] == 1, old
    committee.give(0, sign(config_of(3), Kind.COMMIT, Vote(0, 0, END + 2, bytes(32)).encode()))
    assert committee.replicas[0].dropped["wrong epoch"] == 1


def test_point_16_a_view_change_before_any_height_of_an_epoch_starts_from_its_base() -> None:
    committee = _entered()
    committee.propose(body_of("one"))
    committee.down = {0}
    committee.pass_time(10_000, step=50)
    assert committee.heights()[1:] == [END + 1] * 3
    assert {replica.view for replica in committee.replicas[1:]} == {1}


def test_point_16_a_plan_fills_gaps_above_the_base_only() -> None:
    config = replace(config_of(0), base=20)
    proposal = Proposal(0, 22, 7, ())
    found = plan(config, [Change(None, ()), Change(None, ((0, proposal),)), Change(None, ())])
    assert [each.height for each in found.proposals] == [21, 22]


@pytest.mark.parametrize("heights", [0, 1])
def test_point_16_a_member_restarts_within_a_later_epoch(heights: int) -> None:
    committee = _entered()
    for number in range(1, heights + 1):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
    for i in range(4):
        committee.restart(i)
    committee.pass_time(1_500)
    assert committee.heights() == [END + heights] * 4 and not any(replica.is_silent for replica in committee.replicas)
    committee.propose(body_of("after"), heights + 1)
    committee.settle()
    assert committee.heights() == [END + heights + 1] * 4


def test_point_16_the_log_of_another_epoch_is_refused() -> None:
    """Member 2 has the same keys in both: its old votes, however genuine, are not of this epoch."""
    committee = _changed()
    committee.settle(unless(Kind.COMMIT))
    committee.pass_time(100)
    log = committee.logs[2]
    assert log
    config = after(config_of(2), ROTATED, 2, END)
    committee.configs[2] = committee.ledgers[2].config = config
    committee.pass_time(1_500)
    for entry in log:
        with pytest.raises(VoteLogError):
            committee.restart(2, [entry])


def test_point_16_certificates_of_the_epoch_before_count_for_nothing_in_this_one() -> None:
    committee = _ended()
    note, signatures = committee.ledgers[0].certificate(END) or (b"", ())
    config = after(config_of(0), (0, 1, 2, 3), 0, END)
    relabelled = Certificate(1, END, note, tuple(MemberSignature(*pair) for pair in signatures))
    assert is_certified(replace(config, base=END - 1), relabelled)
    assert not is_certified(config, relabelled)
    proposal = Proposal(1, END, 7, ())
    body = Vote(1, 0, END, proposal.digest(CHANNEL)).encode()
    opened, *prepares = [sign(config_of(i), Kind.PREPARE if i else Kind.PRE_PREPARE, body).signature for i in (0, 1, 2)]
    prepared = Prepared(0, proposal.encode(), opened, tuple(map(MemberSignature, (1, 2), prepares)))
    assert verified_prepared(replace(config, base=END - 1), prepared) == proposal
    with pytest.raises(Malformed):
        verified_prepared(config, prepared)


def test_point_16_a_certificate_on_the_topic_ends_the_epoch_for_a_member_that_nobody_answers() -> None:
    committee = _changed()
    lost = (Kind.CHECKPOINT, Kind.CERTIFICATE)
    committee.pass_time(3_000, lambda s, to, message: to != 3 or message.kind not in lost)
    replica, ledger = committee.replicas[3], committee.ledgers[0]
    assert replica.executed > replica.certified
    for height in range(replica.certified + 1, replica.executed + 1):
        note, signatures = ledger.certificate(height) or (b"", ())
        committee.do(3, replica.certificate_seen(height, note, signatures[1:], committee.now))
        assert replica.dropped["certificate of no use"] == height - 1
        committee.do(3, replica.certificate_seen(height, note, signatures, committee.now))
        assert replica.certified == height


def test_point_16_a_block_beyond_the_end_is_of_the_next_epoch() -> None:
    committee = _entered()
    committee.propose(body_of("one"))
    committee.settle()
    block = committee.ledgers[0].certified(END + 1) or b""
    committee.ledgers[3].blocks.pop(END + 1)
    ledger = committee.ledgers[3].restarted()
    ledger.config = config_of(3)
    committee.replicas[3] = Replica(config_of(3), ledger, committee.now)
    assert committee.replicas[3].is_over
    committee.give(3, sign(config_of(0), Kind.BLOCKS, Blocks(0, (block,)).encode()))
    assert committee.replicas[3].certified == END


def test_point_16_what_a_member_signed_in_this_epoch_is_asked_for_from_its_base_on() -> None:
    """Its disk is set back to before its first vote of the epoch: answers that prove no checkpoint prove the base."""
    committee = _entered()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    committee.restart(2, [])
    committee.settle()
    (found,) = committee.found(2, fx.SetBack)
    assert found.bar == END + 16
    assert {Recalled.decode(message.body).stable for message in committee.sent(0, Kind.RECALLED)} == {b""}


@pytest.mark.parametrize(("n", "quorum"), [(4, 3), (5, 4), (6, 5), (7, 5), (8, 6)])
def test_point_16_a_committee_of_any_size_needs_all_but_f(n: int, quorum: int) -> None:
    committee = Committee(n)
    committee.down = set(range(quorum, n))
    committee.propose(body_of("one"))
    committee.settle()
    assert committee.heights()[:quorum] == [1] * quorum
    committee.down = set(range(quorum - 1, n))
    committee.propose(body_of("two"), 2)
    committee.settle()
    assert committee.heights()[: quorum - 1] == [1] * (quorum - 1)


def test_point_16_a_committee_grows_and_a_newcomer_takes_part() -> None:
    committee = Committee()
    committee.change((0, 1, 2, 3, 9))
    committee.settle()
    committee.pass_time(1_500)
    newcomer = committee.ledgers[0].restarted()
    committee.ledgers.append(newcomer)
    committee.replicas.append(committee.replicas[0])
    committee.configs.append(committee.configs[0])
    for table in (committee.logs, committee.done, committee.timers):
        table.append(type(table[0])())  # type: ignore[arg-type]
    committee.n = 5
    for i in range(5):
        committee.enter(i, after(config_of(0, endorse_delay_ms=0), (0, 1, 2, 3, 9), i, END))
    committee.pass_time(600)
    committee.down = {0}
    committee.propose(body_of("one"))
    committee.pass_time(8_000, step=50)
    assert committee.heights()[1:] == [END + 1] * 4
