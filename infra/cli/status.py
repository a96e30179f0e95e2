"""`carbonledger status`: each process, how far it is behind, and the height of the ledger."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.runfile import Run

COLUMNS = ("process", "state", "pid", "restarts", "seconds", "group", "lag", "height")


def rows(run: "Run", lags: Mapping[str, int | None], height: int | None, now: float) -> list[dict[str, Any]]:
    """One row a process, and one for the ledger when its height is known. `now` in Unix seconds."""
    listed: list[dict[str, Any]] = [
        {
            "process": member.process,
            "state": member.state,
            "pid": member.pid,
            "restarts": member.restarts,
            "seconds": round(now - member.since),
            "group": member.group,
            "lag": lags.get(member.group) if member.group else None,
        }
        for member in run.members
    ]
    return listed if height is None else [*listed, {"process": "ledger", "height": height}]


def status(output: Output = Form.TABLE) -> None:
    """Show what runs, its lag, the height.

    One line a process: its state, restarts, seconds in that state and the lag of its consumer group in messages; then
    the ledger's height as the broker shows it, unverified. Exit code 3 when nothing runs.

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
    show(rows(run, lags, height, time.time()), output, COLUMNS)
