"""Seeded runs of the whole committee: faults, liars, crashes; agreement always, progress once the wire has healed."""

import pytest

from consensus.simulator import run, simulate

KNOWN = {
    611: "a member that had committed in an earlier view never asked for what it lacked in the next",
    617: "a restarted member's endorsements were not sent again",
}


@pytest.mark.timeout(900)
def test_many_seeds() -> None:
    lines: list[str] = []
    # under a minute of one core; the long timeout is for a machine that does other work beside it
    assert simulate(0, 599, lines.append) == [], lines


@pytest.mark.parametrize("seed", KNOWN, ids=str)
def test_seeds_that_once_failed(seed: int) -> None:
    assert run(seed).failure == ""


@pytest.mark.parametrize("seed", [3, 11, 40])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert run(seed) == run(seed)
    assert run(seed).trace != run(seed + 1).trace
