"""`carbonledger run ROLE`: one process of the product in the foreground, as the supervisor starts it."""

from typing import Annotated

import typer


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
    chosen.function()(own, *chosen.args)
