"""The command plays the shipped year, and refuses it without permission."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.compliance import scenario as scenarios
from infra.compliance.scenario import ScenarioError

RUN = CliRunner()


def test_the_shipped_year_is_printed_and_marked():
    result = RUN.invoke(app, ["compliance", "run", "2023"])
    assert result.exit_code == 0
    assert "Synthetic: enterprises" in result.output and "no ledger holds any of it" in result.output
    assert "allocation_benchmarks.2023.gas.elec" in result.output
    assert "debits less credits: 0 fen, 0 g, 0 t" in result.output
    line = next(line for line in result.output.splitlines() if "carried on" in line)
    assert line.split() == ["carried", "on", "73,000.000", "0.000", "10,000.000", "0.000", "t", "CO2e", "D"]


def test_as_json_every_amount_is_an_integer():
    result = RUN.invoke(app, ["compliance", "run", "2023", "--output", "json"])
    assert result.exit_code == 0
    year = json.loads(result.output)
    (banked,) = [row for row in year["figures"] if row["figure"] == "carried on"]
    assert (banked["river-bend"], banked["unit"]) == (73_000_000_000, "g")
    assert banked["from_memory"] == year["from_memory"]
    assert {row["rule"] for row in year["decisions"]} >= {"missed_surrender", "refused_correction", "on_time"}


def test_without_permission_it_is_refused_and_names_the_rows():
    result = RUN.invoke(app, ["compliance", "run", "2023", "--no-allow"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "refused" in result.stderr
    assert all(row in result.stderr for row in scenarios.load(scenarios.shipped(2023)).allowed)


def test_a_scenario_of_ones_own(tmp_path: Path):
    file = tmp_path / "mine.toml"
    text = scenarios.shipped(2023).read_text()
    file.write_text(text.replace('cny_t = "100.00"', 'cny_t = "90.00"'))
    result = RUN.invoke(app, ["compliance", "run", "2023", "--scenario", str(file)])
    assert "9,000,000.00" in next(line for line in result.output.splitlines() if "least fine" in line)
    assert RUN.invoke(app, ["compliance", "run", "2024", "--scenario", str(file)]).exit_code == 2
    assert RUN.invoke(app, ["compliance", "run", "2022"]).exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('cny_t = "100.00"', 'cny_t = "100.001"', "price.cny_t"),
        ("pre_percent = 70", "pre_percent = 101", "pre_percent"),
        ("verified_t = 512_000", "verified_t = -1", "verified_t"),
        ("verified_t = 512_000", "verify_t = 1", "verify_t"),
        ('id = "quarry"', 'id = "hilltop"', "stands twice"),
        ('seller = "river-bend"', 'seller = "nobody"', "nobody"),
        ("year = 2023", "year = ", "2023.toml|mine.toml"),
    ],
)
def test_a_file_that_states_no_year_is_refused(tmp_path: Path, old: str, new: str, what: str):
    file = tmp_path / "mine.toml"
    file.write_text(scenarios.shipped(2023).read_text().replace(old, new))
    with pytest.raises(ScenarioError, match=what):
        scenarios.load(file)


def test_a_file_that_is_missing_is_refused(tmp_path: Path):
    with pytest.raises(ScenarioError, match="can't be read"):
        scenarios.load(tmp_path / "none.toml")
