"""What a dashboard is, before it is written in anybody's format: panels with one query each, in rows of 24 columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stat", "timeseries", "barchart", "table"]

TONNES = "si:t CO2e"
"""The unit of emissions and allowances: t of CO2e, with the prefixes k, M and G."""
TEXT = "string"
COUNT = "short"
PERCENT = "percent"
SECONDS = "s"
DAYS = "d"
TIME = "dateTimeAsIso"

GREEN, BLUE, YELLOW, ORANGE, RED, GREY = "green", "blue", "yellow", "orange", "red", "#8e8e8e"


@dataclass(frozen=True)
class Link:
    """Where a value leads: another dashboard, with one of its variables set to a column of the row."""

    title: str
    board: str
    variable: str
    column: str


@dataclass(frozen=True)
class Column:
    """How one column of an answer is shown where that differs from the panel. `colours` are of texts."""

    unit: str | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    link: Link | None = None
    width: int | None = None
    band: str | None = None
    """The column down to which the space below this line is filled: an interval."""
    colour: str | None = None


@dataclass(frozen=True)
class Panel:
    """One panel. `description` says what is shown and how it is counted; `sql` is ClickHouse's with Grafana's macros.

    A stat shows every column of one row. In a time series the first column is the time; in a bar chart it names the
    bars.
    """

    title: str
    description: str
    kind: Kind
    sql: str
    unit: str = COUNT
    width: int = 4
    height: int = 4
    decimals: int | None = None
    steps: tuple[tuple[float, str], ...] = ()
    """From which value on which colour; below the first it is green."""
    columns: Mapping[str, Column] = field(default_factory=dict)
    stacked: bool = False
    bars: bool = False
    split: bool = False
    """In a time series: whether the second column names the series, and the third is its value."""
    none: str | None = None
    """What is shown in place of null."""


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard; `sql` lists its values, the first is taken. Without it any text goes."""

    name: str
    label: str
    sql: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Board:
    """A dashboard: rows of panels, each row as high as its highest panel."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[tuple[Panel, ...], ...]
