"""The commands that read a region's ledger."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Form, Output
from infra.cli.reading import AsOf, Member, Viewer, Year, present, sight, view_of

if TYPE_CHECKING:
    from carbon.ledger.reads import View
    from carbon.subjects import Total

REGION = ("subject", "name", "kind", "sector", "own_g", "emission_g", "unit", "share_percent")


def region(
    name: Annotated[str, typer.Argument(metavar="REGION", help="A subject's id in the registry.")],
    year: Year = None,
    as_of: AsOf = None,
    viewer: Viewer = None,
    member: Member = 0,
    output: Output = Form.TABLE,
) -> None:
    """Show the subjects of a region with their emissions, own and with all below them, and the region's total.

    \b
      carbonledger region region-demo
      carbonledger region region-demo --year 2016 --as-of 2026-06-30 --output json
      carbonledger region region-demo --viewer public
    """
    from carbon.ledger.structure import totals_within

    view = view_of(member, as_of)
    totals = totals_within(sight(view, name, viewer, view.emissions(name, year)), name, view.way(name), view.registry)
    present(view, _rows(view, name, totals), output, REGION)


def _rows(view: "View", top: str, totals: "dict[str, Total]") -> Iterator[dict[str, Any]]:
    """A row each, by name, the whole last."""
    from carbon.ledger.structure import share
    from carbon.subjects import Total

    whole = totals.get(top, Total())
    for name, total in [*sorted(item for item in totals.items() if item[0] != top), (top, whole)]:
        known = view.registry.subjects.get(name)
        about = {"name": known.name, "kind": known.kind, "sector": known.sector} if known else {}
        figures = {"own_g": total.own_g, "emission_g": total.grams, "share_percent": share(total.grams, whole.grams)}
        yield {"subject": name, **about, **figures, "unit": "g CO2e"}
