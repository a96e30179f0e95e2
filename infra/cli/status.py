"""`carbonledger status`: each process, how far it is behind, and the height of the ledger."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.runfile import Run

COLUMNS = ("process", "state", "pid", "restarts", "seconds", "group", "lag", "height", "evidence")


def rows(
    run: "Run", lags: Mapping[str, int | None], height: int | None, evidence: Mapping[str, int], now: float
) -> list[dict[str, Any]]:
    """One row a process, and one for the ledger when its height is known. `now` in Unix seconds.

    `evidence`: how many pieces of evidence each member keeps, by process.
    """
    listed: list[dict[str, Any]] = [
        {
            "process": member.process,
            "state": member.state,
            "pid": member.pid,
            "restarts": member.restarts,
            "seconds": round(now - member.since),
            "group": member.group,
            "lag": lags.get(member.group) if member.group else None,
            "evidence": evidence.get(member.process),
        }
        for member in run.members
    ]
    return listed if height is None else [*listed, {"process": "ledger", "height": height}]


def status(output: Output = Form.TABLE) -> None:
    """Show what runs, its lag, the height.

    One line a process: its state, restarts, seconds in that state, the lag of its consumer group in messages, and how
    many pieces of evidence a member keeps; then the ledger's height as the broker shows it, unverified. Exit code 3
    when nothing runs.

    \b
      carbonledger status
      carbonledger status --output json | python3 -m json.tool
    """
    import time

    from infra import runfile, settings
    from infra.watch import group_lags, ledger_height

    own = settings.load()
    run = runfile.running(own.data)
    client = own.client(run.bootstrap)
    try:
        lags = group_lags(client, {member.group for member in run.members if member.group})
        height = ledger_height(client)
    except EnvironmentFault as fault:
        # while the broker starts again the processes are still worth showing
        print(f"carbonledger: {fault}", file=sys.stderr)
        lags, height = {}, None
    listed = rows(run, lags, height, _evidence(own.data), time.time())
    show(listed, output, COLUMNS)
    if any(row.get("evidence") for row in listed):
        print("carbonledger: members keep evidence, see 'carbonledger evidence list'", file=sys.stderr)


def _evidence(data: Path) -> dict[str, int]:
    """What each member's own report says; a member that has written none yet is left out."""
    reports = (data / "members").glob("*/status.json")
    return {f"member-{path.parent.name}": json.loads(path.read_text())["evidence"] for path in reports}
