"""The evidence half: bitmaps that say one thing, decisions that nobody can choose, evidence against double verdicts."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core import effects as fx
from consensus.core.bodies import Endorsement, Verdict
from consensus.core.endorsements import codes_of, decide, verdict_of
from consensus.core.messages import Kind, Malformed, Message, sign
from tests.consensus.core.committee import Committee, body_of, config_of, unless

PASS, FAIL = b"\0\0", b"\0\7"


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=70))
def test_verdict_says_its_codes(numbers: list[int]) -> None:
    codes = b"".join(number.to_bytes(2, "big") for number in numbers)
    verdict = verdict_of(bytes(32), codes)
    assert codes_of(verdict, 100) == codes
    assert len(verdict.failures) == sum(number != 0 for number in numbers)


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(bytes(32), 0, b"", ()),
        Verdict(bytes(32), 101, b"\xff" * 13, ()),
        Verdict(bytes(32), 3, b"\xff", ()),
        Verdict(bytes(32), 3, b"\xe0\x00", ()),
        Verdict(bytes(32), 3, b"\xc0", ()),
        Verdict(bytes(32), 3, b"\xe0", (7,)),
        Verdict(bytes(32), 3, b"\xc0", (0,)),
        Verdict(bytes(32), 3, b"\xc0", (0x10000,)),
    ],
    ids=["none", "too many", "padding", "length", "no reason", "spare reason", "reason 0", "reason too large"],
)
def test_other_bytes_for_a_verdict_are_refused(verdict: Verdict) -> None:
    with pytest.raises(Malformed):
        codes_of(verdict, 100)


def test_each_record_needs_a_quorum_for_the_same_code() -> None:
    assert decide([PASS + FAIL] * 5, 2, 5) == PASS + FAIL
    assert decide([PASS + FAIL] * 4 + [FAIL + FAIL], 2, 5) is None
    crosswise = [PASS + FAIL] * 5 + [PASS + PASS, FAIL + FAIL]
    assert decide(crosswise, 2, 5) == PASS + FAIL
    mixed = [PASS + FAIL, PASS + FAIL, PASS + FAIL, FAIL + FAIL, PASS + PASS, PASS + FAIL, FAIL + FAIL]
    assert decide(mixed, 2, 5) == PASS + FAIL
    assert decide([PASS] * 5, 2, 5) is None


@given(st.lists(st.sampled_from([PASS, FAIL, b"\0\1"]), min_size=5, max_size=5), st.lists(st.booleans(), min_size=14))
def test_two_liars_never_let_two_decisions_stand(honest: list[bytes], told: list[bool]) -> None:
    """Whatever five honest members say of a record, two that sign everything can't decide it in two ways."""
    decisions = set()
    for lie in (PASS, FAIL, b"\0\1"):
        for left_out in range(len(told)):
            heard = [codes for i, codes in enumerate(honest) if i != left_out % 6]
            decisions.add(decide([*heard, lie, lie], 1, 5))
    assert len(decisions - {None}) <= 1


def test_verdicts_that_come_close_together_share_a_signature() -> None:
    committee = Committee(endorse_delay_ms=5)
    digests = [committee.offer(1, body_of(f"batch {i}"), i) for i in range(1, 5)]
    for digest in digests:
        committee.judge(1, digest)
    assert len(committee.sent(1, Kind.ENDORSEMENT)) == 1
    committee.pass_time(10)
    bundles = [Endorsement.decode(message.body) for message in committee.sent(1, Kind.ENDORSEMENT)]
    assert [len(bundle.verdicts) for bundle in bundles] == [1, 3]


def test_verdicts_wait_longer_behind_a_queue_that_fills_the_window() -> None:
    committee = Committee(endorse_delay_ms=5, batch_delay_ms=50, batch_records=1, window=1)
    for member in range(4):
        committee.judge(member, committee.offer(member, body_of("first", 2)))
    committee.settle(unless(Kind.PRE_PREPARE))
    for number in (2, 3):
        committee.judge(1, committee.offer(1, body_of(f"batch {number}"), number))
    committee.pass_time(40, unless(Kind.PRE_PREPARE))
    assert len(committee.sent(1, Kind.ENDORSEMENT)) == 1
    committee.pass_time(20, unless(Kind.PRE_PREPARE))
    assert [len(Endorsement.decode(m.body).verdicts) for m in committee.sent(1, Kind.ENDORSEMENT)] == [1, 2]


def test_an_endorsement_that_comes_again_is_not_even_verified() -> None:
    committee = Committee()
    message = _verdict(1, committee.offer(0, body_of("one", 1)), PASS)
    committee.give(0, message)
    committee.give(0, message)
    assert committee.replicas[0].dropped == {"repeated endorsement": 1}


def test_endorsements_are_not_sent_again_while_their_queue_moves() -> None:
    committee = Committee(status_ms=500, view_timeout_ms=2_000)
    digests = [committee.propose(body_of(f"batch {number}", 1), number) for number in (1, 2)]
    lossy = unless(Kind.PRE_PREPARE)
    committee.settle(lossy)
    committee.pass_time(400, lossy)
    pool = committee.replicas[1]._s.pool
    pool.applied(digests[:1], due_ms=committee.ms + 2_000)

    def given() -> int:
        said = [Endorsement.decode(message.body).verdicts for message in committee.sent(1, Kind.ENDORSEMENT)]
        return sum(verdict.batch == digests[1] for verdicts in said for verdict in verdicts)

    committee.pass_time(450, lossy)
    assert given() == 1
    committee.pass_time(500, lossy)
    assert given() == 2


