"""What the demo shows while it runs: a live display on a terminal, plain lines every few seconds elsewhere."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a run is: readings sent, stored in the tables and rejected; records on the ledger and still to come.

    `rate` is in readings a second since the start.
    """

    readings: int = 0
    stored: int = 0
    rejected: int = 0
    records: int = 0
    height: int = 0
    lag: int = 0
    rate: float = 0.0
    processes: Mapping[str, str] = field(default_factory=dict)
    """Process name to its state."""


_COUNTS = ("readings", "stored", "rejected", "records", "height", "lag", "rate")


def line(progress: Progress) -> str:
    """Progress on one line; processes are named only when they aren't ready."""
    counts = ", ".join(f"{name} {getattr(progress, name):,.0f}" for name in _COUNTS)
    others = ", ".join(f"{name} {state}" for name, state in progress.processes.items() if state != "ready")
    return f"{counts}; {others}" if others else counts


def table(progress: Progress) -> "Table":
    """Progress as rich draws it: the counts, and the processes by state."""
    from rich.table import Table

    drawn = Table.grid(padding=(0, 2))
    for name in _COUNTS:
        drawn.add_row(name, f"{getattr(progress, name):,.0f}" + (" /s" if name == "rate" else ""))
    by_state: dict[str, list[str]] = {}
    for name, state in progress.processes.items():
        by_state.setdefault(state, []).append(name)
    for state, names in sorted(by_state.items()):
        drawn.add_row(state, " ".join(names))
    return drawn


class Display(Protocol):
    """Where progress is shown, and lines are said that stay."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def update(self, progress: Progress) -> None:
        """Show how far it is now."""

    def say(self, text: str) -> None:
        """Print a line that stays."""


class _Lines:
    """For a pipe or a log file."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, progress: Progress) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LINE_EVERY
            self.say(line(progress))

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class _Screen:
    """For a terminal: one display that is redrawn in place, under the lines that stay."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=out), refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, progress: Progress) -> None:
        self._live.update(table(progress))

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)


def display(out: TextIO = sys.stdout) -> Display:
    """The display that fits `out`. Use it as a context, so that the terminal is given back however the run ends."""
    return _Screen(out) if out.isatty() else _Lines(out)
