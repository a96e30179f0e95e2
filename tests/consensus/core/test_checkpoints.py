"""Watermarks move on 2f + 1 signatures over the same note only; a member that holds another state stops."""

import pytest

from carbon.signing import sign_raw
from consensus.core import effects as fx
from consensus.core.bodies import Checkpoint, ViewChange, vote_body
from consensus.core.checkpoints import adopt_stable
from consensus.core.messages import Kind, Message, sign
from tests.consensus.core.committee import Committee, body_of, config_of, seed, unless


def _checkpoint(member: int, height: int, note: bytes) -> Message:
    body = Checkpoint(0, height, sign_raw(seed(f"note {member}"), note)).encode()
    return sign(config_of(member), Kind.CHECKPOINT, body)


def test_point_08_the_watermark_moves_on_a_quorum_over_the_own_note() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.CHECKPOINT))
    committee.give(0, _checkpoint(3, 1, b"another note\n"))
    committee.give(0, committee.sent(1, Kind.CHECKPOINT)[0])
    committee.give(0, committee.sent(1, Kind.CHECKPOINT)[0])
    assert committee.replicas[0].certified == 0
    committee.give(0, committee.sent(2, Kind.CHECKPOINT)[0])
    (certified,) = committee.found(0, fx.Certified)
    assert [member for member, _ in certified.signatures] == [0, 1, 2]


def test_point_08_a_member_signs_a_height_once_it_holds_all_below_with_their_certificates() -> None:
    committee = Committee()
    for number in (1, 2, 3):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(unless(Kind.CHECKPOINT))
    assert [replica.executed for replica in committee.replicas] == [3] * 4
    assert [len(committee.sent(i, Kind.CHECKPOINT)) for i in range(4)] == [1] * 4
    committee.pass_time(2_000)
    assert committee.heights() == [3] * 4


def test_point_08_nothing_is_applied_whose_proof_the_log_does_not_hold() -> None:
    """2f + 1 commits without the prepares before them: a restart could not apply the height again."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(lambda sender, to, message: to != 3 or message.kind not in (Kind.PREPARE, Kind.CERTIFICATE))
    assert [replica.executed for replica in committee.replicas] == [1, 1, 1, 0]
    committee.pass_time(2_000)
    assert committee.heights() == [1] * 4


@pytest.mark.parametrize("is_compacted", [False, True])
def test_point_08_what_is_certified_anywhere_is_there_after_all_that_signed_it_restart(is_compacted: bool) -> None:
    """Member 3 alone got the certificate, shows it in a view change, and is gone; member 2 never applied the height."""
    committee = Committee()
    committee.propose(body_of("one"))
    kept_back = {0: (Kind.CHECKPOINT,), 1: (Kind.CHECKPOINT,), 2: (Kind.CHECKPOINT, Kind.COMMIT), 3: ()}
    committee.settle(lambda sender, to, message: message.kind not in kept_back[to])
    assert committee.heights() == [0, 0, 0, 1]
    stable = committee.replicas[3]._s.stable
    assert stable is not None
    committee.down.add(3)
    for i in (0, 1, 2):
        if is_compacted:
            adopt_stable(committee.replicas[i]._s, stable)
        committee.restart(i, committee.replicas[i].compacted() if is_compacted else None)
        adopt_stable(committee.replicas[i]._s, stable)
    committee.propose(body_of("one"))
    committee.pass_time(3_000)
    assert committee.heights() == [1, 1, 1, 1]


def test_checkpoints_may_come_before_the_block() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(lambda sender, to, message: to != 3 or message.kind is not Kind.COMMIT)
    assert committee.heights() == [1, 1, 1, 0]
    for i in (0, 1):
        committee.give(3, committee.sent(i, Kind.COMMIT)[0])
    assert committee.heights() == [1, 1, 1, 1]


def test_a_member_stops_when_f_plus_one_hold_another_state() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.CHECKPOINT))
    committee.give(0, _checkpoint(1, 1, b"another note\n"))
    assert not committee.replicas[0].is_halted
    committee.give(0, _checkpoint(2, 1, b"another note\n"))
    assert committee.replicas[0].is_halted
    (divergence,) = committee.found(0, fx.Divergence)
    assert divergence.height == 1
    assert committee.replicas[0].timer("status", committee.now) == []


def test_point_08_checkpoints_of_far_heights_are_not_kept() -> None:
    committee = Committee()
    for height in range(1, 1_000):
        committee.give(0, _checkpoint(1, height, b"note\n"))
    assert len(committee.replicas[0]._s.checkpoints) == 8
    assert committee.replicas[0].dropped["checkpoint outside the watermarks"] == 991


def test_point_08_a_flood_of_far_heights_and_views_costs_bounded_memory() -> None:
    committee = Committee()
    for i in range(300):
        for kind in (Kind.PREPARE, Kind.COMMIT):
            committee.give(0, sign(config_of(1), kind, vote_body(0, i, 1 + i % 50, bytes(32))))
        committee.give(0, sign(config_of(1), Kind.VIEW_CHANGE, ViewChange(0, 1 + i, b"", ()).encode()))
    state = committee.replicas[0]._s
    assert len(state.slots) == 8
    assert len(state.view_changes) == 1
    assert state.view == 0


def test_point_08_what_is_applied_and_not_certified_is_bounded() -> None:
    """No certificate reaches member 3, but new views show it that the others go on."""
    committee = Committee()
    lost = (Kind.CHECKPOINT, Kind.CERTIFICATE)
    for number in range(1, 13):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(lambda sender, to, message: to != 3 or message.kind not in lost)
        stable = committee.replicas[0]._s.stable
        assert stable is not None and stable.height == number
        if number > 1:
            adopt_stable(committee.replicas[3]._s, stable)
    assert (committee.replicas[3].certified, committee.replicas[3].executed) == (0, 8)
    committee.pass_time(10_000)
    assert committee.heights() == [12] * 4
