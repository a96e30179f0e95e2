"""Points that no other file here has: evidence, orders of arrival, signatures, a wire that lies, the checkers."""

import os
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core import effects as fx
from consensus.core.bodies import ProposedBatch, vote_body
from consensus.core.messages import Kind, Message, is_authentic, sign
from consensus.core.votelog import message_entry
from consensus.simulator.checkers import Checkers, Violation
from tests.consensus.core.committee import Committee, body_of, config_of

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group of Ed25519."""


def test_point_03_an_honest_primary_is_never_convicted_by_what_a_restart_makes_it_send_again() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle(lambda sender, to, message: message.kind is not Kind.PREPARE)
    committee.restart(0)
    committee.offer(0, body_of("one"))
    committee.ms += 100
    committee.pass_time(1_500)
    assert not any(committee.found(i, fx.Evidence) for i in range(4))
    assert committee.heights() == [1] * 4


def test_point_13_a_batch_that_was_applied_is_refused_before_and_after_a_restart() -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    committee.settle()
    for _ in range(2):
        committee.offer(2, body_of("one"))
        committee.offer(2, body_of("another of its number"))
        assert committee.replicas[2].in_pool == 0
        assert committee.replicas[2].dropped["batch refused: batch number"] == 2
        committee.restart(2)


DETERMINISM = """
from consensus.simulator import run
from tests.consensus.core.committee import Committee, body_of
committee = Committee()
for submitter in "abcdefgh":
    committee.propose(body_of(submitter), 1, submitter)
committee.settle()
print(committee.ledgers[3].tree.root(), run(3).trace)
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_point_14_another_hash_seed_or_locale_gives_the_same_run(locale: str) -> None:
    traces = set()
    for hash_seed in ("0", "4711"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "LC_ALL": locale}
        run = subprocess.run([sys.executable, "-c", DETERMINISM], env=environment, capture_output=True, check=True)
        traces.add(run.stdout)
    assert len(traces) == 1


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_point_14_any_order_of_arrival_gives_the_same_note(rng: Random) -> None:
    committee = Committee()
    committee.propose(body_of("one"))
    waiting = list(committee.wire)
    committee.wire.clear()
    while waiting:
        _, to, data = waiting.pop(rng.randrange(len(waiting)))
        committee.do(to, committee.replicas[to].receive(data, committee.now))
        waiting.extend(committee.wire)
        committee.wire.clear()
    assert {committee.found(i, fx.Certified)[0].note for i in range(4)} == {committee.ledgers[0].blocks[1].note}


def _other_scalar(signature: bytes) -> bytes:
    """The same signature with its scalar increased by the order of the group: some verifiers take it."""
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + scalar.to_bytes(32, "little")


def test_point_15_what_some_verifiers_take_is_refused_everywhere() -> None:
    message = sign(config_of(2), Kind.PREPARE, vote_body(0, 0, 1, bytes(32)))
    low_order = (b"\1" + bytes(31)) + bytes(32)
    for signature in (_other_scalar(message.signature), low_order, message.signature[:63], message.signature + b"\0"):
        assert not is_authentic(config_of(0), replace(message, signature=signature))
    keys = list(config_of(0).members)
    keys[2] = keys[2]._replace(vote=b"\1" + bytes(31))
    lenient = replace(config_of(0), members=tuple(keys))
    assert not is_authentic(lenient, replace(message, signature=low_order))


def test_point_19_a_wire_that_drops_reorders_repeats_and_truncates_changes_nothing() -> None:
    """Identity is in the signature: the core is told neither key nor partition nor place."""
    committee = Committee()
    rng = Random(19)
    for number in range(1, 5):
        committee.propose(body_of(f"batch {number}"), number)
        for _ in range(400):
            if committee.wire:
                _lie(committee, rng)
    committee.pass_time(20_000, step=50)
    assert set(committee.heights()) == {max(committee.heights())}
    assert committee.ledgers[0].stream_head("power", "a") == 4
    assert len({ledger.tree.root() for ledger in committee.ledgers}) == 1
    assert all(replica.dropped["malformed"] for replica in committee.replicas)


def _lie(committee: Committee, rng: Random) -> None:
    """One message of the wire: delivered to whom it was not sent, cut, twice, later, or not at all."""
    place = rng.randrange(len(committee.wire))
    _, to, data = committee.wire[place]
    del committee.wire[place]
    receivers = rng.choice(([to], [to, to], list(range(committee.n)), []))
    for receiver in receivers:
        kept = data if rng.random() < 0.8 else data[: rng.randrange(len(data))]
        committee.do(receiver, committee.replicas[receiver].receive(kept, committee.now))


def _block(height: int, number: int, digest: bytes = bytes(32)) -> fx.OrderedBlock:
    return fx.OrderedBlock(0, height, 0, (ProposedBatch("power", "a", number, digest, b"\0\0"),))


@pytest.mark.parametrize(
    "second", [_block(1, 1, b"\1" * 32), _block(1, 2), _block(2, 1)], ids=["other batch", "other number", "twice"]
)
def test_point_21_two_blocks_of_a_height_or_a_record_twice_are_seen(second: fx.OrderedBlock) -> None:
    checkers = Checkers(config_of(0))
    checkers.executed(_block(1, 1))
    checkers.executed(_block(1, 1))
    with pytest.raises(Violation):
        checkers.executed(second)


def test_point_21_a_vote_that_was_not_durable_and_a_second_vote_are_seen() -> None:
    checkers = Checkers(config_of(0))
    first, second = (sign(config_of(1), Kind.COMMIT, vote_body(0, 0, 1, digest)) for digest in (bytes(32), b"\1" * 32))
    with pytest.raises(Violation, match="before it is durable"):
        checkers.transmitted(first, set())
    checkers.transmitted(first, _entries(first))
    with pytest.raises(Violation, match="signed two"):
        checkers.transmitted(second, _entries(second))


def _entries(message: Message) -> set[bytes]:
    return {message_entry(message)}
