"""Timers run on every backup and measure being overtaken, not queueing; timeouts double, are capped, and come down."""

from collections.abc import Iterable
from hashlib import sha256

from consensus.core.bodies import Checkpoint, Status, ViewChange
from consensus.core.messages import Kind, Message, sign
from tests.consensus.core.committee import Committee, body_of, config_of, unless


def test_point_09_a_primary_that_censors_one_submitter_is_replaced() -> None:
    """The primary never hears of one batch but serves all others: those that it overtakes with do not help it."""
    committee = Committee()
    censored = sha256(body_of("censored")).digest()
    for i in (1, 2, 3):
        committee.judge(i, committee.offer(i, body_of("censored"), 1, "victim"))
    committee.settle()
    for number in range(1, 40):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
        committee.pass_time(100)
    assert all(replica.view >= 1 for replica in committee.replicas)
    ordered = [batch.digest for block in committee.ledgers[1].blocks.values() for batch in block.block.batches]
    assert censored in ordered


def test_point_09_a_queue_is_no_reason_to_leave() -> None:
    """Batches wait for far longer than the timeout, but always behind older ones."""
    committee = Committee(max_records=2, window=1, view_timeout_ms=2_000)
    for number in range(1, 13):
        committee.propose(body_of(f"batch {number}"), number)
    for top in range(1, 13):

        def hears(sender: int, to: int, message: Message, top: int = top) -> bool:
            return message.kind is not Kind.CHECKPOINT or Checkpoint.decode(message.body).height <= top

        committee.pass_time(1_200, hears, step=50)
        assert set(committee.heights()) == {top}
    assert {replica.view for replica in committee.replicas} == {0}


def test_point_09_undecided_batches_never_cause_a_view_change() -> None:
    committee = Committee(undecided_ms=20_000)
    for i in range(4):
        digest = committee.offer(i, body_of("undecidable"))
        if i < 2:
            committee.judge(i, digest)
    committee.settle()
    committee.pass_time(30_000, step=100)
    assert {replica.view for replica in committee.replicas} == {0}
    assert [replica.in_pool for replica in committee.replicas] == [0] * 4


def test_point_09_a_height_that_too_few_applied_for_its_certificate_is_overdue() -> None:
    """A selective primary and a silent member leave three that applied a height, whose two others can't leave alone."""
    committee = Committee(7)
    committee.down = {6}

    def hears(sender: int, to: int, message: Message) -> bool:
        unheard = {Kind.PRE_PREPARE: (1,), Kind.COMMIT: (1, 4)}.get(message.kind, ())
        return sender != 0 or to not in unheard

    committee.propose(body_of("one"))
    committee.settle(hears)
    assert [replica.executed for replica in committee.replicas] == [1, 0, 1, 1, 0, 1, 0]
    assert max(committee.heights()) == 0
    committee.pass_time(10_000, hears, step=50)
    assert committee.heights()[1:6] == [1] * 5
    assert {replica.view for replica in committee.replicas[1:6]} == {1}


def test_a_member_that_is_cut_off_alone_stays_in_its_view() -> None:
    committee = Committee()

    def hears(sender: int, to: int, message: Message) -> bool:
        return 3 not in (sender, to)

    for number in range(1, 4):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(lambda sender, to, message: hears(sender, to, message) or message.kind is Kind.ENDORSEMENT)
    committee.pass_time(10_000, hears, step=100)
    assert not committee.replicas[3].is_changing
    committee.pass_time(2_000, step=50)
    assert committee.heights() == [committee.heights()[0]] * 4
    assert {replica.view for replica in committee.replicas} == {0}


def test_one_complaint_is_not_enough_and_f_plus_one_are() -> None:
    committee = Committee()
    complaint = Status(0, 0, False, True, False, 1, 0, 0, 0, ())
    committee.give(0, sign(config_of(1), Kind.STATUS, complaint.encode()))
    committee.give(0, sign(config_of(1), Kind.STATUS, complaint.encode()))
    assert not committee.replicas[0].is_changing
    committee.give(0, sign(config_of(2), Kind.STATUS, complaint.encode()))
    assert committee.replicas[0].is_changing and committee.replicas[0].view == 1


def test_point_10_f_plus_one_view_changes_pull_a_member_to_the_view_that_an_honest_one_seeks() -> None:
    committee = Committee(7)
    views = {1: 1_000_000, 2: 999_999, 3: 5}
    for member, view in views.items():
        assert committee.replicas[0].view == 0
        committee.give(0, sign(config_of(member, 7), Kind.VIEW_CHANGE, ViewChange(0, view, b"", ()).encode()))
    assert (committee.replicas[0].view, committee.replicas[0].is_changing) == (5, True)


