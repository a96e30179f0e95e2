"""`carbonledger run ROLE`: one process of the product in the foreground, as the supervisor starts it."""

from typing import Annotated

import typer


def run(role: Annotated[str, typer.Argument(help="A role's name, as 'carbonledger status' lists them.")]) -> None:
    """Run one process in the foreground until SIGTERM, for a container or a debugger.

    \b
      CARBONLEDGER_BOOTSTRAP=kafka:9092 carbonledger run member-0
    """
    import structlog

    from infra import channel, endpoints, logging, services, settings, tracing
    from infra.roles import BROKER, roles_of
    from schemas.observed import PROCESS

    own = settings.load()
    # the broker knows of no channel
    candidates = (BROKER,) if role == BROKER.name else roles_of(channel.load(own.data))
    roles = {candidate.name: candidate for candidate in candidates}
    if role not in roles:
        raise typer.BadParameter(f"there is no role {role!r}, only {', '.join(roles)}")
    chosen = roles[role]
    logging.configure(own.log, own.log_level, role)
    if chosen is BROKER:
        # this process turns into another, which has none of our threads
        chosen.function()(own, *chosen.args)
        return
    if BROKER.name in chosen.depends:
        endpoints.needs_broker(PROCESS, services.client(own)["bootstrap.servers"])
    tracing.start(role)
    try:
        with endpoints.serving(own.data, role, PROCESS, own.metrics_host, own.metrics_port):
            chosen.function()(own, *chosen.args)
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        structlog.get_logger(role).critical("stops for good reason", reason=end.code)
        raise SystemExit(1) from None
