"""The dashboards as they are committed: made again they are the same, and they say what they show."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.__main__ import HOME, files
from dashboards.boards import BOARDS
from dashboards.grafana import DATASOURCE

MADE = sorted((HOME / "json").glob("*.json"))
PANELS = [
    pytest.param(panel, id=f"{path.stem}-{panel['id']}")
    for path in MADE
    for panel in json.loads(path.read_text())["panels"]
]


def test_made_again_they_are_the_same() -> None:
    committed = {path for part in ("json", "provisioning") for path in (HOME / part).rglob("*.*")}
    assert {path: path.read_text() for path in committed} == files(), "python -m dashboards"


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_panels_have_places_of_their_own(path: Path) -> None:
    board = json.loads(path.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert board["uid"] == path.stem and len(set(ids)) == len(ids) > 0
    for one, other in combinations([panel["gridPos"] for panel in board["panels"]], 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def test_every_dashboard_and_variable_has_a_name_of_its_own() -> None:
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == len(BOARDS) == len(MADE)
    for path in MADE:
        names = [variable["name"] for variable in json.loads(path.read_text())["templating"]["list"]]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_in_which_unit_and_asks_the_data_source(panel: dict[str, Any]) -> None:
    assert panel["title"] and len(panel["description"]) > 10
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == DATASOURCE.to_json()
    (target,) = panel["targets"]
    assert target["datasource"] == DATASOURCE.to_json() and target["rawSql"].startswith("SELECT")


def test_links_lead_to_dashboards_and_variables_that_there_are() -> None:
    variables = {board.uid: {variable.name for variable in board.variables} for board in BOARDS}
    links = [
        column.link
        for board in BOARDS
        for row in board.rows
        for panel in row
        for column in panel.columns.values()
        if column.link is not None
    ]
    assert {link.board for link in links} == {"cl-enterprise", "cl-record"}
    assert all(link.variable in variables[link.board] for link in links)


def test_the_provisioning_files_name_the_data_source_that_the_dashboards_ask() -> None:
    read = {path.parent.name: yaml.safe_load(path.read_text()) for path in (HOME / "provisioning").rglob("*.yaml")}
    (source,) = read["datasources"]["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE.to_json()
    rules = [rule for group in read["alerting"]["groups"] for rule in group["rules"]]
    assert len({rule["uid"] for rule in rules}) == len(rules)
    assert {rule["data"][0]["datasourceUid"] for rule in rules} == {DATASOURCE.uid}
    assert {rule["annotations"]["__dashboardUid__"] for rule in rules} <= {board.uid for board in BOARDS}
