"""`carbonledger tables`: readers are let in and out by the owner of the data folder."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.errors import EnvironmentFault
from sinks.clickhouse import access


def run(data: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--data", str(data), "tables", *words])
    if isinstance(result.exception, EnvironmentFault):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARBONLEDGER_DATA", str(tmp_path))
    (tmp_path / "stores").mkdir()
    return tmp_path


def test_a_reader_is_let_in_by_its_token_and_out_again(data: Path) -> None:
    code, token = run(data, "admit", "board", "--party", "plant-co")
    assert code == 0 and access.party_of(data / "stores", "board", token.strip()) == "plant-co"
    assert json.loads(run(data, "readers", "--output", "json")[1]) == [{"reader": "board", "party": "plant-co"}]
    assert run(data, "dismiss", "board")[0] == 0
    assert run(data, "dismiss", "board")[0] == 1
    assert json.loads(run(data, "readers", "--output", "json")[1]) == []


def test_names_that_mean_something_are_refused(data: Path) -> None:
    assert run(data, "admit", "owner", "--party", "plant-co")[0] == 2


def test_without_tables_it_says_what_to_do(data: Path) -> None:
    (data / "stores").rmdir()
    with pytest.raises(EnvironmentFault, match="carbonledger up"):
        run(data, "readers")
