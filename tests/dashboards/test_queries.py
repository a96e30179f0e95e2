"""Every panel's query on the real engine, for every value of each variable, with the data of a recorded scenario."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.alerts import RULES
from dashboards.boards import BOARDS
from dashboards.macros import Range, expand
from dashboards.model import Board, Panel, Variable
from tests.dashboards.conftest import Ask, rows
from tests.dashboards.recorded import COMPANIES, END, SHORT_HOUR
from tests.small import START

WHOLE = Range(START, END)
RECORD = (
    f"SELECT code FROM records WHERE point = '{SHORT_HOUR[1]}' "
    f"AND window_start = fromUnixTimestamp64Milli({SHORT_HOUR[0]})"
)


def values(ask: Ask, board: Board) -> Iterator[dict[str, str]]:
    """Every choice of a dashboard's variables; of the texts that one may type, one."""
    found: list[dict[str, str]] = [{}]
    for variable in board.variables:
        found = [chosen | {variable.name: one} for chosen in found for one in _options(ask, variable, chosen)]
        assert found, f"{board.uid}: {variable.name} has no values"
    yield from found


def _options(ask: Ask, variable: Variable, chosen: dict[str, str]) -> list[str]:
    return [str(row[0]) for row in rows(ask(expand(variable.sql or RECORD, WHOLE, chosen)))]


def shown(chosen: dict[str, str]) -> Range:
    return Range(int(chosen["first"]), int(chosen["last"])) if "first" in chosen else WHOLE


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_has_data_for_every_value(ask: Ask, board: Board) -> None:
    empty = []
    for chosen in values(ask, board):
        for panel in (panel for row in board.rows for panel in row):
            answer = json.loads(ask(expand(panel.sql, shown(chosen), chosen)))
            _check_columns(board, panel, [column["name"] for column in answer["meta"]])
            if all(value is None for row in answer["data"] for value in row):
                empty.append((panel.title, chosen))
    assert empty == []


def _check_columns(board: Board, panel: Panel, names: list[str]) -> None:
    assert set(panel.columns) <= set(names), f"{board.uid}, {panel.title}: columns that the query doesn't have"
    linked = {column.link.column for column in panel.columns.values() if column.link}
    assert linked <= set(names)
    assert not panel.split or len(names) == 3


def test_every_enterprise_parent_and_region_can_be_chosen(ask: Ask) -> None:
    chosen = {board.uid: list(values(ask, board)) for board in BOARDS}
    assert {one["subject"] for one in chosen["cl-enterprise"]} == set(COMPANIES)
    assert {one["subject"] for one in chosen["cl-quality"]} == {"all", *COMPANIES}
    assert {one["group"] for one in chosen["cl-group"]} == {"power"}
    assert {one["region"] for one in chosen["cl-region"]} == {"region"}


def told(ask: Ask, uid: str, title: str, **chosen: str) -> list[list[Any]]:
    board = next(board for board in BOARDS if board.uid == uid)
    panel = next(panel for row in board.rows for panel in row if panel.title == title)
    return rows(ask(expand(panel.sql, WHOLE, chosen)))


def test_figures_of_the_parts_add_up_to_those_of_the_whole(ask: Ask) -> None:
    emitted = "Emitted in the year"
    each = {name: told(ask, "cl-enterprise", emitted, subject=name, year="2016")[0][0] for name in COMPANIES}
    assert all(each.values())
    of_group = told(ask, "cl-group", emitted, group="power", year="2016")[0][0]
    of_region = told(ask, "cl-region", emitted, region="region", year="2016")[0][0]
    assert of_group == pytest.approx(each["coal-a"] + each["coal-b"], rel=1e-12)
    assert of_region == pytest.approx(sum(each.values()), rel=1e-12)
    days = told(ask, "cl-region", "Emission by day and source", region="region")
    months = told(ask, "cl-enterprise", "Planned and emitted by month", subject="works", year="2016")
    assert sum(row[2] for row in days) == pytest.approx(of_region, rel=1e-12)
    assert sum(row[2] for row in months) == pytest.approx(each["works"], rel=1e-12) and len(months) == 12


