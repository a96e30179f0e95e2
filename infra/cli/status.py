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

COLUMNS = ("process", "state", "pid", "restarts", "seconds", "group", "lag", "height", "evidence", "votes_from")


def rows(
    run: "Run", lags: Mapping[str, int | None], height: int | None, reports: Mapping[str, dict[str, Any]], now: float
) -> list[dict[str, Any]]:
    """One row a process, and one for the ledger when its height is known. `now` in Unix seconds.

    `reports`: what each member last wrote about itself, by process.
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
            **{name: reports.get(member.process, {}).get(name) for name in ("evidence", "votes_from")},
        }
        for member in run.members
    ]
    return listed if height is None else [*listed, {"process": "ledger", "height": height}]


def status(output: Output = Form.TABLE) -> None:
    """Show what runs, its lag, the height.

    One line a process: its state, restarts, seconds in that state, the lag of its consumer group in messages, how many
    pieces of evidence a member keeps, and the height from which it votes again if its disk was set back; then the
    ledger's height as the broker shows it, unverified. Exit code 3 when nothing runs.

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
    listed = rows(run, lags, height, _reports(own.data), time.time())
    show(listed, output, COLUMNS)
    if any(row.get("evidence") for row in listed):
        print("carbonledger: members keep evidence, see 'carbonledger evidence list'", file=sys.stderr)
    for row in listed:
        if row.get("votes_from"):
            said = f"disk of {row['process']} was set back: no vote before height {row['votes_from']} is certified"
            print(f"carbonledger: the {said}", file=sys.stderr)


def _reports(data: Path) -> dict[str, dict[str, Any]]:
    """What each member last wrote about itself; a member that has written nothing yet is left out."""
    reports = (data / "members").glob("*/status.json")
    return {f"member-{path.parent.name}": json.loads(path.read_text()) for path in reports}
