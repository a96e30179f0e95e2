"""The dashboards as one HTML file that needs nothing else: the same panels and queries, with the answers in it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from dashboards.grafana import board_json
from dashboards.macros import Range, expand
from dashboards.model import Board

Ask = Callable[[str], bytes]
"""The answer to a statement in ClickHouse's format JSONCompact."""
PAGE = Path(__file__).with_name("page")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_EMPTY = Range(0, 0)
_FAR_DIGITS = 12
"""Digits that a figure is kept with: a picture needs no more."""


def page(boards: Iterable[Board], ask: Ask, title: str) -> str:
    """The page. A dashboard whose choice nobody lists, or that has nothing to choose yet, stays out of it."""
    shown = [found for board in boards if all(v.sql for v in board.variables) if (found := collected(board, ask))]
    data = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    parts = {"title": title, "data": data, "plotly": get_plotlyjs()}
    parts |= {"script": (PAGE / "preview.js").read_text(), "style": (PAGE / "preview.css").read_text()}
    return _PLACE.sub(lambda place: parts[place[1]], (PAGE / "preview.html").read_text())


def collected(board: Board, ask: Ask) -> dict[str, Any] | None:
    """A dashboard as Grafana reads it, and under `views` every choice with the answers of its panels in order."""
    made, views = board_json(board), []
    queries = [panel["targets"][0]["rawSql"] for panel in made["panels"]]
    for chosen in _choices(board, ask):
        shown = Range(int(chosen["first"]), int(chosen["last"])) if "first" in chosen else _EMPTY
        answers = [_answer(ask(expand(sql, shown, chosen))) for sql in queries]
        views.append({"chosen": [chosen[v.name] for v in board.variables if not v.hidden], "answers": answers})
    variables = [{"name": v.name, "label": v.label} for v in board.variables if not v.hidden]
    facts = {name: made[name] for name in ("uid", "title", "description", "panels")}
    return {**facts, "variables": variables, "views": views} if views else None


def _choices(board: Board, ask: Ask) -> Iterator[Mapping[str, str]]:
    """Every choice of a dashboard's variables, the first value of each first."""
    found: list[dict[str, str]] = [{}]
    for variable in board.variables:
        found = [
            chosen | {variable.name: str(row[0])}
            for chosen in found
            for row in json.loads(ask(expand(variable.sql, _EMPTY, chosen)))["data"]
        ]
    yield from found


def _answer(told: bytes) -> dict[str, Any]:
    """The columns of an answer and its rows."""
    answer = json.loads(told)
    rows = [[_short(value) for value in row] for row in answer["data"]]
    return {"columns": [column["name"] for column in answer["meta"]], "rows": rows}


def _short(value: Any) -> Any:
    return float(f"{value:.{_FAR_DIGITS}g}") if isinstance(value, float) else value
