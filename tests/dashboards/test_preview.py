"""The preview: every panel with its answers in one file; in a real browser every panel is drawn."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboards.boards import BOARDS
from dashboards.preview import page
from infra import preview
from infra.settings import Settings
from tests.dashboards.conftest import Ask
from tests.dashboards.recorded import COMPANIES

CHOSEN = [board for board in BOARDS if board.uid != "cl-record"]
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def test_the_page_holds_every_panel_for_every_choice_and_needs_nothing_else(ask: Ask) -> None:
    made = page(CHOSEN[:1], ask, "Title")
    (board,) = json.loads(DATA.search(made)[1])  # type: ignore[index]
    assert {view["chosen"][0] for view in board["views"]} == set(COMPANIES)
    assert all(len(view["answers"]) == len(board["panels"]) for view in board["views"])
    assert not re.search(r"\{\{(title|style|plotly|data|script)\}\}", made) and "Plotly.newPlot" in made
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", made)


def test_what_a_text_says_is_no_markup(ask: Ask) -> None:
    def evil(sql: str) -> bytes:
        answer = json.loads(ask(sql))
        answer["data"] = [
            ["</script><script>alert(1)</script>" if isinstance(v, str) else v for v in row] for row in answer["data"]
        ]
        return json.dumps(answer).encode()

    made = page(
        [next(board for board in CHOSEN if board.uid == "cl-committee")],
        lambda sql: evil(sql) if "blocks" in sql and "signers" in sql else ask(sql),
        "Title",
    )
    assert "</script><script>alert" not in made


def test_the_file_stands_in_the_data_folder(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "ledger"
    data.mkdir()
    (data / "stores").symlink_to(recorded)
    monkeypatch.setattr("dashboards.boards.BOARDS", [next(board for board in CHOSEN if board.uid == "cl-health")])
    assert preview.write(Settings(data=data)) == data / "dashboards.html"
    assert "Pipeline health" in (data / "dashboards.html").read_text()
    assert preview.recorded_range(Settings(data=data)) == ("2016-01-01T00:00:00.000Z", "2016-02-12T00:00:00.000Z")


PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const count = (what) => document.querySelectorAll(what).length, root = document.documentElement;
  const told = { panels: count("section"), charts: count(".chart .xy"), wide: root.scrollWidth - innerWidth };
  Object.assign(told, { wrong: window.wrong, theme: root.dataset.theme });
  document.body.insertAdjacentHTML("beforeend", "<pre id=told>" + JSON.stringify(told) + "</pre>"); }, 1500));
</script>"""
WATCH = "<script>window.wrong = []; addEventListener('error', (e) => wrong.push(e.message));</script>"


@pytest.mark.extra("chromium")
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (420, True)])
@pytest.mark.parametrize("uid", [board.uid for board in CHOSEN])
def test_a_browser_draws_every_panel(drawn: str, tmp_path: Path, uid: str, width: int, dark: bool) -> None:
    file = tmp_path / "page.html"
    file.write_text(drawn.replace("<head>", "<head>" + WATCH, 1).replace("</body>", PROBE + "</body>"))
    told = look(file, uid, width, dark, tmp_path)
    board = next(board for board in CHOSEN if board.uid == uid)
    panels = [panel for row in board.rows for panel in row]
    assert told["wrong"] == [] and told["panels"] == len(panels)
    assert told["charts"] >= sum(panel.kind in ("timeseries", "barchart") for panel in panels)
    assert told["wide"] <= 0, "the page is wider than the screen"
    assert told["theme"] == ("dark" if dark else "light")
    assert (tmp_path / "shot.png").stat().st_size > 20_000


@pytest.fixture(scope="module")
def drawn(ask: Ask) -> str:
    return page(CHOSEN, ask, "Carbon ledger")


def look(file: Path, uid: str, width: int, dark: bool, folder: Path) -> dict[str, Any]:
    """Let the browser draw the page: what it told of itself, and a screenshot."""
    common = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={width},1400",
    ]
    common += ["--virtual-time-budget=6000", f"--user-data-dir={folder / 'browser'}"]
    common += ["--blink-settings=preferredColorScheme=" + ("0" if dark else "1")]
    shot = [f"--screenshot={folder / 'shot.png'}"]
    url = f"file://{file}#{uid}"
    subprocess.run([*common, *shot, url], check=True, capture_output=True, timeout=120)
    dump = subprocess.run([*common, "--dump-dom", url], check=True, capture_output=True, timeout=120, text=True).stdout
    found: dict[str, Any] = json.loads(re.search(r'<pre id="told">(.*?)</pre>', dump)[1])  # type: ignore[index]
    return found
