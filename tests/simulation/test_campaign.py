"""A campaign tells which seeds fail, and makes what fails small; the simulator's own faults end when they should."""

import pytest

from consensus.core.config import Config
from consensus.simulator import Scenario, play, simulate
from consensus.simulator.byzantine import Equivocator
from consensus.simulator.campaign import shrunken
from consensus.simulator.world import World

FAILING = Scenario(
    2, batches=6, faults_until=3_000, loss=0.02, repetition=0.2, partitions=1, crashes=3, liars=(Equivocator,)
)


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "quorum", property(lambda config: 2 * config.f))


def test_a_failing_scenario_is_made_smaller_and_still_fails(bug: None) -> None:
    assert play(FAILING).failure
    small = shrunken(FAILING)
    assert play(small).failure
    assert (small.partitions, small.repetition) == (0, 0) and small.liars == () and small.faults_until < 3_000


def test_a_seed_that_fails_is_reported_with_the_end_of_its_trace(bug: None) -> None:
    lines: list[str] = []
    failed = simulate(0, 9, lines.append, jobs=1)
    assert failed and f"seed {failed[0]} fails: " in lines[0]
    assert lines[1].startswith("smallest: Scenario(")
    assert any(" ms, member " in line for line in lines)


def test_cores_share_the_seeds_and_find_the_same() -> None:
    lines: list[str] = []
    assert simulate(0, 59, lines.append, jobs=2) == []
    assert lines[-1].startswith("60 seeds, ")


def test_no_member_is_apart_after_healing() -> None:
    for seed in range(20):
        world = World(Scenario(seed, batches=1, faults_until=400, partitions=6))
        world.play()
        assert world.network.parts == {}
