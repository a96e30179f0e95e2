"""`carbonledger demo`: the main job, from nothing to verified balances."""

import sys
from typing import Annotated

import typer


def demo(
    days: Annotated[int | None, typer.Option(min=2, help="Replay only the first days, to see it sooner.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Don't print the declared parameters first.")] = False,
) -> None:
    """Replay a year of real readings through the whole pipeline.

    Starts a Kafka broker, gateways, Faust workers, seven members of the committee, the account processor and the
    ClickHouse sink, replays SimBench's quarter hours, checks everything and stops. The exit code is 0 only if every
    check held, 130 after Ctrl-C; an interrupted demonstration goes on at the next call, a finished one makes room for
    a new one.

    \b
      carbonledger demo                 the year: 1.7 million readings
      carbonledger demo --days 7        a week
      carbonledger --data /tmp/d demo   with its data elsewhere
    """
    from infra import settings
    from infra.demo import parameters, run

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if not quiet:
        run.show_parameters(parameters.load())
    raise typer.Exit(run.prepare(settings.load(), days, say).run())
