"""`carbonledger run ROLE`: one process of the product in the foreground, as the supervisor starts it."""

import gc
from typing import Annotated

import typer

COLLECT = (50_000, 20, 100)
"""Python's collector looks for cycles, of which there are few here; at its own pace it takes a third of the time of
what makes an object a record (`docs/benchmarks.md`)."""


def run(role: Annotated[str, typer.Argument(help="A role's name, as 'carbonledger status' lists them.")]) -> None:
    """Run one process in the foreground until SIGTERM, for a container or a debugger.

    \b
      CARBONLEDGER_BOOTSTRAP=kafka:9092 carbonledger run member-0
    """
    from infra import channel, logging, settings
    from infra.roles import BROKER, roles_of

    own = settings.load()
    # the broker knows of no channel
    candidates = (BROKER,) if role == BROKER.name else roles_of(channel.load(own.data))
    roles = {candidate.name: candidate for candidate in candidates}
    if role not in roles:
        raise typer.BadParameter(f"there is no role {role!r}, only {', '.join(roles)}")
    chosen = roles[role]
    logging.configure(own.log, own.log_level)
    function = chosen.function()
    gc.set_threshold(*COLLECT)
    function(own, *chosen.args)
