"""Each way to lie, each fault of clock, wire and disk by itself: no harm while the faults last, progress after them."""

import pytest

from consensus.simulator import Scenario, play
from consensus.simulator.byzantine import LIARS, Flooder, Liar, Replayer, Twin
from consensus.simulator.checkers import Checkers, Violation
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
        world.checkers.bounded(member.replica.sizes(), member.replica.in_pool)


def test_what_is_kept_without_a_bound_is_seen() -> None:
    world = World(Scenario(1, batches=1, faults_until=400))
    world.play()
    sizes = world.members[0].replica.sizes() | {"slots": 9}
    with pytest.raises(Violation, match="9 slots"):
        Checkers(world.members[0].config).bounded(sizes, 0)


def test_two_states_of_a_height_are_seen() -> None:
    checkers = World(Scenario(1)).checkers
    checkers.applied(1, b"note")
    with pytest.raises(Violation, match="two states"):
        checkers.applied(1, b"another")


def test_point_11_clocks_that_jump_within_the_bound_stop_nothing() -> None:
    for seed in range(3):
        assert play(Scenario(seed, batches=4, faults_until=1_500, jumps=6)).failure == ""


def test_point_05_a_disk_that_is_set_back_stops_nothing() -> None:
    for seed in range(3):
        assert play(Scenario(seed, batches=5, faults_until=1_500, backups=1)).failure == ""
