"""`carbonledger regulator`: what a regulator makes of the accounts of its region, from a member's copy."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from infra.cli.ledger import CHECK_FAILED, copy_of
from infra.cli.output import Form, Output
from infra.cli.reading import AsOf, Member, Viewer, check_sight, present, registered, view_of

if TYPE_CHECKING:
    from carbon.ledger.reads import View
    from carbon.regulator.oversight import Oversight
    from carbon.regulator.totals import Total

DAY_MS = 86_400_000
USUAL_DAYS = 28
"""What is usual is what was emitted in so many days before an alert: four of each day of the week, declared."""
RANKING = (
    *("subject", "sector", "emission_g", "verified", "product", "g_per_unit", "place", "of"),
    *("t_per_10000_cny", "grade", "colour", "from_memory"),
)
TOTALS = ("name", "subjects", "emission_g", "unverified_g", "gdp_fen", "t_per_10000_cny", "outputs", "g_per_unit")
KEPT = ("subject", "limit_percent", "usual_g", "most_g", "actual_g", "percent", "kept")

app = typer.Typer(
    no_args_is_help=True, help="A region's year: totals, ranks, grades, colours, weather, extracts, proposed decisions."
)
Region = Annotated[str, typer.Argument(metavar="REGION", help="A region's id in the registry.")]
OfYear = Annotated[int, typer.Option(help="The compliance year.")]


class Extract(StrEnum):
    """An extract."""

    FISCAL = "fiscal"
    TAX = "tax"
    GREEN_FINANCE = "green-finance"


def overseen(region: str, year: int, as_of: str | None, viewer: str | None, member: int) -> "tuple[View, Oversight]":
    """A region's year at a moment. Exits with 1 when a viewer may not see all subjects of it, with 2 for no region."""
    from carbon.regulator.oversight import Oversight

    view = view_of(member, as_of)
    if not view.registry.subjects[registered(view, region)].regional:
        raise typer.BadParameter(f"{region} is no region")
    found = Oversight.of(view, region, year)
    for subject in found.subjects:
        check_sight(view, subject, viewer)
    return view, found


@app.command("ranking")
def ranking(
    region: Region,
    year: OfYear,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Rank a region's subjects, and show grades and colours with the figures that made them.

    The rules are those in force on the ledger; what ships is a default that no authority issued (docs/regulator.md).

    \b
      carbonledger regulator ranking region-demo --year 2016
    """
    view, found = overseen(region, year, as_of, viewer, member)
    for name in ("grade", "colour"):
        print(f"{name}: {found.statements.rules[name].standing}", file=sys.stderr)
    rows = list(found.ranking())
    present(view, rows, output, RANKING if output is Form.TABLE else (*RANKING, "grade_why", "why"))
    if output is Form.TABLE:
        print(*(f"  {row['subject']}: {row['colour']}. {row['why']}" for row in rows), sep="\n")


@app.command("totals")
def totals_of(
    region: Region,
    year: OfYear,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show a region's total and those of its sectors: emission, output, value added, intensities.

    \b
      carbonledger regulator totals region-demo --year 2016 --as-of 2026-06-30
    """
    from carbon.regulator.totals import by_sector

    view, found = overseen(region, year, as_of, viewer, member)
    rows = map(_total, [*by_sector(found.performances), found.total])
    present(view, rows if output is Form.JSON else map(_in_words, rows), output, TOTALS)


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose products are one text each."""
    return {name: ", ".join(map(" ".join, v.items())) if type(v) is dict else v for name, v in row.items()}


def _total(total: "Total") -> dict[str, Any]:
    from carbon.regulator.figures import decimal

    outputs = {f"{name} ({unit})": decimal(quantity, 3) for (name, unit), quantity in total.outputs.items()}
    per_output = {f"{name} ({unit})": decimal(value) for (name, unit), value in total.per_output.items()}
    return {
        "name": total.name or "no sector stated",
        "subjects": total.subjects,
        "emission_g": total.emission_g,
        "unverified_g": total.unverified_g,
        "gdp_fen": total.gdp_fen,
        "outputs": outputs,
        "g_per_unit": per_output,
        "t_per_10000_cny": None if total.per_gdp is None else decimal(total.per_gdp),
    }


@app.command("extract")
def extract(
    which: Annotated[Extract, typer.Argument(help="For whom.")],
    region: Region,
    year: OfYear,
    price: Annotated[int, typer.Option(metavar="FEN", help="Declared price of a tonne, 0.01 CNY.")] = 10_000,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Print a table for finance, tax or green finance; each row names its accounts and whether it was verified.

    `from_memory` names the factor rows of confidence D behind a row.

    \b
      carbonledger regulator extract fiscal region-demo --year 2016 --price 9850
      carbonledger regulator extract green-finance region-demo --year 2016 --output json
    """
    from carbon.regulator.oversight import EXTRACTS

    view, found = overseen(region, year, as_of, viewer, member)
    present(view, found.extract(which.value, price), output, EXTRACTS[which.value])


@app.command("kept")
def kept(
    region: Region,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Hold the last measures recorded for a region against what the meters show, subject by subject.

    Usual is what was emitted in the 28 days before, or as many of them as are recorded, for as long a time. While not
    all of the alert's time is recorded, nothing is said.

    \b
      carbonledger regulator kept region-demo
    """
    from carbon.ledger.moment import moment_of
    from carbon.regulator.figures import decimal
    from carbon.regulator.weather import Usual, compare
    from infra import figures

    view, found = overseen(region, 0, as_of, viewer, member)
    alert = found.statements.alerts.get(region)
    if alert is None:
        refuse(f"no measures were recorded for {region} by height {view.height}")
    before = figures.Span(alert["start"] - USUAL_DAYS * DAY_MS, alert["start"])
    copy = copy_of(member)
    moment = moment_of(as_of, copy.channel.genesis.utc_offset_minutes)
    earlier, during = figures.emitted(copy, moment, [before, figures.Span(alert["start"], alert["end"])])
    usual = {name: Usual(shown.emission_g, alert["start"] - shown.first) for name, shown in earlier.items()}
    actual = {name: shown.emission_g for name, shown in during.items() if shown.last == alert["end"]}
    rows = (
        {name: getattr(each, name) for name in KEPT} | {"percent": each.percent and decimal(each.percent, 1)}
        for each in compare(alert, usual, actual)
    )
    present(view, rows, output, KEPT)


def refuse(reason: object) -> NoReturn:
    """Say why, and exit with 1."""
    print(f"carbonledger: {reason}", file=sys.stderr)
    raise typer.Exit(CHECK_FAILED)
