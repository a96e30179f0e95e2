"""Every command's data in one of two forms: a table for people, or a JSON array of objects for programs."""

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer


class Form(StrEnum):
    """The form of printed data."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="A table, or a JSON array of objects.")]


def show(rows: Iterable[Mapping[str, Any]], form: Form, columns: Iterable[str]) -> None:
    """Print `rows` to standard output with these columns, in this order. A missing value is null, or `-`."""
    columns, rows = list(columns), list(rows)
    if form is Form.JSON:
        print(json.dumps([{name: row.get(name) for name in columns} for row in rows], indent=1, ensure_ascii=False))
    else:
        _table(rows, columns)


def _table(rows: list[Mapping[str, Any]], columns: list[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for name in columns:
        numbers = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers and rows else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    # in a pipe a table is as wide as its content, never cut at eighty columns
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, markup=False).print(table)


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