def test_what_was_planted_is_shown_and_what_never_happened_counts_zero(ask: Ask) -> None:
    assert told(ask, "cl-committee", "Evidence against members") == [[1]]
    assert told(ask, "cl-committee", "Rejected") == [[0]]
    assert told(ask, "cl-quality", "Substituted hours", subject="all") == [[0]]
    assert told(ask, "cl-quality", "Alerts on gaps", subject="works") == [[1]]
    assert told(ask, "cl-quality", "Alerts on gaps", subject="shop") == [[0]]
    assert told(ask, "cl-health", "Refused messages") == [[1]]
    reasons = dict(told(ask, "cl-quality", "Refusals by reason", subject="all"))
    assert reasons == {"out_of_range": 12, "from_the_future": 6, "wrong_signature": 1, "none": 0}
    silent = [row for row in told(ask, "cl-committee", "Members") if row[3] == 0]
    assert [row[1] for row in silent] == ["member-3", "member-5"]


def test_two_meters_that_stand_still_are_told_and_one_is_still_open(ask: Ask) -> None:
    rows = told(ask, "cl-quality", "Open anomalies", subject="works")
    stuck = [row for row in rows if row[1] == "stuck"]
    assert [(row[2], row[0] >= "2016-02-11") for row in stuck] == [("plant-0-3", True)]
    assert "limit" in stuck[0][4] and stuck[0][6] == "confirmed by authority"
    assert stuck[0][7].startswith("99.0000.1/works.")
    for subject, name, open_ in (("works", "stuck", 1), ("shop", "stuck", 0), ("coal-a", "none", 0)):
        kinds = {
            kind: (all_, still) for kind, all_, still in told(ask, "cl-quality", "Anomalies by kind", subject=subject)
        }
        assert kinds[name] == (int(name == "stuck"), open_) and kinds["none"] == (0, 0)


def test_a_primary_that_is_down_is_a_change_of_the_view(ask: Ask) -> None:
    assert told(ask, "cl-committee", "View changes") == [[1]]
    change, total = told(ask, "cl-committee", "Changes of the view")
    assert change[1:4] == [0, 1, "member-1"]
    assert change[5] == ", ".join(f"member-{place}" for place in range(1, 7))
    assert total == [None, None, None, "all", None, "1 so far"]
    latest = told(ask, "cl-committee", "Block latency")
    assert all(0.15 <= median <= often <= slowest < 0.35 for _, median, often, slowest in latest)


def test_a_process_stands_as_at_its_newest_look(ask: Ask) -> None:
    """At the first look ingest had committed nothing yet, and so read no topic."""
    rows = [row for row in told(ask, "cl-health", "Processes and topics now") if row[0] in ("ingest", "sink")]
    assert [row[:2] for row in rows] == [["ingest", "meter.readings"], ["sink", "ledger.blocks"]]


def test_faults_that_go_on_are_shown_and_those_that_are_over_are_not(ask: Ask) -> None:
    rows = told(ask, "cl-health", "Faults that go on")
    assert [(row[1], row[2], row[3]) for row in rows] == [
        (
            "messages_rejected",
            "warning",
            "unknown: 3 messages refused within 10 minutes by wrong_signature, the last: not the gateway's",
        ),
        ("process_down", "critical", "forecast is waiting"),
        ("all", "", "2 go on"),
    ]


def test_a_text_with_a_quote_is_a_text(ask: Ask) -> None:
    assert told(ask, "cl-enterprise", "Emitted in the year", subject="x' OR 'a' = 'a\\", year="2016") == [[0]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_an_alert_rule_asks_for_one_number(ask: Ask, rule: Any) -> None:
    ((number,),) = rows(ask(rule.sql))
    fires = {"cl-evidence": 1, "cl-used-up": 3, "cl-sink-errors": 0, "cl-forged": 1, "cl-blocks-late": 0}
    assert number == fires[rule.uid]
