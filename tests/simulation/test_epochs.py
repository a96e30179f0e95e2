"""Point 16 in whole runs: the committee changes while wire, machines and liars do what they always do."""

from dataclasses import replace

import pytest

from consensus.core.config import MemberKeys
from consensus.core.effects import OrderedBlock
from consensus.simulator import Scenario, play
from consensus.simulator.checkers import Checkers, Violation
from consensus.simulator.liars import Equivocator, Ghost
from consensus.simulator.membership import CHANGES
from consensus.simulator.world import World


@pytest.mark.parametrize("change", CHANGES)
def test_point_16_each_change_under_faults(change: str) -> None:
    for seed in range(3):
        members = 7 if change == "four" else 4
        scenario = Scenario(seed, members, 4, 1_000, loss=0.1, partitions=1, crashes=2, changes=(change,))
        assert play(scenario).failure == ""


def test_point_16_two_changes_in_a_row_with_a_disk_that_is_set_back() -> None:
    for seed in range(4):
        scenario = Scenario(seed, 4, 4, 1_500, crashes=4, straggling=0.1, backups=1, changes=("rotate", "replace"))
        assert play(scenario).failure == ""


def test_point_16_who_sleeps_while_the_committee_changes_takes_part_again() -> None:
    """Member 3 is down from the first block to the end of epoch 0, and after that one more of the others is."""
    world = World(Scenario(3, batches=3, faults_until=400, changes=("five",)))
    world._schedule()
    sleeper, *others = [world.members[i] for i in (3, 0, 1, 2)]
    while max(member.ledger.height for member in others) == 0:
        world.step()
    sleeper.crash()
    while any(member.config.epoch == 0 for member in others):
        world.step()
    end = others[0].config.base
    assert sleeper.ledger.height < end
    others[0].crash()
    world._restart(sleeper)
    while sleeper.certified <= end:
        world.step()
        assert world.now < 60_000
    assert sleeper.config.epoch == 1


def test_point_16_keys_that_were_retired_are_refused_whoever_signs_with_them() -> None:
    for change in ("rotate", "replace"):
        world = World(Scenario(4, batches=6, faults_until=2_000, liars=(Ghost,), changes=(change,)))
        world.play()
        ghost = world.members[0]
        assert isinstance(ghost, Ghost) and ghost.echoed
        assert any(member.replica.dropped["forged"] for member in world._seated())


def test_point_16_a_ghost_beside_an_equivocating_member_stops_nothing() -> None:
    for seed in range(3):
        scenario = Scenario(seed, 7, 4, 1_500, liars=(Equivocator, Ghost), crashes=1, changes=("replace", "five"))
        assert play(scenario).failure == ""


def test_another_committee_of_an_epoch_is_seen() -> None:
    world = World(Scenario(1, changes=("rotate",)))
    second = replace(world.genesis, epoch=1, base=9)
    checkers = Checkers(world.genesis)
    checkers.recorded((world.genesis, second))
    for other in (replace(second, base=10), replace(second, members=(MemberKeys(b"", b""),))):
        with pytest.raises(Violation, match="two committees"):
            checkers.recorded((other,))


@pytest.mark.parametrize(("epoch", "height"), [(0, 10), (1, 9)])
def test_a_block_of_another_epoch_than_its_height_is_seen(epoch: int, height: int) -> None:
    world = World(Scenario(1, changes=("rotate",)))
    checkers = Checkers(world.genesis)
    checkers.recorded((world.genesis, replace(world.genesis, epoch=1, base=9)))
    with pytest.raises(Violation, match="is not of epoch"):
        checkers.executed(OrderedBlock(epoch, height, 0, ()))
