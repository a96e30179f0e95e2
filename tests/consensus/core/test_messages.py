"""A signature binds kind, channel, epoch and content; what is not one canonical message is dropped, never raised."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import signing
from consensus.core import messages
from consensus.core.bodies import Checkpoint, Endorsement, Proposal, ProposedBatch, Status, Vote, vote_body
from consensus.core.messages import Kind, Malformed, Message, VerifiedSignatures, is_authentic, sign
from schemas import codec
from tests.consensus.core.committee import Committee, body_of, config_of

DIGEST = bytes(range(32))


def test_message_survives_the_wire() -> None:
    message = sign(config_of(2), Kind.PREPARE, vote_body(0, 3, 9, DIGEST))
    again = Message.decode(message.encode())
    assert again == message
    assert Vote.decode(again.body) == Vote(0, 3, 9, DIGEST)
    assert is_authentic(config_of(0), again)


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.PRE_PREPARE, Kind.CHECKPOINT])
def test_point_02_signature_is_of_one_kind(kind: Kind) -> None:
    message = sign(config_of(2), Kind.PREPARE, vote_body(0, 3, 9, DIGEST))
    assert not is_authentic(config_of(0), replace(message, kind=kind))


@pytest.mark.parametrize("body", [vote_body(1, 3, 9, DIGEST), vote_body(0, 4, 9, DIGEST), vote_body(0, 3, 8, DIGEST)])
def test_point_02_signature_is_of_one_epoch_view_and_height(body: bytes) -> None:
    message = sign(config_of(2), Kind.PREPARE, vote_body(0, 3, 9, DIGEST))
    assert not is_authentic(config_of(0), replace(message, body=body))


def test_point_02_signature_is_of_one_channel_and_member() -> None:
    message = sign(config_of(2), Kind.PREPARE, vote_body(0, 3, 9, DIGEST))
    other = replace(config_of(0), channel=bytes(32))
    assert not is_authentic(other, message)
    assert not is_authentic(config_of(0), replace(message, member=1))
    assert not is_authentic(config_of(0), replace(message, member=-1))
    assert not is_authentic(config_of(0), replace(message, member=4))


def test_point_18_wrong_epoch_is_dropped() -> None:
    committee = Committee()
    committee.give(1, sign(config_of(0), Kind.COMMIT, vote_body(1, 0, 1, DIGEST)))
    assert committee.replicas[1].dropped == {"wrong epoch": 1}


def test_own_message_from_the_wire_is_dropped() -> None:
    committee = Committee()
    committee.give(1, sign(config_of(1), Kind.COMMIT, vote_body(0, 0, 1, DIGEST)))
    assert committee.replicas[1].dropped == {"own message": 1}


def test_forged_message_is_dropped() -> None:
    committee = Committee()
    committee.give(1, replace(sign(config_of(0), Kind.COMMIT, vote_body(0, 0, 1, DIGEST)), signature=bytes(64)))
    assert committee.replicas[1].dropped == {"forged": 1}


def test_negative_numbers_are_malformed() -> None:
    body = codec.encode_bare("consensus-vote", {"epoch": 0, "view": -1, "height": 1, "digest": DIGEST})
    with pytest.raises(Malformed):
        Vote.decode(body)


def test_proposal_digest_covers_epoch_height_time_batches_and_codes() -> None:
    batch = ProposedBatch("s", "t", 1, DIGEST, b"\0\0")
    proposal = Proposal(0, 1, 5, (batch,))
    others = [
        replace(proposal, epoch=1),
        replace(proposal, height=2),
        replace(proposal, time=6),
        replace(proposal, batches=()),
        replace(proposal, batches=(batch._replace(codes=b"\0\1"),)),
        replace(proposal, batches=(batch._replace(number=2),)),
    ]
    digests = {other.digest(bytes(32)) for other in [proposal, *others]}
    assert len(digests) == len(others) + 1
    assert proposal.digest(bytes(32)) != proposal.digest(DIGEST)


def test_signature_outcomes_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    monkeypatch.setattr(messages.signing, "verify", lambda *a: checked.append(a) or True)
    known = VerifiedSignatures(limit=4)
    for _ in range(3):
        assert known.check(b"k", "kind", bytes(32), b"message", b"s")
    assert len(checked) == 1
    for i in range(50):
        known.check(b"k", "kind", bytes(32), bytes([i]), b"s")
    assert len(known._known) <= 4


def test_a_signature_made_here_is_known_for_its_own_key_and_words_alone() -> None:
    known, own = VerifiedSignatures(), config_of(2)
    signature = signing.sign(own.vote_seed, "kind", own.channel, b"message")
    assert known.made(own.vote_seed, "kind", own.channel, b"message", signature) == signature
    assert known.check(own.members[2].vote, "kind", own.channel, b"message", signature)
    for key, kind, message in (
        (own.members[1].vote, "kind", b"message"),
        (own.members[2].vote, "other", b"message"),
        (own.members[2].vote, "kind", b"another"),
    ):
        assert not known.check(key, kind, own.channel, message, signature)


def test_whoever_signs_for_another_is_not_believed() -> None:
    pretender = replace(config_of(2), index=1)
    assert not is_authentic(config_of(0), sign(pretender, Kind.PREPARE, vote_body(0, 3, 9, DIGEST)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_point_18_any_bytes_are_dropped(data: bytes) -> None:
    committee = Committee()
    committee.do(0, committee.replicas[0].receive(data, committee.now))
    assert committee.replicas[0].dropped.total() == 1


BODIES = [
    (Kind.PREPARE, vote_body(0, 0, 1, DIGEST)),
    (Kind.CHECKPOINT, Checkpoint(0, 1, bytes(64)).encode()),
    (Kind.STATUS, Status(0, 0, False, True, True, 1, 0, 0, 0, (0, 1)).encode()),
    (Kind.ENDORSEMENT, Endorsement(0, ()).encode()),
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(Kind)), st.sampled_from([body for _, body in BODIES]) | st.binary(max_size=200), st.data())
def test_point_18_signed_nonsense_never_raises(kind: Kind, body: bytes, data: st.DataObject) -> None:
    """A member's key signs what the protocol never says: any kind, any body, any attachment."""
    attachment = data.draw(st.binary(max_size=100))
    committee = Committee()
    committee.give(0, sign(config_of(1), kind, body, attachment))
    assert not committee.replicas[0].is_halted


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_point_18_messages_of_a_real_run_with_a_byte_changed_never_raise(data: st.DataObject) -> None:
    wire = RECORDED or RECORDED.extend(_recorded()) or RECORDED
    message = data.draw(st.sampled_from(wire))
    changed = bytearray(message.body)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    committee = Committee()
    committee.give((message.member + 1) % 4, sign(config_of(message.member), message.kind, bytes(changed)))
    assert not any(replica.is_halted for replica in committee.replicas)


RECORDED: list[Message] = []


def _recorded() -> list[Message]:
    """One of each kind that a run with a view change sends."""
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    committee.down = {0}
    committee.propose(body_of("two"), 2)
    committee.pass_time(6_000)
    assert max(committee.heights()) == 2
    kinds: dict[Kind, Message] = {}
    for i in range(4):
        for kind in Kind:
            for message in committee.sent(i, kind)[:1]:
                kinds[kind] = message
    assert {Kind.VIEW_CHANGE, Kind.NEW_VIEW, Kind.COMMIT} < set(kinds)
    return list(kinds.values())
