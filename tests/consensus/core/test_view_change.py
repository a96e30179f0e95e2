"""What was prepared survives a view change; nothing else is taken for it; the checkpoint is right for every quorum."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core import effects as fx
from consensus.core.bodies import NewView, OpenedHeight, Proposal, ViewChange, Vote, vote_body
from consensus.core.certificates import Certificate, MemberSignature, Prepared
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.new_view import Change, plan, verified_change, verified_new_view
from tests.consensus.core.committee import Committee, body_of, config_of, unless


def _proposal(height: int, time: int = 1) -> Proposal:
    return Proposal(0, height, time, ())


def _stable(height: int) -> Certificate | None:
    return Certificate(0, height, b"", ()) if height else None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(1, 3)), st.integers(0, 3)), min_size=7, max_size=7))
def test_point_07_plan_is_right_for_every_quorum(members: list[tuple[int, set[int], int]]) -> None:
    """Skewed checkpoints and prepared heights: the highest stable one is the base, no height is left out or doubled."""
    changes = [
        Change(_stable(low), tuple((view, _proposal(low + offset, 10 + view)) for offset in sorted(prepared)))
        for low, prepared, view in members
    ]
    for chosen in combinations(changes, 5):
        found = plan(config_of(0, 7), chosen)
        low = max(change.stable_height for change in chosen)
        shown = [(view, proposal) for change in chosen for view, proposal in change.prepared if proposal.height > low]
        high = max((proposal.height for _, proposal in shown), default=low)
        assert (0 if found.stable is None else found.stable.height) == low
        assert [proposal.height for proposal in found.proposals] == list(range(low + 1, high + 1))
        for proposal in found.proposals:
            best = max((view for view, other in shown if other.height == proposal.height), default=None)
            assert proposal.time == (0 if best is None else 10 + best)


def _is_vote(message: Message, kind: Kind, view: int, heights: tuple[int, ...] = (1, 2, 3)) -> bool:
    if message.kind is not kind:
        return False
    vote = Vote.decode(message.body)
    return vote.view == view and vote.height in heights


def test_point_06_a_committed_block_comes_back_after_a_view_change() -> None:
    """One member commits and goes dark before anyone hears of it; the others must bring back the same block."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(lambda sender, to, message: message.kind is not Kind.COMMIT or to == 0)
    assert [replica.executed for replica in committee.replicas] == [1, 0, 0, 0]
    committee.down = {0}
    committee.pass_time(8_000, lambda sender, to, message: not _is_vote(message, Kind.COMMIT, 0))
    assert [replica.view for replica in committee.replicas[1:]] == [1, 1, 1]
    before = committee.replicas[0]._s.executions[1].note
    assert {committee.found(i, fx.Certified)[0].note for i in (1, 2, 3)} == {before}


def test_point_10_a_censoring_primary_changes_and_the_old_one_follows() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.PRE_PREPARE))
    committee.pass_time(8_000, lambda sender, to, message: not (message.kind is Kind.PRE_PREPARE and sender == 0))
    assert [replica.view for replica in committee.replicas] == [1] * 4
    assert committee.heights() == [1] * 4


def _after_prepare() -> Committee:
    """All are prepared at height 1, none is committed; members 1 to 3 have left for view 1."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    committee.down = {0}
    lost = (Kind.COMMIT, Kind.VIEW_CHANGE)
    committee.pass_time(4_000, lambda sender, to, message: message.kind not in lost)
    assert all(replica.is_changing for replica in committee.replicas[1:])
    return committee


def _changes(committee: Committee) -> list[Message]:
    return [committee.sent(i, Kind.VIEW_CHANGE)[0] for i in (1, 2, 3)]


def _check(message: Message) -> Change:
    return verified_change(config_of(0), message, 1, lambda note: None)


def test_a_view_change_proves_what_it_says() -> None:
    for message in _changes(_after_prepare()):
        ((view, proposal),) = _check(message).prepared
        assert (view, proposal.height) == (0, 1)


def _forged_change(message: Message, member: int) -> Message:
    """Another proposal under the certificate's signatures."""
    body = ViewChange.decode(message.body)
    prepared = Prepared.decode(body.prepared[0])
    other = replace(Proposal.decode(prepared.proposal), time=5)
    forged = replace(prepared, proposal=other.encode()).encode()
    return sign(config_of(member), Kind.VIEW_CHANGE, replace(body, prepared=(forged,)).encode())


def test_forged_and_misplaced_certificates_are_refused() -> None:
    message = _changes(_after_prepare())[0]
    body = ViewChange.decode(message.body)
    wrong = [
        _forged_change(message, 1),
        sign(config_of(1), Kind.VIEW_CHANGE, replace(body, prepared=body.prepared * 2).encode()),
        sign(config_of(1), Kind.VIEW_CHANGE, replace(body, view=2).encode()),
        sign(config_of(1), Kind.VIEW_CHANGE, replace(body, stable=Certificate(0, 1, b"", ()).encode()).encode()),
        sign(config_of(1), Kind.VIEW_CHANGE, replace(body, prepared=(b"nonsense",)).encode()),
    ]
    for other in wrong:
        with pytest.raises(Malformed):
            _check(other)


