"""A replica in mid-flight is told damaged messages, some of them correctly signed: it drops them and goes on."""

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core import bodies
from consensus.core import effects as fx
from consensus.core.bodies import ProposedBatch, Verdict
from consensus.core.certificates import Certificate, MemberSignature
from consensus.core.endorsement_votes import STRANGERS
from consensus.core.messages import Kind, Malformed, Message, sign
from consensus.core.quorum import Ballots
from consensus.core.replica import MESSAGE_LIMIT, Replica
from tests.consensus.core.committee import Committee, body_of, unless
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import damaged
from tests.fuzz.traffic import recorded

LIAR = 1
HONEST = (0, 2, 3)
TOLD = 3
FLOOD = 3_000
FAT = 100_000
"""Bytes that nobody needs."""
NUMBER = 20
"""Of the batch that is in flight."""


def _proposed() -> Committee:
    """A height is prepared everywhere and committed nowhere."""
    committee: Committee = pickle.loads(recorded().ended)
    committee.propose(body_of("in flight"), NUMBER)
    committee.settle(unless(Kind.COMMIT))
    return committee


def _between_views() -> Committee:
    """The same, and all have left the view, but nobody has heard so of another."""
    committee = _proposed()
    for member in range(committee.n):
        committee.do(member, committee.replicas[member].timer("progress", committee.now))
    committee.pass_time(6_000, lambda sender, to, message: message.kind in (Kind.STATUS, Kind.ENDORSEMENT))
    assert all(replica.is_changing for replica in committee.replicas)
    return committee


STARTS: dict[str, Callable[[], Committee]] = {"in a view": _proposed, "between views": _between_views}


@st.composite
def _signed(draw: st.DrawFn) -> bytes:
    """A real message with a damaged body, attachment or kind, signed by the liar's key."""
    message = Message.decode(draw(st.sampled_from(recorded().messages)))
    pool = [Message.decode(data).body for data in recorded().messages if Message.decode(data).kind is message.kind]
    body = draw(damaged(pool))
    attachment = draw(damaged([message.attachment])) if message.attachment else b""
    kind = draw(st.sampled_from([message.kind] * 9 + list(Kind)))
    return sign(Committee().configs[LIAR], kind, body, attachment).encode()


MESSAGES = st.lists(st.one_of(damaged(recorded().messages), _signed()), min_size=1, max_size=12)


def _is_message(data: bytes) -> bool:
    try:
        Message.decode(data)
    except Malformed:
        return False
    return True


@pytest.mark.parametrize("start", STARTS)
def test_damaged_messages_are_dropped_and_counted_and_the_committee_goes_on(start: str) -> None:
    begun = pickle.dumps(STARTS[start]())

    @given(MESSAGES)
    @PROFILE
    def holds(messages: list[bytes]) -> None:
        committee: Committee = pickle.loads(begun)
        replica = committee.replicas[TOLD]
        before = replica.dropped["malformed"]
        for data in messages:
            committee.do(TOLD, replica.receive(data, committee.now))
        assert replica.dropped["malformed"] - before >= sum(not _is_message(data) for data in messages)
        _goes_on(committee)

    holds()


def _goes_on(committee: Committee) -> None:
    """What was in flight and one batch more are applied alike by the honest members; nobody honest is convicted."""
    committee.pass_time(8_000, step=50)
    committee.propose(body_of("afterwards"), NUMBER + 1)
    for _ in range(4):
        committee.pass_time(8_000, step=50)
        if all(committee.ledgers[member].stream_head("power", "a") == NUMBER + 1 for member in HONEST):
            break
    for member in HONEST:
        assert committee.ledgers[member].stream_head("power", "a") == NUMBER + 1
        assert not committee.found(member, fx.Divergence)
        assert all(effect.member == LIAR for effect in committee.found(member, fx.Evidence))
    assert len({committee.ledgers[member].tree.root() for member in HONEST}) == 1


def _items(held: Any) -> int:
    """How many things a replica's state holds, however deep."""
    if isinstance(held, dict):
        return len(held) + sum(_items(value) for value in held.values())
    if isinstance(held, list | set | tuple | frozenset):
        return len(held) + sum(_items(value) for value in held)
    if isinstance(held, Ballots):
        return _items(held._latest)
    if is_dataclass(held):
        return sum(_items(getattr(held, field.name)) for field in fields(held))
    return 0


def _held(replica: Replica) -> int:
    return _items({name: value for name, value in vars(replica._s).items() if name not in ("config", "application")})


