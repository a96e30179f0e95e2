"""The normal case: what is proposed when, what a backup refuses to prepare, and that nothing is applied twice."""

from dataclasses import replace
from typing import Any

import pytest

from consensus.core import effects as fx
from consensus.core.bodies import Justified, Proposal, Vote, vote_body
from consensus.core.messages import Kind, Message, sign
from tests.consensus.core.committee import CHANNEL, Committee, body_of, config_of, unless


@pytest.mark.parametrize("n", [4, 7, 10, 13])
def test_a_batch_is_certified_by_all_with_one_note(n: int) -> None:
    committee = Committee(n)
    committee.propose(body_of("one"))
    committee.settle()
    assert committee.heights() == [1] * n
    assert len({committee.found(i, fx.Certified)[0].note for i in range(n)}) == 1


def test_a_primary_waits_for_records_or_for_the_delay_while_heights_are_in_flight() -> None:
    committee = Committee(batch_records=4)
    for number in (1, 2):
        committee.propose(body_of(f"batch {number}"), number)
    committee.settle(unless(Kind.PREPARE))
    assert len(committee.sent(0, Kind.PRE_PREPARE)) == 1
    committee.propose(body_of("batch 3"), 3)
    committee.settle(unless(Kind.PREPARE))
    assert len(committee.sent(0, Kind.PRE_PREPARE)) == 2
    committee.propose(body_of("batch 4"), 4)
    committee.settle(unless(Kind.PREPARE))
    assert len(committee.sent(0, Kind.PRE_PREPARE)) == 2
    committee.pass_time(60, unless(Kind.PREPARE))
    assert len(committee.sent(0, Kind.PRE_PREPARE)) == 3


def test_no_more_heights_in_flight_than_the_window() -> None:
    committee = Committee(batch_records=1)
    for number in range(1, 9):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle(unless(Kind.CHECKPOINT))
    assert [replica.executed for replica in committee.replicas] == [4] * 4
    assert committee.heights() == [0] * 4


def test_a_block_keeps_to_the_bounds_of_the_genesis() -> None:
    committee = Committee(max_records=5, batch_records=100)
    for number in range(1, 6):
        committee.propose(body_of(f"batch {number}"), number)
    committee.settle()
    committee.pass_time(200)
    blocks = [found.block for found in committee.found(3, fx.Certified)]
    assert sum(len(block.batches) for block in blocks) == 5
    assert all(sum(batch.records for batch in block.batches) <= 5 for block in blocks)


def test_streams_are_applied_in_order_of_their_numbers() -> None:
    committee = Committee()
    for number in (3, 1, 2):
        committee.propose(body_of(f"batch {number}"), number)
    committee.settle()
    committee.pass_time(200)
    batches = [batch.number for found in committee.found(1, fx.Certified) for batch in found.block.batches]
    assert batches == [1, 2, 3]


def test_point_13_a_record_is_applied_once_whoever_proposes_it_again() -> None:
    committee = Committee()
    body = body_of("one")
    committee.propose(body)
    committee.settle()
    for i in range(4):
        committee.offer(i, body)
    committee.settle()
    committee.pass_time(3_000)
    assert committee.heights() == [1] * 4
    assert committee.replicas[0].dropped["batch refused: batch number"] == 1


def test_the_first_of_two_rivals_stands() -> None:
    committee = Committee()
    for name in ("left", "right"):
        committee.propose(body_of(name), 1)
    committee.settle()
    committee.pass_time(3_000)
    assert committee.heights() == [1] * 4
    assert all(replica.in_pool == 0 for replica in committee.replicas)


def test_a_backup_waits_for_a_batch_that_it_lacks() -> None:
    committee = Committee()
    body = body_of("one")
    for i in (0, 1, 2):
        committee.judge(i, committee.offer(i, body))
    committee.settle()
    (needed,) = committee.found(3, fx.NeedBatch)
    assert not committee.sent(3, Kind.PREPARE)
    assert committee.offer(3, body) == needed.digest
    assert committee.sent(3, Kind.PREPARE)


def test_pre_prepares_are_judged_in_order_of_height() -> None:
    committee = Committee(batch_records=1)
    for number in (1, 2):
        committee.propose(body_of(f"batch {number}"), number)
    committee.settle(lambda sender, to, message: message.kind is Kind.ENDORSEMENT)
    first, second = committee.sent(0, Kind.PRE_PREPARE)
    committee.give(1, second)
    assert not committee.sent(1, Kind.PREPARE)
    committee.give(1, first)
    assert [Vote.decode(message.body).height for message in committee.sent(1, Kind.PREPARE)] == [1, 2]


def _proposed(**settings: Any) -> tuple[Committee, Message, Proposal, Justified]:
    """A committee that has endorsed a batch, and the pre-prepare that its primary made of it."""
    committee = Committee(**settings)
    committee.propose(body_of("one"))
    committee.settle(lambda sender, to, message: message.kind is Kind.ENDORSEMENT)
    (message,) = committee.sent(0, Kind.PRE_PREPARE)
    justified = Justified.decode(message.attachment)
    return committee, message, Proposal.decode(justified.proposal), justified


def _opened(proposal: Proposal, endorsements: tuple[bytes, ...], member: int = 0) -> Message:
    vote = Vote(0, 0, proposal.height, proposal.digest(CHANNEL))
    attachment = Justified(proposal.encode(), endorsements).encode()
    return sign(config_of(member), Kind.PRE_PREPARE, vote.encode(), attachment)


def test_what_the_primary_proposes_is_prepared() -> None:
    committee, _, proposal, justified = _proposed()
    committee.give(1, _opened(proposal, justified.endorsements))
    assert committee.sent(1, Kind.PREPARE)


