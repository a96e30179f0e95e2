"""The claims of the committee's design, as named scenarios of seven members."""

from dataclasses import replace
from typing import Any

import pytest

from consensus.core import effects as fx
from consensus.log import evidence
from consensus.log.evidence import Known
from consensus.log.genesis import Genesis
from consensus.simulator import Scenario, play
from consensus.simulator.byzantine import DoubleJudge, Equivocator, SelectiveSender, StateLiar
from consensus.simulator.world import World
from tests import small

SEVEN = Scenario(seed=1, members=7, batches=5, faults_until=2_000)


def _played(scenario: Scenario) -> World:
    world = World(scenario)
    world.play()
    return world


def test_two_crashed_members_stop_nothing() -> None:
    world = _played(Scenario(**(vars(SEVEN) | {"silenced": (0, 1)})))
    assert {member.replica.certified for member in world.honest(up=True)} != {0}


@pytest.mark.parametrize(
    "liars", [(Equivocator, Equivocator), (SelectiveSender, DoubleJudge), (StateLiar, Equivocator)]
)
def test_two_malicious_members_stop_nothing(liars: tuple[type, ...]) -> None:
    assert play(Scenario(**(vars(SEVEN) | {"liars": liars, "crashes": 2}))).failure == ""


def test_two_crashed_and_two_malicious_lose_no_safety() -> None:
    """Three honest members are left, and a quorum is five: nothing may be lost, but nothing need go on."""
    for seed in range(5):
        scenario = Scenario(**(vars(SEVEN) | {"seed": seed, "liars": (Equivocator, Equivocator), "silenced": (5, 6)}))
        world = World(scenario)
        world._schedule()
        while world.now < 20_000:
            world.step()


def test_a_double_judge_is_convicted_by_its_own_signatures_when_a_proposal_shows_the_other_verdict() -> None:
    world = World(Scenario(seed=5, liars=(DoubleJudge,), batches=4, faults_until=2_000))
    shown: list[fx.Evidence] = []
    trace = world.trace

    def watch(member: int, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Evidence):
            shown.append(effect)
        trace(member, effect)

    world.trace = watch  # type: ignore[method-assign]
    world.play()
    assert {(evidence.kind, evidence.member) for evidence in shown} == {("two verdicts", 0)}


def test_a_contested_batch_is_decided_in_one_way_at_most() -> None:
    """Three honest members pass it and two refuse it; with two liars that say both, five can only pass it."""
    for seed in range(3):
        liars = (DoubleJudge, DoubleJudge)
        world = _played(Scenario(**(vars(SEVEN) | {"seed": seed, "liars": liars, "contested": 1})))
        for digest in world.contested:
            assert b"\0\x09" not in world.checkers.codes.get((0, digest), b"")


def _genesis(world: World) -> Genesis:
    """What an outsider knows of a simulated committee."""
    config = world.members[0].config
    known = small.World.make(members=config.n).genesis
    members = tuple(
        replace(member, vote_key=keys.vote) for member, keys in zip(known.members, config.members, strict=True)
    )
    return replace(known, digest=config.channel, epoch=config.epoch, members=members)


def test_whatever_members_show_convicts_liars_offline() -> None:
    """The core's evidence as the member process files it, checked as a stranger checks it."""
    proven: set[tuple[str, bool]] = set()
    for seed in range(6):
        world = World(Scenario(**(vars(SEVEN) | {"seed": seed, "liars": (Equivocator, DoubleJudge), "crashes": 1})))
        genesis, shown, trace = _genesis(world), list[fx.Evidence](), world.trace

        def keep(member: int, effect: fx.Effect, shown: Any = shown, trace: Any = trace) -> None:
            trace(member, effect)
            if isinstance(effect, fx.Evidence):
                shown.append(effect)

        world.trace = keep  # type: ignore[method-assign]
        world.play()
        for one in shown:
            found = evidence.check(evidence.conflict(Known.of(genesis), (one.message_a, one.message_b)), genesis)
            assert found.members == (one.member,) and one.member in world.liars
            proven.add((found.kind, found.convicts))
    assert proven >= {("two_commits", True), ("two_verdicts", True)}
