"""The demo's display on a terminal and in a pipe."""

import io
import os
import pty
from collections.abc import Iterator

import pytest

from infra import progress
from infra.progress import Progress, display, line

SOME = Progress(1234567, 1200000, 34567, 890, 12, 3, 150000.4, {"broker": "ready", "sink": "starting"})
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_a_line_says_everything_once() -> None:
    assert line(SOME) == (
        "readings 1,234,567, stored 1,200,000, rejected 34,567, "
        "records 890, height 12, lag 3, rate 150,000; sink starting"
    )
    assert ";" not in line(Progress(processes={"broker": "ready"}))


def test_a_pipe_gets_plain_lines_and_not_one_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    out = io.StringIO()
    with display(out) as shown:
        for now in (1000.0, 1000.1, 1004.9, 1005.0):  # noqa: B007 - read by the clock
            shown.update(SOME)
        shown.say("a process died")
    assert out.getvalue().splitlines() == [line(SOME), line(SOME), "a process died"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal: our end and the program's."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_a_terminal_gets_a_live_display_and_its_cursor_back(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with open(theirs, "w", closefd=False) as out, display(out) as shown:
        shown.update(SOME)
        shown.say("[a process] died")
    said = ""
    while SHOW_CURSOR not in said:
        said += os.read(ours, 100_000).decode()
    assert "1,234,567" in said
    assert "[a process] died" in said, "what looks like markup is text"
    assert said.index(HIDE_CURSOR) < said.index(SHOW_CURSOR)
