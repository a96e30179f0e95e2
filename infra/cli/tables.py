"""`carbonledger tables`: who may read the ClickHouse tables, and the SQL of tables and readers for a server."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.output import Form, Output, show
from infra.cli.reading import Member, view_of
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may read the ClickHouse tables.")
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


Cluster = Annotated[str, typer.Option(help="For all servers of this cluster. Default: one server.")]


@app.command()
def roles(cluster: Cluster = "", member: Member = 0) -> None:
    """Print the SQL that gives a ClickHouse server the same readers, with roles and row policies of every party.

    Each statement can be repeated: run it again after a change of the registry, as a user who may grant. Our tests
    parse it; it has run on no server of ours.

    \b
      carbonledger tables roles | clickhouse-client --multiquery
    """
    from infra import settings
    from sinks.clickhouse import access
    from sinks.clickhouse import roles as made

    view = view_of(member, None)
    for statement in made.statements(view.registry, access.readers(_folder(settings.load())), view.time_ms, cluster):
        print(f"{statement};")


@app.command()
def ddl(cluster: Cluster = "") -> None:
    """Print the SQL of all tables and views, which the sink runs itself at its start.

    Our tests parse that of a cluster, with replicated engines; it has run on no server of ours.

    \b
      carbonledger tables ddl
      carbonledger tables ddl --cluster main
    """
    from sinks.clickhouse.migrate import load, statements

    for statement in statements(load(), cluster):
        print(f"{statement};\n")
