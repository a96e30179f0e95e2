"""`carbonledger anomalies`: what is unusual of meter points."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from infra.cli.output import Form, Output

COLUMNS = ("id", "subject", "state", "verdict", "since", "at", "score", "per_month", "figures")
PARTS = ("point", "kind", "assessments")
"""What programs get beside them."""


def anomalies(
    point: Annotated[str | None, typer.Argument(metavar="[POINT]", help="A point's id; all points without.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over, each as it was told.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Show the invariants of points that are broken, with the figures that say so.

    They are statistics, and post nothing. `score` says by how many times a figure is above its limit, `per_month` how
    often in 30 days such a figure is to be expected without a fault (docs/anomalies.md). `verdict` is what a regulator
    or verifier said of it, as the process of anomalies on this machine knows from the ledger.

    \b
      carbonledger anomalies
      carbonledger anomalies coal-north --all --output json

    \b
    Confirm or dismiss one by its id, with `carbonledger submit`:
      kind = "assessment"
      subject = "coal-north"
      point = "coal-north-1"
      anomaly = "anomaly/coal-north-1/stuck/raised/1457226900000"
      verdict = "dismissed"
      reason = "the unit stood still for a service"
    """
    from infra import anomalies as read
    from infra import processes, services, settings
    from infra.cli.output import show
    from streams.anomaly.store import assessed

    loaded = settings.load()
    told = read.told(services.client(loaded), point)
    said = assessed(loaded.data / processes.STORES / processes.ANOMALIES)
    rows = told if every else read.standing(told)
    shown = (*COLUMNS, *PARTS) if output is Form.JSON else COLUMNS
    show([_row(read.with_verdict(row, said.get(row["id"], ())), output) for row in rows], output, shown)


def _row(anomaly: dict[str, Any], form: Form) -> dict[str, Any]:
    row = anomaly | {"state": "over" if anomaly["resolved"] else "broken"}
    if form is Form.JSON:
        return row
    figures = ", ".join(f"{one['name']} {one['value']}" for one in anomaly["figures"])
    row |= {
        name: datetime.fromtimestamp(anomaly[name] / 1000, UTC).strftime("%Y-%m-%d %H:%M") for name in ("since", "at")
    }
    return row | {"score": f"{anomaly['score']:.2f}", "per_month": f"{anomaly['per_month']:.2g}", "figures": figures}
