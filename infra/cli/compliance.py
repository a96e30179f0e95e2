"""`carbonledger compliance`: a compliance year played through from a scenario."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output, show

if TYPE_CHECKING:
    from infra.compliance.cycle import Year
    from infra.compliance.scenario import Scenario

CHECK_FAILED = 1
MARK = "D"

app = typer.Typer(no_args_is_help=True, help="The compliance year: allocation, surrender, penalty, cut, banking.")


@app.callback()
def _group() -> None:
    """Keep `run` a command of its own while it is the only one."""


@app.command("run")
def run_year(
    year: Annotated[int, typer.Argument(help="The compliance year: 2023 has a scenario that ships.")],
    scenario: Annotated[Path | None, typer.Option(help="A scenario of your own, as TOML.")] = None,
    no_allow: Annotated[bool, typer.Option("--no-allow", help="Allow no factor row of confidence D.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Play a compliance year through: every party's statements, judged, and the books that they make.

    Each statement is signed and judged by the same two halves as in the committee, but offline, in this process:
    nothing goes to a ledger. Figures that rest on factor rows of confidence D (from memory) are marked D; without
    permission by name the year is refused, exit code 1, and the rows are named.

    \b
      carbonledger compliance run 2023
      carbonledger compliance run 2023 --no-allow
      carbonledger compliance run 2023 --scenario my-year.toml --output json
    """
    from carbon.compliance import ComplianceError
    from carbon.factors import FactorError
    from carbon.registry import RegistryError
    from infra.compliance.cycle import NotAllowedError, run

    stated = _scenario(year, scenario)
    try:
        played = run(stated.without_permission() if no_allow else stated)
    except NotAllowedError as error:
        print(f"carbonledger: refused: {error}:", *error.rows, sep="\n  ", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from None
    except (ComplianceError, FactorError, RegistryError) as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from None
    _print_json(played) if output is Form.JSON else _print_tables(played)


def _scenario(year: int, path: Path | None) -> "Scenario":
    from infra.compliance import scenario as scenarios

    try:
        stated = scenarios.load(path or scenarios.shipped(year))
    except scenarios.ScenarioError as error:
        raise typer.BadParameter(str(error)) from error
    if stated.year != year:
        raise typer.BadParameter(f"{path} is a scenario of {stated.year}, not of {year}")
    return stated


def _print_json(year: "Year") -> None:
    from infra.compliance import report

    stated = {"year": year.scenario.year, "notice": year.scenario.notice, "from_memory": year.from_memory}
    parts = (report.stated, report.figures, report.decisions, report.rated, report.books)
    print(json.dumps(stated | {part.__name__: part(year) for part in parts}, indent=1, ensure_ascii=False))


def _print_tables(year: "Year") -> None:
    from carbon import rules
    from infra.compliance import report

    print(f"Compliance year {year.scenario.year}. {year.scenario.notice}")
    print("Judged offline, in this process, by the rules of the committee; no ledger holds any of it.")
    print(f"{MARK}: rests on rows of factor set {year.scenario.factors} that are from memory and allowed by name:")
    print(*year.from_memory, sep="\n", end="\n\n")
    _section("What was stated", report.stated(year), report.STATED)
    ids = [each.id for each in year.scenario.enterprises]
    _section("The year", report.figures(year), ("figure", *ids, "unit", "from_memory"))
    decided, rated = report.decisions(year), report.rated(year)
    _section("Decisions, proposed by the rules and signed by the authority", decided, report.DECISIONS)
    print(*(f"  {row['subject']}, {row['rule']}: {row['outcome']}. {row['reasons']}" for row in decided), sep="\n")
    _section(f"\nGrades and colours: {rules.scale('colour').standing}", rated, report.RATINGS)
    print(*(f"  {row['subject']}: {row['colour']}. {row['why']}" for row in rated), sep="\n", end="\n\n")
    _section("The books", report.books(year), report.BOOKS)
    print(f"debits less credits: {', '.join(f'{v} {unit}' for unit, v in sorted(report.unbalanced(year).items()))}")


def _section(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    print(title)
    show([_shown(row) for row in rows], Form.TABLE, map(_large_name, columns))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: tonnes for grams, CNY for 0.01 CNY, and a mark for rows from memory."""
    shown = {_large_name(name): _in_large(value, str(row.get("unit", name))) for name, value in row.items()}
    shown |= {"unit": _LARGE[row["unit"]][0]} if "unit" in row else {}
    return shown | ({"from_memory": MARK if row["from_memory"] else ""} if "from_memory" in row else {})


_LARGE = {"g": ("t CO2e", 1_000_000, 3), "fen": ("CNY", 100, 2), "t": ("credits", 1, 0)}
"""What an amount is shown in, how many of its units that is, and the decimal places."""


def _large_name(name: str) -> str:
    return name.removesuffix("_g") + "_t" if name.endswith("_g") else name.replace("_fen", "_cny")


def _in_large(value: Any, unit: str) -> Any:
    if type(value) is not int or unit.rpartition("_")[2] not in _LARGE:
        return value
    _, size, places = _LARGE[unit.rpartition("_")[2]]
    return f"{Decimal(value) / size:,.{places}f}"
