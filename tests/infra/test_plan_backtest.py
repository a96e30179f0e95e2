"""`carbonledger plan backtest`: what it prints, and the daily emissions that it reads."""

import json
from collections.abc import Collection

import pytest
from typer.testing import CliRunner

from carbon import factors
from carbon.planning.backtest import cases, score
from carbon.planning.forecast import RETURNING
from infra.cli import app
from infra.demo import daily, parameters
from tests.carbon.planning.series import weekly
from tests.e2e import expected

DECLARED = parameters.load()


def test_days_add_up_to_the_balances_that_pandas_finds() -> None:
    """Each point's day is rounded once instead of each hour: half a gram an hour at most."""
    wanted = expected.balances(3)
    chosen = ["coal-north", "cold-store"]
    found = daily.emissions(DECLARED, factors.load(), chosen, 3)
    assert list(found) == chosen and all(len(grams) == 3 for grams in found.values())
    for subject, grams in found.items():
        assert sum(grams) == pytest.approx(wanted[subject], abs=3 * 72 / 2)


def test_a_real_subject_over_its_year() -> None:
    """The retail park, real: its forecasts are off by some per cent of the year, and not by none."""
    grams = daily.emissions(DECLARED, factors.load(), ["retail-park"])["retail-park"]
    found = score(cases(grams, RETURNING))
    assert (len(grams), found.forecasts) == (366, 43)
    assert 1 < found.year_error < 10


def fake(_: object, __: object, subjects: Collection[str]) -> dict[str, list[int]]:
    return {subject: weekly(366, noise=0.2) for subject in subjects}


def run(*words: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(app, ["plan", "backtest", *words, "--output", "json"])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, object]] = json.loads(result.output)
    return rows


def test_the_command_compares_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "emissions", fake)
    rows = run("coal-north")
    assert [row["method"] for row in rows] == ["returning level", "naive", "seasonal naive"]
    assert {row["subjects"] for row in rows} == {"coal-north"}
    assert all(row["forecasts"] == 43 for row in rows)


def test_the_command_shows_the_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "emissions", fake)
    rows = run("bakeries", "--warnings")
    assert [row["level"] for row in rows] == ["notice", "warning", "critical", "used up"]


def test_an_unknown_subject_is_named() -> None:
    result = CliRunner().invoke(app, ["plan", "backtest", "nobody"])
    assert result.exit_code == 2 and "no such subject: nobody" in result.output
