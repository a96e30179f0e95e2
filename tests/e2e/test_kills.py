"""kill -9 of every kind of process in the middle of a demonstration: it still ends with every balance to the gram."""

from pathlib import Path

import pytest

from infra.demo import parameters, scenario
from tests.e2e import kills
from tests.e2e.running import DAYS

SEEDS = (7,)
"""Each hits every kind in one run; `python -m tests.soak` has twenty kills of each kind."""


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_the_balances_are_the_same(tmp_path: Path, seed: int) -> None:
    hit = kills.run(tmp_path / "ledger", seed, kills.KINDS)
    assert {done.kill.kind for done in hit} == set(kills.KINDS), (
        f"seed {seed} came too late: {'; '.join(map(str, hit))}"
    )


def test_a_seed_says_what_is_killed_when() -> None:
    assert kills.plan(5, kills.KINDS) == kills.plan(5, kills.KINDS) != kills.plan(6, kills.KINDS)
    planned = [kill for seed in range(50) for kill in kills.plan(seed, kills.KINDS)]
    moments = [kill.moment for kill in planned if kill.kind != "gateway"]
    assert min(moments) < 0.05 and max(moments) > 0.9, "the whole run is reached"
    assert max(kill.moment for kill in planned if kill.kind == "gateway") <= kills.SENT_BY


def test_progress_goes_from_the_first_packet_to_the_last_record(tmp_path: Path) -> None:
    wanted = scenario.expected(parameters.load(), DAYS)
    assert kills.progress(tmp_path, wanted) == 0
    for name, text in (
        ("gateways/a/progress.json", f'{{"sequence": {wanted.packets}}}'),
        ("members/0/status.json", ""),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert kills.progress(tmp_path, wanted) == pytest.approx(kills.SENT_BY)
    (tmp_path / "members/0/status.json").write_text(f'{{"accepted": {wanted.records - 1}, "rejected": 1}}')
    assert kills.progress(tmp_path, wanted) == pytest.approx(1)
