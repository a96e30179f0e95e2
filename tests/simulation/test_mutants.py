"""The simulator proves itself: bugs put back on purpose are found within a stated number of seeds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.core import (
    certificates,
    checkpoints,
    endorsement_votes,
    messages,
    new_view,
    normal,
    pool,
    quorum,
    replica,
    state,
    view_change,
)
from consensus.core import effects as fx
from consensus.core.bodies import HEIGHT_LIMIT, Vote
from consensus.core.config import Config, MemberKeys
from consensus.core.messages import Kind, Message
from consensus.core.state import State
from consensus.member.votelog import DamagedVoteLog, whole
from consensus.simulator import Scenario, drawn, play, storage
from consensus.simulator.application import Ledger
from consensus.simulator.byzantine import DoubleJudge, Equivocator
from consensus.simulator.liars import Ghost
from consensus.simulator.member import Member
from consensus.simulator.submitters import two_batches_of_one_number


def _found(scenarios: Callable[[int], Scenario], within: int) -> str:
    """The first failure within a number of seeds; empty if none."""
    for seed in range(within):
        failure = play(scenarios(seed)).failure
        assert not failure or failure.startswith("Violation"), failure
        if failure:
            return failure
    return ""


def _equivocating(seed: int) -> Scenario:
    return replace(
        drawn(seed), members=4, batches=6, faults_until=3_000, liars=(Equivocator,), silenced=(), contested=0
    )


def _judging_doubly(seed: int) -> Scenario:
    return Scenario(seed, members=7, batches=1, faults_until=1_000, liars=(DoubleJudge, DoubleJudge), contested=2)


def _crashing(seed: int) -> Scenario:
    return Scenario(seed, batches=6, faults_until=2_000, crashes=8, loss=0.05)


def _losing(seed: int) -> Scenario:
    return Scenario(seed, batches=8, faults_until=4_000, loss=0.3, partitions=6)


def _damaging(seed: int) -> Scenario:
    return Scenario(seed, batches=6, faults_until=2_000, damaged_logs=1)


def _rivalling(seed: int) -> Scenario:
    return Scenario(seed, batches=2, faults_until=800, rogues=(two_batches_of_one_number,))


def _haunted(seed: int) -> Scenario:
    return Scenario(seed, batches=4, faults_until=1_500, liars=(Ghost,), changes=("replace",))


def _changing(seed: int) -> Scenario:
    return Scenario(seed, batches=8, faults_until=1_500, straggling=0.1, changes=("rotate",))


@pytest.mark.parametrize(
    "scenarios", [_haunted, _changing, _equivocating, _judging_doubly, _crashing, _losing, _damaging, _rivalling]
)
def test_without_a_bug_nothing_is_found(scenarios: Callable[[int], Scenario]) -> None:
    assert _found(scenarios, within=4) == ""


def test_a_quorum_of_2f_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "quorum", property(lambda config: 2 * config.f))
    assert _found(_equivocating, within=5)


def test_a_vote_sent_before_it_is_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def do(member: Member, effects: list[fx.Effect]) -> None:
        for effect in effects:
            member.world.trace(member.config.index, effect)
            if isinstance(effect, fx.Persist):
                member.store.append(effect.entry)
            elif isinstance(effect, fx.Send | fx.Certified):
                member.release(effect)
            else:
                member._act(effect)
        member.world.after(3, member, member.sync)

    monkeypatch.setattr(Member, "do", do)
    assert "before it is durable" in _found(_crashing, within=1)


def test_a_prepared_certificate_dropped_in_a_view_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_change, "_prepared", lambda s: ())
    assert _found(_losing, within=60)


def test_a_repeated_signer_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "are_distinct", lambda members: bool(list(members)))
    assert _found(_equivocating, within=60)


def test_a_repeated_vote_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    add = quorum.Ballots.add
    refusal = normal.vote_refusal

    def lenient(s: State, message: Message, vote: Vote) -> str:
        reason = refusal(s, message, vote)
        return "" if reason == "repeated vote" else reason

    def every(ballots: quorum.Ballots, member: int, ballot: quorum.Ballot) -> bool:
        return add(ballots, member, ballot) or add(ballots, member + 1_000, ballot)

    for kind in (Kind.PREPARE, Kind.COMMIT):
        monkeypatch.setitem(replica.RULES, kind, replica.RULES[kind]._replace(refusal=lenient))
    monkeypatch.setattr(quorum.Ballots, "add", every)
    assert _found(_equivocating, within=60)


def test_a_vote_log_that_is_not_held_against_its_digests_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(data: bytes, name: str) -> tuple[list[bytes], bytes, int]:
        try:
            return whole(data, name)
        except DamagedVoteLog:
            return [], b"", 0

    monkeypatch.setattr(storage, "whole", lenient)
    assert "damaged vote log" in _found(_damaging, within=5)


def test_a_number_that_is_taken_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stream whose submitter signs two batches of one number, both are recorded."""
    everything = lambda batches, head_of, heads: tuple(batches)  # noqa: E731
    monkeypatch.setattr(pool.Pool, "refusal", lambda held, batch, head: "")
    for module in (pool, normal, state, checkpoints):
        monkeypatch.setattr(module, "fitting", everything, raising=False)
    monkeypatch.setattr(pool.Pool, "passed", lambda held, head_of: [])
    assert "recorded twice" in _found(_rivalling, within=5)


def test_a_verdict_by_more_than_half_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endorsement_votes, "decision_quorum", lambda config: config.n // 2 + 1)
    assert "two decisions" in _found(_judging_doubly, within=10)


def test_a_retired_key_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    committees: dict[tuple[MemberKeys, ...], None] = {}

    def is_signed(config: Config, kind: Kind, member: int, body: bytes, signature: bytes) -> bool:
        committees.setdefault(config.members)
        keys = [members[member].vote for members in committees if member < len(members)]
        return any(messages.signatures.check(key, f"consensus/{kind}", config.channel, body, signature) for key in keys)

    for module in (messages, quorum, new_view):
        monkeypatch.setattr(module, "is_signed", is_signed)
    assert "honest member" in _found(_haunted, within=10)


def test_members_that_go_on_beyond_the_end_of_their_epoch_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "end", property(lambda s: HEIGHT_LIMIT))
    assert _found(_changing, within=5)


def test_an_end_that_comes_before_all_know_of_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Ledger._change

    def soon(ledger: Ledger, block: fx.OrderedBlock, body: bytes) -> None:
        known = ledger.epochs
        change(ledger, block, body)
        ledger.epochs = known + tuple(replace(epoch, base=block.height + 1) for epoch in ledger.epochs[len(known) :])

    monkeypatch.setattr(Ledger, "_change", soon)
    assert _found(_changing, within=20)
