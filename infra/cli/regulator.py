"""The commands that read a region's ledger."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output
from infra.cli.reading import AsOf, Member, Year, family, present, view_of

if TYPE_CHECKING:
    from carbon.ledger.reads import View

REGION = ("subject", "name", "kind", "parent", "emission_g", "unit", "share_percent")


def region(
    name: Annotated[str, typer.Argument(metavar="REGION", help="A subject's id in the registry.")],
    year: Year = None,
    as_of: AsOf = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show every subject of a region with its emissions, and the region's total, which is their sum.

    \b
      carbonledger region region-demo
      carbonledger region region-demo --year 2016 --as-of 2016-06-30 --output json
    """
    from carbon.ledger.reads import share

    view = view_of(member, as_of)
    subjects = family(view, name)
    rows = _subjects(view, subjects, None if year is None else f"{year:04d}")
    rows.append({"subject": "total", "name": view.registry.subjects[name].name, "emission_g": _whole(rows)})
    cells = ({**row, "unit": "g CO2e", "share_percent": share(row["emission_g"], _whole(rows[:-1]))} for row in rows)
    present(view, cells, output, REGION)


def _whole(rows: list[dict[str, Any]]) -> int:
    return sum(row["emission_g"] for row in rows)


def _subjects(view: "View", subjects: list[str], year: str | None) -> list[dict[str, Any]]:
    """A row for each that emitted."""
    sums: dict[str, int] = {}
    for part, grams in view.emissions(subjects, year):
        sums[part.subject] = sums.get(part.subject, 0) + grams
    known = ((view.registry.subjects[name], grams) for name, grams in sorted(sums.items()))
    return [{"subject": s.id, "name": s.name, "kind": s.kind, "parent": s.parent, "emission_g": g} for s, g in known]
