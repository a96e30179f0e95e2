"""Seeded runs of the whole committee: faults, liars, crashes; agreement always, progress once the wire has healed."""

from collections.abc import Callable

import pytest

from consensus.simulator import Scenario, drawn, play, run, simulate
from consensus.simulator.byzantine import Replayer, SelectiveSender
from consensus.simulator.liars import LIARS, Ghost, Staller
from consensus.simulator.submitters import ROGUES
from consensus.simulator.world import short

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
    "a log far above a ledger that was cut brought back heights without bound": Scenario(
        18976,
        members=4,
        batches=6,
        faults_until=2_000,
        straggling=0.02,
        partitions=1,
        crashes=3,
        damaged_copies=1,
        changes=("five", "four"),
        cached=True,
    ),
    "all that had applied a height restarted, and a liar alone held its certificate": Scenario(
        34766, batches=3, faults_until=2_000, loss=0.1, repetition=0.2, crashes=6, liars=(Staller,), cached=False
    ),
}


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("last", "scenarios"), [(99, drawn), (1_999, short)])
def test_many_seeds(last: int, scenarios: Callable[[int], Scenario]) -> None:
    lines: list[str] = []
    # under a minute of two cores; the long timeout is for a machine that does other work beside it
    assert simulate(0, last, lines.append, scenarios=scenarios) == [], lines


def test_short_seeds_draw_everything() -> None:
    """Each way to lie and each fault is among them, and so is none at all."""
    found = [short(seed) for seed in range(2_000)]
    assert {each.members for each in found} == {4}
    assert {liar for each in found for liar in each.liars} == {*LIARS, Ghost}
    assert {rogue for each in found for rogue in each.rogues} == set(ROGUES)
    for fault in ("loss", "repetition", "straggling", "partitions", "crashes", "silenced", "jumps", "backups"):
        assert {bool(getattr(each, fault)) for each in found} == {True, False}, fault
    for fault in ("two_faced", "damaged_logs", "damaged_copies", "changes", "cached"):
        assert {bool(getattr(each, fault)) for each in found} == {True, False}, fault
    assert all(sum((len(e.liars), len(e.silenced), e.backups, e.damaged_logs, e.damaged_copies)) <= 1 for e in found)


@pytest.mark.parametrize("what", KNOWN)
def test_runs_that_once_failed(what: str) -> None:
    assert play(KNOWN[what]).failure == ""


@pytest.mark.parametrize("seed", [3, 11, 40])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert run(seed) == run(seed)
    assert run(seed).trace != run(seed + 1).trace
