"""Seeded runs of the whole committee: faults, liars, crashes; agreement always, progress once the wire has healed."""

import pytest

from consensus.simulator import Scenario, play, run, simulate
from consensus.simulator.byzantine import Replayer, SelectiveSender

KNOWN = {
    "a restarted member's endorsements were not sent again": Scenario(
        20, batches=3, faults_until=800, loss=0.3, crashes=6, silenced=(3,)
    ),
    "a certified block that was taken over could not be handed on": Scenario(
        878, members=7, batches=4, faults_until=400, repetition=0.2, backups=1
    ),
    "a replayer stumbled over what another had made of a message": Scenario(
        1393, members=7, batches=2, faults_until=375, crashes=6, liars=(Replayer, Replayer)
    ),
    "three members had applied a height, two could not, and nobody complained enough": Scenario(
        4073,
        members=7,
        batches=2,
        faults_until=600,
        repetition=0.2,
        partitions=1,
        liars=(SelectiveSender,),
        silenced=(6,),
        contested=1,
    ),
}


@pytest.mark.timeout(900)
def test_many_seeds() -> None:
    lines: list[str] = []
    # under a minute of one core; the long timeout is for a machine that does other work beside it
    assert simulate(0, 399, lines.append) == [], lines


@pytest.mark.parametrize("what", KNOWN)
def test_runs_that_once_failed(what: str) -> None:
    assert play(KNOWN[what]).failure == ""


@pytest.mark.parametrize("seed", [3, 11, 40])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert run(seed) == run(seed)
    assert run(seed).trace != run(seed + 1).trace