def _any_body(rng: Random) -> tuple[Kind, bodies.Body]:
    """A well-formed body with numbers and digests as a liar would choose them: near, far and never the same."""
    number = rng.choice([rng.randrange(64), rng.randrange(1 << 61)])
    view = rng.choice([rng.randrange(8), rng.randrange(1 << 61)])
    digest, signature = rng.randbytes(32), rng.randbytes(64)
    vote = bodies.Vote(0, view, number, digest)
    made: list[tuple[Kind, bodies.Body]] = [
        (Kind.ENDORSEMENT, bodies.Endorsement(0, tuple(Verdict(rng.randbytes(32), 1, b"\x80", ()) for _ in range(9)))),
        *((kind, vote) for kind in bodies.VOTES),
        (Kind.CHECKPOINT, bodies.Checkpoint(0, number, signature)),
        (Kind.VIEW_CHANGE, bodies.ViewChange(0, view, b"", (digest,) * rng.randrange(3))),
        (Kind.NEW_VIEW, bodies.NewView(0, view, (digest,), (bodies.OpenedHeight(number, digest, signature),))),
        (
            Kind.STATUS,
            bodies.Status(0, view, False, True, True, number, number, number, number, (3,) * rng.randrange(99)),
        ),
        (Kind.CERTIFICATE, Certificate(0, number, digest, (MemberSignature(LIAR, signature),))),
        (Kind.BLOCK_REQUEST, bodies.BlockRequest(0, number)),
        (Kind.BLOCKS, bodies.Blocks(0, (digest,))),
        (Kind.BATCH_REQUEST, bodies.BatchRequest(0, digest)),
        (Kind.BATCH_BODY, bodies.BatchBody(0, digest, signature)),
        (Kind.RECALL, bodies.Recall(0, number, rng.choice([0, number]))),
        (Kind.RECALLED, bodies.Recalled(0, rng.randrange(4), number, digest, (digest,))),
    ]
    return rng.choice(made)


def test_the_flood_is_of_every_kind() -> None:
    assert {_any_body(Random(seed))[0] for seed in range(400)} == set(Kind)


def _proposal(rng: Random, view: int) -> tuple[bytes, bytes]:
    """A pre-prepare of batches that nobody has: body and attachment."""
    batches = tuple(ProposedBatch("power", "a", n, rng.randbytes(32), b"\0\0") for n in range(rng.randrange(9)))
    proposal = bodies.Proposal(0, rng.randrange(64), 0, batches)
    vote = bodies.Vote(0, view, proposal.height, proposal.digest(Committee().configs[LIAR].channel))
    return vote.encode(), bodies.Justified(proposal.encode(), ()).encode()


@pytest.mark.parametrize("start", STARTS)
def test_a_flood_of_signed_messages_fills_a_bounded_memory(start: str) -> None:
    committee = STARTS[start]()
    replica, config, rng = committee.replicas[TOLD], committee.configs[LIAR], Random(start)
    before, fills = _held(replica), []
    for _ in range(2):
        for _ in range(FLOOD):
            kind, body = _any_body(rng)
            committee.do(TOLD, replica.receive(sign(config, kind, body.encode()).encode(), committee.now))
            if rng.randrange(10) == 0:
                opened, attached = _proposal(rng, replica.view)
                message = sign(config, Kind.PRE_PREPARE, opened, attached)
                committee.do(TOLD, replica.receive(message.encode(), committee.now))
        fills.append(_held(replica) - before)
    # a stranger's tally holds its verdict and the member that gave it: 5 items
    assert fills[0] < 10 * STRANGERS
    assert fills[1] < fills[0] + STRANGERS
    assert sum(replica.dropped.values()) > FLOOD
    assert len(replica.dropped) < 64
    _goes_on(committee)


@pytest.mark.parametrize("start", STARTS)
def test_what_a_signature_does_not_cover_or_bound_is_not_kept(start: str) -> None:
    """An attachment that nothing asks for, by whoever carries the message, and a status of endless progress."""
    replica = STARTS[start]().replicas[TOLD]
    before = len(pickle.dumps(replica))
    for kind, body in (_any_body(Random(seed)) for seed in range(200)):
        message = sign(Committee().configs[LIAR], kind, body.encode(), bytes(FAT))
        replica.receive(message.encode(), replica._s.now)
    for data in recorded().messages:
        message = Message.decode(data)
        if message.kind is not Kind.PRE_PREPARE:
            fat = Message(message.kind, message.member, message.body, message.signature, bytes(FAT))
            replica.receive(fat.encode(), replica._s.now)
    endless = bodies.Status(0, 0, False, False, False, 1 << 60, 0, 0, 0, (1,) * FAT)
    replica.receive(sign(Committee().configs[LIAR], Kind.STATUS, endless.encode()).encode(), replica._s.now)
    assert len(pickle.dumps(replica)) < before + FAT


def test_what_is_too_long_is_dropped_unread() -> None:
    replica = _proposed().replicas[TOLD]
    assert replica.receive(bytes(MESSAGE_LIMIT + 1), replica._s.now) == []
    assert replica.dropped["oversize"] == 1