def test_point_10_timeouts_double_are_capped_and_come_down() -> None:
    committee = Committee(view_timeout_ms=1_000, view_timeout_cap_ms=3_000)
    committee.propose(body_of("one"))
    lost = (Kind.PRE_PREPARE, Kind.NEW_VIEW)
    timeouts = set()
    for _ in range(200):
        committee.settle(lambda sender, to, message: message.kind not in lost)
        committee.pass_time(100, lambda sender, to, message: message.kind not in lost, step=50)
        timeouts.add(committee.replicas[3]._s.timeout_ms)
    assert timeouts == {1_000, 2_000, 3_000}
    committee.pass_time(10_000, step=50)
    for number in range(2, 12):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
        committee.pass_time(100)
    assert len(set(committee.heights())) == 1 and committee.heights()[0] >= 10
    assert committee.replicas[3]._s.level == 0


def _height(committee: Committee, number: int, ms: int, slow: Iterable[int] = range(7)) -> None:
    """Order a batch; the commits are so long on their way to some members."""
    late: list[tuple[int, int, bytes]] = []

    def hears(sender: int, to: int, message: Message) -> bool:
        if message.kind is Kind.COMMIT and to in slow:
            late.append((sender, to, message.encode()))
            return False
        return True

    committee.propose(body_of(f"batch {number}"), number)
    committee.settle(hears)
    committee.pass_time(ms, hears)
    committee.wire.extend(late)
    committee.settle()
    assert set(committee.heights()) == {number}


def test_point_10_the_timeout_follows_what_heights_take() -> None:
    """At once when they take longer, slowly when they take less, between its floor and what it is by default."""
    committee = Committee(status_ms=60_000)
    timed = committee.replicas[3]._s
    assert timed.timeout_ms == 2_000
    for number in range(1, 141):
        _height(committee, number, 180)
    assert timed.timeout_ms == 500
    _height(committee, 141, 450)
    assert timed.timeout_ms == 1_125
    _height(committee, 142, 200)
    assert 1_090 < timed.timeout_ms < 1_125
    assert {replica.view for replica in committee.replicas} == {0}


def test_point_10_heights_that_take_ever_longer_are_no_reason_to_leave() -> None:
    committee = Committee(status_ms=60_000)
    for number in range(1, 81):
        _height(committee, number, 200)
    for number, ms in enumerate((360, 640, 1_150, 1_900), 81):
        _height(committee, number, ms)
    assert {(replica.view, replica.is_changing) for replica in committee.replicas} == {(0, False)}


def test_a_complaint_is_taken_back_at_once() -> None:
    """So slow moments of different members, one after the other, never come to f + 1."""
    committee = Committee(status_ms=60_000)
    for number, slow in enumerate((1, 2, 3), 1):
        _height(committee, number, 2_500, [slow])
        said = [Status.decode(message.body).suspects for message in committee.sent(slow, Kind.STATUS)]
        assert said[-2:] == [True, False]
    assert {(replica.view, replica.is_changing) for replica in committee.replicas} == {(0, False)}


def test_point_10_three_members_stopped_for_minutes_recover_within_one_capped_timeout() -> None:
    committee = Committee(7, view_timeout_cap_ms=8_000)
    committee.propose(body_of("one"))
    committee.settle()
    committee.down = {0, 1, 2}
    committee.propose(body_of("two"), 2)
    committee.pass_time(300_000, step=500)
    assert max(committee.heights()) == 1
    for i in (0, 1, 2):
        committee.restart(i)
    committee.propose(body_of("two"), 2)
    committee.pass_time(30_000, step=100)
    assert committee.heights() == [2] * 7
    assert not any(replica.is_changing for replica in committee.replicas)


def test_idle_is_whoever_waits_for_nobody() -> None:
    committee = Committee()
    assert [replica.is_idle for replica in committee.replicas] == [True] * 4
    committee.propose(body_of("batch 1"), 1)
    assert not any(replica.is_idle for replica in committee.replicas)
    committee.down.add(3)
    committee.settle()
    assert [replica.is_idle for replica in committee.replicas] == [True] * 3 + [False]
    committee.restart(3)
    committee.pass_time(committee.configs[3].status_ms, unless(Kind.BLOCKS))
    assert not committee.replicas[3].is_idle
    committee.pass_time(5_000)
    assert committee.heights()[3] == 1 and committee.replicas[3].is_idle
