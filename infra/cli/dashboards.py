"""The commands of the dashboards: preview into one HTML file, push to a Grafana."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from infra.cli.output import Form, Output, show

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Grafana's dashboards, and the same without Grafana."
)
CHECK_FAILED = 1
USAGE = 2


@app.command()
def preview(
    to: Annotated[
        Path | None, typer.Option("--to", help="The file. Default: dashboards.html in the data folder.")
    ] = None,
) -> None:
    """Write every dashboard with the data as it is now into one HTML file that needs neither Grafana nor a network.

    Beside a running `up`, or with nothing running.

    \b
      carbonledger dashboards preview
      carbonledger dashboards preview --to /tmp/carbon.html
    """
    from infra import preview, settings
    from sinks.clickhouse.engine import EngineError
    from sinks.clickhouse.query import QueryError

    own = settings.load()
    try:
        print(preview.write(own, to))
    except (QueryError, EngineError) as error:
        _fail(error)


@app.command()
def push(
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take back what somebody changed in these dashboards.")
    ] = False,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Open them with the time that is recorded: for a replay.")
    ] = False,
    output: Output = Form.TABLE,
) -> None:
    """Bring the dashboards to the Grafana at CARBONLEDGER_GRAFANA, into a folder of their own.

    Repeated it changes nothing. What others made is never touched, and what somebody changed in these dashboards is
    kept unless --overwrite says otherwise. CARBONLEDGER_GRAFANA_TOKEN is a service account's token.

    \b
      CARBONLEDGER_GRAFANA=http://127.0.0.1:3000 carbonledger dashboards push
      carbonledger dashboards push --recorded --output json
    """
    from dashboards.boards import BOARDS
    from dashboards.push import PushError, connect, has_datasource
    from dashboards.push import push as bring
    from infra import settings
    from infra.preview import recorded_range
    from sinks.clickhouse.engine import EngineError
    from sinks.clickhouse.query import QueryError

    own = settings.load()
    if not own.grafana:
        print("carbonledger: CARBONLEDGER_GRAFANA names no Grafana: its URL is wanted", file=sys.stderr)
        raise typer.Exit(USAGE)
    try:
        grafana = connect(own.grafana, own.grafana_token.get_secret_value())
        shown = recorded_range(own) if recorded else None
        pushed = list(bring(grafana, BOARDS, overwrite=overwrite, shown=shown))
        lacking = not has_datasource(grafana)
    except (PushError, QueryError, EngineError) as error:
        _fail(error)
    show([one._asdict() for one in pushed], output, ("uid", "title", "outcome"))
    if lacking:
        print("carbonledger: this Grafana has no data source carbonledger yet: docs/dashboards.md", file=sys.stderr)


def _fail(error: Exception) -> NoReturn:
    print(f"carbonledger: {error}", file=sys.stderr)
    raise typer.Exit(CHECK_FAILED) from error
