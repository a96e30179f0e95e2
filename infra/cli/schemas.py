"""`carbonledger schemas`: the contracts, for this machine's clients and for another registry."""

import sys
from typing import Annotated

import typer

from infra.cli.output import Form, Output, show

app = typer.Typer(no_args_is_help=True, help="The Avro schemas: list, serve, push, and the AsyncAPI document.")


@app.command("list")
def list_(output: Output = Form.TABLE) -> None:
    """List every published schema version with its id.

    \b
      carbonledger schemas list --output json
    """
    from schemas import history

    rows = [{"id": v.id, "name": v.name, "version": v.number} for v in history.versions()]
    show(sorted(rows, key=lambda row: int(str(row["id"]))), output, ("id", "name", "version"))


@app.command()
def serve(port: Annotated[int, typer.Option(help="Loopback port; 0 for a free one.")] = 0) -> None:
    """Answer a schema registry's read-only REST on loopback until Ctrl-C. Prints the address.

    \b
      carbonledger schemas serve --port 8081
    """
    from infra.errors import EnvironmentFault
    from schemas import server

    try:
        server.serve(port=port, say=lambda url: print(url, flush=True))
    except OSError as error:
        raise EnvironmentFault(f"port {port} can't be taken ({error}): name another with --port") from error


@app.command()
def push(
    url: Annotated[str, typer.Argument(help="Address of a Confluent-compatible registry.")], output: Output = Form.TABLE
) -> None:
    """Register every schema at another registry, under the ids that our messages carry where it lets us.

    \b
      carbonledger schemas push http://registry.example:8081
    """
    from infra.errors import EnvironmentFault
    from schemas.push import push as push_all

    try:
        pushed = push_all({"url": url})
    except Exception as error:
        # the client raises its HTTP library's errors and its own
        raise EnvironmentFault(f"the registry at {url} did not take them: {error}") from error
    rows = [{"subject": p.subject, "version": p.version.number, "id": p.id, "kept": p.kept} for p in pushed]
    show(rows, output, ("subject", "version", "id", "kept"))


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI 3 document of all topics.

    \b
      carbonledger schemas asyncapi > asyncapi.yaml
    """
    from schemas import asyncapi as document

    sys.stdout.write(document.text())