def test_an_idle_member_endorses_at_once() -> None:
    """However long verdicts may gather while others are under way."""
    committee = Committee(endorse_delay_ms=1_000)
    for number in range(1, 4):
        committee.propose(body_of(f"batch {number}"), number)
        committee.settle()
        assert committee.heights() == [number] * 4
    committee.propose(body_of("batch 4"), 4)
    committee.propose(body_of("batch 5"), 5)
    committee.settle()
    assert committee.heights() == [4] * 4
    committee.pass_time(1_100)
    assert committee.heights() == [5] * 4


def test_failed_records_are_ordered_with_their_reason() -> None:
    committee = Committee()
    body = b"\x01" + bytes(7) + body_of("good", 1)
    committee.propose(body)
    committee.settle()
    (certified,) = committee.found(2, fx.Certified)
    assert certified.block.batches[0].codes == FAIL + PASS


def test_a_split_committee_orders_nothing() -> None:
    committee = Committee(7)
    for i in range(7):
        digest = committee.offer(i, body_of("contested", 1))
        committee.judge(i, digest, PASS if i < 4 else FAIL)
    committee.settle()
    assert committee.heights() == [0] * 7
    assert all(replica.decided(digest) is None for replica in committee.replicas)


def _verdict(member: int, digest: bytes, codes: bytes) -> Message:
    return sign(config_of(member), Kind.ENDORSEMENT, Endorsement(0, (verdict_of(digest, codes),)).encode())


def test_two_verdicts_of_one_member_are_evidence_once() -> None:
    committee = Committee()
    digest = committee.offer(0, body_of("one", 1))
    first, second = _verdict(3, digest, PASS), _verdict(3, digest, FAIL)
    for message in (first, first, second, second):
        committee.give(0, message)
    (evidence,) = committee.found(0, fx.Evidence)
    assert (evidence.member, evidence.message_a, evidence.message_b) == (3, first.encode(), second.encode())


def test_a_verdict_against_the_decision_is_shown_once_its_block_is_certified() -> None:
    """Also with a window of heights in flight: what was said of a batch is let go before its height is certified."""
    committee = Committee(7, batch_records=1)
    for number in range(1, 4):
        body = body_of(f"batch {number}", 1)
        for i in range(7):
            digest = committee.offer(i, body, number)
            committee.judge(i, digest, FAIL if i == 6 else PASS)
    committee.settle(unless(Kind.CHECKPOINT))
    assert not committee.found(0, fx.Dissent)
    committee.pass_time(3_000)
    assert committee.heights() == [3] * 7
    shown = [(d.height, d.batch, d.member) for d in committee.found(0, fx.Dissent)]
    assert [(height, member) for height, _, member in shown] == [(1, 6), (2, 6), (3, 6)]
    certified = {c.height: c.block.batches[0].digest for c in committee.found(0, fx.Certified)}
    assert {height: batch for height, batch, _ in shown} == certified
    kinds = [type(e) for e in committee.done[0] if isinstance(e, fx.Certified | fx.Dissent)]
    assert kinds == [fx.Certified, fx.Dissent] * 3


def test_a_verdict_on_another_number_of_records_is_no_dissent() -> None:
    """It says nothing of any leaf; nothing can be shown of it."""
    committee = Committee(7)
    digest = sha256(body_of("one", 1)).digest()
    for i in range(6):
        committee.give(
            i, sign(config_of(6, 7), Kind.ENDORSEMENT, Endorsement(0, (verdict_of(digest, FAIL * 2),)).encode())
        )
        committee.judge(i, committee.offer(i, body_of("one", 1)), PASS)
    committee.settle()
    assert committee.heights() == [1] * 6 + [0]
    assert not committee.found(0, fx.Dissent)


def test_the_first_verdict_of_a_double_judge_counts() -> None:
    committee = Committee()
    digest = committee.offer(0, body_of("one", 1))
    for message in (_verdict(1, digest, PASS), _verdict(2, digest, FAIL), _verdict(2, digest, PASS)):
        committee.give(0, message)
    committee.judge(0, digest, PASS)
    assert committee.replicas[0].decided(digest) is None


def test_an_own_verdict_is_never_changed() -> None:
    committee = Committee()
    digest = committee.offer(0, body_of("one", 1))
    committee.judge(0, digest, PASS)
    committee.judge(0, digest, FAIL)
    sent = committee.sent(0, Kind.ENDORSEMENT)
    assert len(sent) == 2 and sent[0] == sent[1]


def test_endorsements_of_unknown_batches_are_bounded() -> None:
    committee = Committee()
    for i in range(3):
        verdicts = tuple(verdict_of((256 * i + j).to_bytes(32, "big"), PASS) for j in range(256))
        committee.give(0, sign(config_of(1), Kind.ENDORSEMENT, Endorsement(0, verdicts).encode()))
    state = committee.replicas[0]._s
    assert len(state.tallies) == 512
    assert committee.replicas[0].dropped["endorsement of an unknown batch"] == 256


def test_a_batch_that_left_undecided_and_comes_again_is_endorsed_as_before() -> None:
    committee = Committee(undecided_ms=5_000)
    digest = committee.offer(0, body_of("one", 1))
    committee.judge(0, digest, PASS)
    committee.pass_time(8_000, step=100)
    assert committee.found(0, fx.BatchDone) and committee.replicas[0].in_pool == 0
    for i in range(4):
        committee.judge(i, committee.offer(i, body_of("one", 1)), PASS)
    committee.settle()
    assert committee.heights() == [1] * 4
    assert len({message.body for message in committee.sent(0, Kind.ENDORSEMENT)}) == 1
