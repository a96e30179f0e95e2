"""`carbonledger anomalies`: what is unusual of meter points."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infra.cli.output import Form, Output

COLUMNS = ("point", "kind", "state", "since", "at", "score", "per_month", "figures")


def anomalies(
    point: Annotated[str | None, typer.Argument(metavar="[POINT]", help="A point's id; all points without.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over, each as it was told.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Show the invariants of points that are broken, with the figures that say so.

    They are statistics, and post nothing. `score` says by how many times a figure is above its limit, `per_month` how
    often in 30 days such a figure is to be expected without a fault (docs/anomalies.md).

    \b
      carbonledger anomalies
      carbonledger anomalies coal-north --all --output json
    """
    from infra import anomalies as read
    from infra import services, settings
    from infra.cli.output import show

    told = read.told(services.client(settings.load()), point)
    rows = told if every else read.standing(told)
    show([_row(row, output) for row in rows], output, COLUMNS)


def _row(anomaly: dict[str, Any], form: Form) -> dict[str, Any]:
    row = anomaly | {"state": "over" if anomaly["resolved"] else "broken"}
    if form is Form.JSON:
        return row
    figures = ", ".join(f"{one['name']} {one['value']}" for one in anomaly["figures"])
    row |= {
        name: datetime.fromtimestamp(anomaly[name] / 1000, UTC).strftime("%Y-%m-%d %H:%M") for name in ("since", "at")
    }
    return row | {"score": f"{anomaly['score']:.2f}", "per_month": f"{anomaly['per_month']:.2g}", "figures": figures}