def _other_code(proposal: Proposal) -> Proposal:
    batch = proposal.batches[0]._replace(codes=b"\0\1\0\1")
    return replace(proposal, batches=(batch,))


def _other_number(proposal: Proposal) -> Proposal:
    return replace(proposal, batches=(proposal.batches[0]._replace(number=2),))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda proposal: replace(proposal, batches=()), "empty"),
        (lambda proposal: replace(proposal, time=proposal.time + 10_001), "block time"),
        (lambda proposal: replace(proposal, time=proposal.time - 10_001), "block time"),
        (lambda proposal: replace(proposal, batches=proposal.batches * 2), "batch numbers"),
        (_other_number, "another batch's digest"),
        (_other_code, "endorsements"),
    ],
)
def test_point_11_a_backup_refuses(change: Any, reason: str) -> None:
    committee, _, proposal, justified = _proposed()
    committee.give(1, _opened(change(proposal), justified.endorsements))
    assert not committee.sent(1, Kind.PREPARE)
    assert committee.replicas[1].dropped == {f"pre-prepare refused: {reason}": 1}


def test_a_backup_refuses_codes_without_a_quorum_of_endorsements() -> None:
    committee, _, proposal, justified = _proposed()
    two = justified.endorsements[:2]
    for endorsements in ((), two, (*two, two[0])):
        committee.give(1, _opened(proposal, endorsements))
    assert not committee.sent(1, Kind.PREPARE)
    assert committee.replicas[1].dropped == {"pre-prepare refused: endorsements": 3}
    committee.give(1, _opened(proposal, justified.endorsements))
    assert committee.sent(1, Kind.PREPARE)


def test_point_11_block_time_never_goes_back() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    committee.skew_ms = -5_000
    committee.propose(body_of("two"), 2)
    committee.settle()
    first, second = (found.block.time_ms for found in committee.found(2, fx.Certified))
    assert second == first


def test_only_the_primary_of_the_view_opens_heights() -> None:
    committee, _, proposal, justified = _proposed()
    committee.give(1, _opened(proposal, justified.endorsements, member=2))
    assert committee.replicas[1].dropped == {"not this member's vote": 1}


def test_another_proposal_under_the_signed_digest_is_malformed() -> None:
    committee, message, proposal, justified = _proposed()
    other = Justified(replace(proposal, time=1).encode(), justified.endorsements).encode()
    committee.give(1, replace(message, attachment=other))
    assert committee.replicas[1].dropped == {"malformed": 1}
    committee.give(1, message)
    assert committee.sent(1, Kind.PREPARE)


def test_point_03_two_pre_prepares_of_one_height_are_evidence_without_their_attachments() -> None:
    committee, message, proposal, justified = _proposed()
    second = _opened(replace(proposal, time=proposal.time + 1), justified.endorsements)
    for opened in (message, second, message, second):
        committee.give(1, opened)
    (evidence,) = committee.found(1, fx.Evidence)
    assert evidence.member == 0
    assert {evidence.message_a, evidence.message_b} == {message.bare().encode(), second.bare().encode()}
    assert len(committee.sent(1, Kind.PREPARE)) == 1


def _vote(kind: Kind, digest: bytes, member: int = 2, view: int = 0) -> Message:
    return sign(config_of(member), kind, vote_body(0, view, 1, digest))


@pytest.mark.parametrize("kind", [Kind.PREPARE, Kind.COMMIT])
def test_two_votes_of_a_member_in_one_view_are_evidence_once(kind: Kind) -> None:
    committee = Committee()
    first, second, third = (_vote(kind, digest * 32) for digest in (b"a", b"b", b"c"))
    forged = replace(second, signature=third.signature)
    for message in (first, forged, first, second, second, third, _vote(kind, b"b" * 32, view=1), second):
        committee.give(1, message)
    (evidence,) = committee.found(1, fx.Evidence)
    assert (evidence.member, evidence.message_a, evidence.message_b) == (2, first.encode(), second.encode())
    assert committee.replicas[1].dropped == {"forged": 1, "repeated vote": 4, "second vote": 1}


@pytest.mark.parametrize("kind", [Kind.PREPARE, Kind.COMMIT])
def test_the_first_vote_of_a_double_voter_counts(kind: Kind) -> None:
    committee = Committee()
    ballots = committee.replicas[1]._s.slot(1)
    for digest in (b"a", b"b"):
        committee.give(1, _vote(kind, digest * 32))
    counted = ballots.prepares if kind is Kind.PREPARE else ballots.commits
    assert [member for member, _ in counted.agreeing(0, b"a" * 32)] == [2]
    assert not counted.agreeing(0, b"b" * 32)


@pytest.mark.parametrize("views", [(0, 1, 3), (3, 1, 0)])
def test_votes_of_other_views_and_kinds_are_no_evidence(views: tuple[int, ...]) -> None:
    committee = Committee()
    for view, digest in zip(views, (b"a", b"b", b"c"), strict=True):
        for kind in (Kind.PREPARE, Kind.COMMIT):
            committee.give(3, _vote(kind, bytes([digest[0] + (kind is Kind.COMMIT)]) * 32, view=view))
    assert not committee.found(3, fx.Evidence)


def test_point_04_votes_are_durable_before_they_are_sent() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    for effects in committee.done:
        written = b""
        for effect in effects:
            if isinstance(effect, fx.Persist):
                written += effect.entry
            elif isinstance(effect, fx.Send):
                kind = Message.decode(effect.message).kind
                assert kind is Kind.STATUS or effect.message in written
