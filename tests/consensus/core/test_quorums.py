"""Quorums are of distinct members, over one (view, height, digest), and the primary's pre-prepare counts once."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon.signing import sign_raw
from consensus.core import effects as fx
from consensus.core.bodies import Proposal, vote_body
from consensus.core.certificates import Certificate, MemberSignature, Prepared, is_certified, verified_prepared
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.quorum import Ballot, Ballots
from tests.consensus.core.committee import CHANNEL, Committee, body_of, config_of, seed, unless

PROPOSAL = Proposal(0, 5, 0, ())
DIGEST = PROPOSAL.digest(CHANNEL)


@pytest.mark.parametrize(("n", "f", "quorum"), [(4, 1, 3), (7, 2, 5), (10, 3, 7), (13, 4, 9), (5, 1, 4), (6, 1, 5)])
def test_two_quorums_share_an_honest_member(n: int, f: int, quorum: int) -> None:
    config = config_of(0, n)
    assert (config.f, config.quorum) == (f, quorum)
    assert 2 * config.quorum - n > config.f
    assert n - config.f >= config.quorum


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.sampled_from([b"a", b"b"])), max_size=40))
def test_ballots_count_each_member_once(votes: list[tuple[int, int, bytes]]) -> None:
    ballots = Ballots()
    first: dict[tuple[int, int], bytes] = {}
    for member, view, digest in votes:
        if ballots.add(member, Ballot(view, digest, b"")):
            first[member, view] = digest
    for view in range(3):
        for digest in (b"a", b"b"):
            members = [member for member, _ in ballots.agreeing(view, digest)]
            assert members == sorted(set(members))
            assert all(first[member, view] == digest for member in members)


def _prepared(members: list[int], view: int = 0, digest: bytes = DIGEST, opener: int = 0) -> Prepared:
    body = vote_body(0, view, 5, digest)
    opened = sign(config_of(opener), Kind.PRE_PREPARE, body).signature
    prepares = tuple(MemberSignature(i, sign(config_of(i), Kind.PREPARE, body).signature) for i in members)
    return Prepared(view, PROPOSAL.encode(), opened, prepares)


def test_prepared_certificate_of_primary_and_2f_backups_verifies() -> None:
    for members in combinations((1, 2, 3), 2):
        assert verified_prepared(config_of(3), _prepared(list(members))) == PROPOSAL


@pytest.mark.parametrize(
    "certificate",
    [
        _prepared([1]),
        _prepared([1, 1]),
        _prepared([2, 1]),
        _prepared([0, 1]),
        _prepared([1, 2, 3]),
        _prepared([1, 2], opener=1),
        _prepared([1, 2], digest=bytes(32)),
        _prepared([1, 2], view=1),
    ],
    ids=["2f", "repeated", "unsorted", "primary's prepare", "too many", "no primary", "other digest", "other view"],
)
def test_point_01_prepared_certificate_is_refused(certificate: Prepared) -> None:
    with pytest.raises(Malformed):
        verified_prepared(config_of(3), certificate)


def _certificate(members: list[int], note: bytes = b"note\n") -> Certificate:
    signatures = tuple(MemberSignature(i, sign_raw(seed(f"note {i}"), b"note\n")) for i in members)
    return Certificate(0, 1, note, signatures)


def test_point_17_stable_certificate_needs_exactly_a_quorum_of_distinct_members() -> None:
    assert is_certified(config_of(0), _certificate([0, 2, 3]))
    for members in ([0, 2], [0, 2, 2], [2, 0, 3], [0, 1, 2, 3]):
        assert not is_certified(config_of(0), _certificate(members))
    assert not is_certified(config_of(0), _certificate([0, 2, 3], note=b"another\n"))


def _votes_of(committee: Committee, kind: Kind, members: list[int]) -> list[Message]:
    return [committee.sent(i, kind)[0] for i in members]


def test_point_01_a_repeated_commit_is_no_quorum() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    commit = committee.sent(1, Kind.COMMIT)[0]
    for _ in range(5):
        committee.give(0, commit)
    assert committee.replicas[0].executed == 0
    committee.give(0, committee.sent(2, Kind.COMMIT)[0])
    assert committee.replicas[0].executed == 1


def test_point_01_the_primary_does_not_prepare_twice() -> None:
    """Pre-prepare, own prepare and a prepare signed by the primary are two members, not three."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.PREPARE))
    opened = committee.sent(0, Kind.PRE_PREPARE)[0]
    committee.give(1, sign(config_of(0), Kind.PREPARE, opened.body))
    assert not committee.sent(1, Kind.COMMIT)
    assert committee.replicas[1].dropped["not this member's vote"] == 1
    committee.give(1, committee.sent(2, Kind.PREPARE)[0])
    assert committee.sent(1, Kind.COMMIT)


def test_point_01_mixed_digests_are_no_quorum() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    for i in (2, 3):
        committee.give(0, sign(config_of(i), Kind.COMMIT, vote_body(0, 0, 1, bytes(32))))
    committee.give(0, committee.sent(1, Kind.COMMIT)[0])
    assert committee.replicas[0].executed == 0


def test_point_01_votes_of_two_views_are_no_quorum() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(unless(Kind.COMMIT))
    digest = committee.sent(1, Kind.COMMIT)[0].body[-32:]
    for i in (2, 3):
        committee.give(0, sign(config_of(i), Kind.COMMIT, vote_body(0, 1, 1, digest)))
    committee.give(0, committee.sent(1, Kind.COMMIT)[0])
    assert committee.replicas[0].executed == 0


def test_certificate_has_exactly_a_quorum_sorted_by_member() -> None:
    committee = Committee(7)
    committee.propose(body_of("one"))
    committee.settle()
    for i in range(7):
        (certified,) = committee.found(i, fx.Certified)
        members = [member for member, _ in certified.signatures]
        assert len(members) == 5 and members == sorted(set(members))
