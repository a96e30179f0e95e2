"""`carbonledger tables`: who may read the ClickHouse tables, and the same as a server's own SQL."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Who may read the ClickHouse tables (docs/clickhouse.md).")
CHECK_FAILED = 1


def _folder(settings: "Settings") -> Path:
    from infra import processes

    folder = settings.data / processes.STORES
    if not folder.is_dir():
        raise EnvironmentFault(f"there are no tables in {settings.data} yet: run `carbonledger up` first")
    return folder


@app.command()
def admit(
    name: Annotated[str, typer.Argument(help="A name for the reader, which it asks under.")],
    party: Annotated[str, typer.Option(help="The registered party that it reads for.")],
) -> None:
    """Let a reader in, and print its token, which is kept nowhere: a second time it gets another one.

    It sees the rows of the subjects that its party may see, each while it may: an enterprise itself and those under
    it, a regulator its region, a verifier those it is assigned. Who comes without a name is the public.

    \b
      carbonledger tables admit grafana-north --party north-office
      curl -u grafana-north:TOKEN "http://127.0.0.1:PORT/" --data-binary "SELECT * FROM balances"
    """
    from infra import settings
    from sinks.clickhouse import access

    try:
        print(access.add(_folder(settings.load()), name, party))
    except access.AccessError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def dismiss(name: Annotated[str, typer.Argument(help="The reader's name.")]) -> None:
    """Let a reader in no longer, from its next question on.

    \b
      carbonledger tables dismiss grafana-north
    """
    from infra import settings
    from sinks.clickhouse import access

    if not access.remove(_folder(settings.load()), name):
        print(f"carbonledger: no reader {name!r} was let in", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED)


@app.command()
def readers(output: Output = Form.TABLE) -> None:
    """List who may read, and for which party.

    \b
      carbonledger tables readers
    """
    from infra import settings
    from sinks.clickhouse import access

    known = access.readers(_folder(settings.load()))
    show([{"reader": name, "party": entry.party} for name, entry in known.items()], output, ("reader", "party"))
