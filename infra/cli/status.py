"""`carbonledger status`: each process, how far it is behind, and the height of the ledger."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.runfile import Run
    from infra.watch import Stage

COLUMNS = (
    *("process", "state", "pid", "restarts", "seconds", "group", "topic", "lag", "oldest", "held"),
    *("height", "evidence", "votes_from", "endpoint"),
)


MEMBERS = "carbon.member-"
"""The groups of members: what waits for the committee as a whole has a row of its own."""


def rows(
    run: "Run",
    stages: Sequence["Stage"],
    height: int | None,
    reports: Mapping[str, dict[str, Any]],
    endpoints: Mapping[str, str],
    now: float,
) -> list[dict[str, Any]]:
    """One row a process, and one for the ledger when its height is known. `now` in Unix seconds.

    `reports`: what each process last wrote about itself, if it does; `endpoints`: where each serves /metrics. Behind
    them a row for each of `stages`.
    """
    lags = Counter[str]()
    for stage in stages:
        lags[stage.group] += stage.waiting
    listed: list[dict[str, Any]] = [
        {
            "process": member.process,
            "state": member.state,
            "pid": member.pid,
            "restarts": member.restarts,
            "seconds": round(now - member.since),
            "group": member.group,
            "lag": lags.get(member.group) if member.group else None,
            **{name: reports.get(member.process, {}).get(name) for name in ("held", "evidence", "votes_from")},
            "endpoint": endpoints.get(member.process) if member.pid else None,
        }
        for member in run.members
    ]
    listed += [
        {"process": "waiting", "group": stage.group, "topic": stage.topic, "lag": stage.waiting, "oldest": stage.oldest}
        for stage in stages
        if not stage.group.startswith(MEMBERS)
    ]
    return listed if height is None else [*listed, {"process": "ledger", "height": height}]


def status(output: Output = Form.TABLE) -> None:
    """Show what runs, its lag, the height.

    One line a process: its state, restarts, seconds in that state, the lag of its consumer group in messages, how many
    pieces of evidence a member keeps, and the height from which it votes again if its disk was set back. Then one line
    for each stage: how many messages of which topic wait for which group, and the oldest one's age in seconds;
    'committee' is what the ledger doesn't show yet, in batches. A process that is held takes nothing until what is
    behind it has caught up. Last the ledger's height as the broker shows it, unverified. Exit code 3 when nothing runs.
    'endpoint' is where a process answers /metrics, /live and /ready.

    \b
      carbonledger status
      carbonledger status --output json | python3 -m json.tool
    """
    import time

    from infra import runfile, settings
    from infra.endpoints import addresses
    from infra.metrics import reports
    from infra.watch import ledger_height
    from infra.watch import stages as stages_of

    own = settings.load()
    run = runfile.running(own.data)
    client = own.client(run.bootstrap)
    try:
        stages = stages_of(client, {member.group for member in run.members if member.group}, own.data)
        height = ledger_height(client)
    except EnvironmentFault as fault:
        # while the broker starts again the processes are still worth showing
        print(f"carbonledger: {fault}", file=sys.stderr)
        stages, height = [], None
    listed = rows(run, stages, height, reports(own.data), addresses(own.data), time.time())
    show(listed, output, COLUMNS)
    if any(row.get("evidence") for row in listed):
        print("carbonledger: members keep evidence, see 'carbonledger evidence list'", file=sys.stderr)
    for row in listed:
        if row.get("votes_from"):
            said = f"disk of {row['process']} was set back: no vote before height {row['votes_from']} is certified"
            print(f"carbonledger: the {said}", file=sys.stderr)
