"""`carbonledger query`: ask the tables."""

import json
import sys
from typing import Annotated

import typer

from infra.cli.output import Form, Output

CHECK_FAILED = 1


def query(sql: Annotated[str, typer.Argument(help="One reading statement.")], output: Output = Form.TABLE) -> None:
    """Ask the ClickHouse tables, beside a running `up` or with nothing running.

    \b
      carbonledger query "SHOW TABLES"
      carbonledger query "SELECT * FROM balances ORDER BY account"
      carbonledger query "SELECT reason, count() FROM rejections GROUP BY reason" --output json
    """
    from infra import processes, settings
    from sinks.clickhouse.query import QueryError
    from sinks.clickhouse.query import query as ask

    own = settings.load()
    form = "PrettyCompactMonoBlock" if output is Form.TABLE else "JSONEachRow"
    try:
        answer = ask(sql, own.data / processes.STORES, own.clickhouse.get_secret_value(), form).decode()
    except QueryError as error:
        print(f"carbonledger: {error}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from error
    if output is Form.JSON:
        print(json.dumps([json.loads(line) for line in answer.splitlines() if line], indent=1, ensure_ascii=False))
    else:
        sys.stdout.write(answer)
