"""Each way to lie, each fault of clock, wire and disk by itself: no harm while the faults last, progress after them."""

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from consensus.core import effects as fx
from consensus.simulator import Scenario, play
from consensus.simulator.byzantine import Flooder, Liar, Replayer, Twin
from consensus.simulator.checkers import Checkers, Violation
from consensus.simulator.liars import LIARS, Forger, Staller, Withholder, WrongJudge
from consensus.simulator.member import Member
from consensus.simulator.submitters import ROGUE, ROGUES, Rogue
from consensus.simulator.world import World


@pytest.mark.parametrize("liar", LIARS)
def test_one_liar_of_four_stops_nothing(liar: type[Liar]) -> None:
    for seed in range(3):
        scenario = Scenario(seed, batches=4, faults_until=1_500, loss=0.05, partitions=1, crashes=1, liars=(liar,))
        assert play(scenario).failure == ""


def test_point_20_twins_do_no_more_harm_than_one_liar() -> None:
    for seed in range(6):
        scenario = Scenario(seed, batches=6, faults_until=2_000, partitions=2, liars=(Twin,))
        assert play(scenario).failure == ""


def test_point_20_twins_do_speak_with_two_tongues() -> None:
    world = World(Scenario(0, batches=6, faults_until=2_000, liars=(Twin,)))
    world.play()
    twin = world.members[0]
    assert isinstance(twin, Twin)
    assert twin.store.entries and twin.other.store.entries and twin.store.entries != twin.other.store.entries


def test_point_02_what_a_replayer_changes_is_refused_as_forged() -> None:
    world = World(Scenario(1, batches=4, faults_until=1_000, liars=(Replayer,)))
    world.play()
    assert all(member.replica.dropped["forged"] for member in world.honest(up=True))


def test_point_08_a_flooder_costs_bounded_memory() -> None:
    world = World(Scenario(1, batches=2, faults_until=3_000, liars=(Flooder,)))
    world.play()
    for member in world.honest(up=True):
        assert member.replica.dropped["outside the watermarks"]
        world.checkers.bounded(member.replica.sizes(), member.replica.in_pool, 4)


@pytest.mark.parametrize("rogue", ROGUES)
def test_a_submitter_that_lies_stops_no_honest_one(rogue: Rogue) -> None:
    for seed in range(3):
        scenario = Scenario(seed, batches=4, faults_until=1_000, loss=0.05, crashes=1, rogues=(rogue,))
        assert play(scenario).failure == ""


def test_what_a_submitter_may_not_is_refused() -> None:
    refused: Counter[str] = Counter()
    for rogue in ROGUES:
        world = World(Scenario(1, batches=2, faults_until=800, rogues=(rogue,)))
        world.play()
        for member in world.honest(up=True):
            refused += member.replica.dropped
            assert member.replica._s.pool._held[ROGUE] <= member.config.quota
    assert set(refused) >= {
        f"batch refused: {why}" for why in ("batch number", "batch bounds", "submitter quota", "rival batches")
    }


@pytest.mark.parametrize("members", [4, 7])
def test_a_gateway_of_two_faces_stops_nothing_but_its_own(members: int) -> None:
    for seed in range(3):
        world = World(Scenario(seed, members, batches=4, faults_until=1_000, crashes=3, two_faced=2))
        world.play()
        assert len(world.contested) == 2


def test_a_wrong_judge_is_seen_to_dissent_and_not_convicted() -> None:
    world = World(Scenario(2, batches=4, faults_until=1_000, liars=(WrongJudge,)))
    shown, trace = list[fx.Effect](), world.trace

    def watch(member: int, effect: fx.Effect) -> None:
        shown.append(effect)
        trace(member, effect)

    world.trace = watch  # type: ignore[method-assign]
    world.play()
    assert {effect.member for effect in shown if isinstance(effect, fx.Dissent)} == {0}


def test_a_forger_certifies_nothing() -> None:
    refused: Counter[str] = Counter()
    for seed in range(3):
        world = World(Scenario(seed, batches=5, faults_until=1_500, loss=0.05, crashes=2, liars=(Forger,)))
        world.play()
        for member in world.honest(up=True):
            refused += member.replica.dropped
    assert refused["certificate of no use"] and refused["wrong epoch"] and refused["malformed"]


def test_a_primary_that_proposes_what_nobody_has_is_replaced() -> None:
    world = World(Scenario(0, batches=4, faults_until=1_000, liars=(Withholder,)))
    world.play()
    assert all(member.replica.view > 0 for member in world.honest(up=True))


def test_who_is_behind_gets_its_blocks_though_a_staller_says_that_it_is_far_ahead() -> None:
    for seed in range(3):
        scenario = Scenario(seed, batches=6, faults_until=2_000, partitions=3, crashes=3, liars=(Staller,))
        assert play(scenario).failure == ""


def test_point_04_a_member_with_a_damaged_vote_log_starts_with_an_empty_disk_only() -> None:
    wiped = 0
    for seed in range(6):
        world = World(Scenario(seed, batches=6, faults_until=2_000, damaged_logs=1))
        world.play()
        wiped += world.members[-1].is_set_back and world.members[-1].is_up
    assert wiped


def test_point_12_a_copy_of_the_ledger_that_is_damaged_comes_again_from_the_others() -> None:
    lost = 0
    for seed in range(6):
        world = World(Scenario(seed, batches=6, faults_until=2_000, damaged_copies=1))
        spoil, member = world.members[-1].spoil_copy, world.members[-1]

        def spoilt(rng: Random, member: Member = member, spoil: Callable[[Random], None] = spoil) -> None:
            nonlocal lost
            before = len(member.ledger.blocks)
            spoil(rng)
            lost += before - len(member.ledger.blocks)

        member.spoil_copy = spoilt  # type: ignore[method-assign]
        world.play()
        assert member.ledger.height == world.members[0].ledger.height
    assert lost


def test_what_is_kept_without_a_bound_is_seen() -> None:
    world = World(Scenario(1, batches=1, faults_until=400))
    world.play()
    sizes = world.members[0].replica.sizes() | {"slots": 10}
    with pytest.raises(Violation, match="10 slots"):
        Checkers(world.members[0].config).bounded(sizes, 0, 4)


def test_two_states_of_a_height_are_seen() -> None:
    checkers = World(Scenario(1)).checkers
    checkers.applied(1, b"note", {})
    with pytest.raises(Violation, match="two states"):
        checkers.applied(1, b"another", {})


def test_point_11_clocks_that_jump_within_the_bound_stop_nothing() -> None:
    for seed in range(3):
        assert play(Scenario(seed, batches=4, faults_until=1_500, jumps=6)).failure == ""


def test_point_05_a_disk_that_is_set_back_stops_nothing() -> None:
    for seed in range(3):
        assert play(Scenario(seed, batches=5, faults_until=1_500, backups=1)).failure == ""