def test_point_06_one_forged_certificate_does_not_mask_the_good_ones() -> None:
    committee = _after_prepare()
    _, second, third = _changes(committee)
    committee.give(1, _forged_change(second, 0))
    committee.give(1, second)
    assert committee.replicas[1].is_changing
    assert not committee.sent(1, Kind.NEW_VIEW)
    committee.give(1, third)
    (opened,) = committee.sent(1, Kind.NEW_VIEW)
    assert NewView.decode(opened.body).pre_prepares[0].digest == committee.sent(0, Kind.PRE_PREPARE)[0].body[-32:]


def _new_view(committee: Committee) -> tuple[Message, NewView]:
    for message in _changes(committee)[1:]:
        committee.give(1, message)
    (message,) = committee.sent(1, Kind.NEW_VIEW)
    return message, NewView.decode(message.body)


def test_point_06_backups_recompute_the_new_view() -> None:
    committee = _after_prepare()
    message, body = _new_view(committee)
    null = Proposal(0, 1, 0, ()).digest(committee.configs[0].channel)
    swapped = sign(config_of(1), Kind.PRE_PREPARE, vote_body(0, 1, 1, null)).signature
    wrong = [
        replace(body, pre_prepares=()),
        replace(body, pre_prepares=(OpenedHeight(1, null, swapped),)),
        replace(body, pre_prepares=(body.pre_prepares[0]._replace(signature=bytes(64)),)),
        replace(body, view_changes=body.view_changes[:2]),
        replace(body, view_changes=(body.view_changes[0], *body.view_changes[:2])),
        replace(body, view=5),
    ]
    for other in wrong:
        committee.give(2, sign(config_of(1), Kind.NEW_VIEW, other.encode()))
        assert committee.replicas[2].is_changing
    assert committee.replicas[2].dropped["malformed"] == len(wrong)
    committee.give(2, message)
    assert not committee.replicas[2].is_changing
    assert verified_new_view(config_of(3), message, body, lambda note: None).proposals[0].batches


def test_a_new_view_by_another_member_is_refused() -> None:
    committee = _after_prepare()
    _, body = _new_view(committee)
    committee.give(2, sign(config_of(3), Kind.NEW_VIEW, body.encode()))
    assert committee.replicas[2].dropped["not this member's view"] == 1


def test_point_07_gaps_become_null_blocks_with_the_time_before_them() -> None:
    """Height 2 is prepared by all, height 1 by none: 1 comes back empty, and what 2 holds no longer fits."""
    committee = Committee(batch_records=1)
    for number in (1, 2):
        committee.propose(body_of(f"batch {number}"), number)

    def hears(sender: int, to: int, message: Message) -> bool:
        return not _is_vote(message, Kind.PREPARE, 0, (1,)) and not _is_vote(message, Kind.COMMIT, 0)

    committee.settle(hears)
    committee.down = {0}
    committee.pass_time(10_000, hears)
    blocks = [found.block for found in committee.found(2, fx.Certified)]
    assert not blocks[0].batches and blocks[0].time_ms == 0
    applied = [batch.number for block in blocks for batch in block.batches]
    assert applied == [1, 2]
    assert len({committee.replicas[i].certified for i in (1, 2, 3)}) == 1


def test_a_member_votes_in_no_view_that_it_left() -> None:
    committee = _after_prepare()
    opened = committee.sent(0, Kind.PRE_PREPARE)[0]
    before = len(committee.sent(1, Kind.COMMIT))
    for i in (2, 3):
        committee.give(1, committee.sent(i, Kind.COMMIT)[0])
    committee.give(1, opened)
    assert committee.replicas[1].executed == 0
    assert len(committee.sent(1, Kind.COMMIT)) == before


def test_a_stable_checkpoint_in_a_view_change_must_state_its_height() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    note, signatures = committee.ledgers[0].certificate(1) or (b"", ())
    rows = tuple(MemberSignature(*pair) for pair in signatures)
    for height, is_good in ((1, True), (2, False)):
        stable = Certificate(0, height, note, rows).encode()
        message = sign(config_of(1), Kind.VIEW_CHANGE, ViewChange(0, 1, stable, ()).encode())
        if is_good:
            change = verified_change(config_of(0), message, 1, committee.ledgers[0].note_height)
            assert change.stable_height == 1
        else:
            with pytest.raises(Malformed):
                verified_change(config_of(0), message, 1, committee.ledgers[0].note_height)
