"""`carbonledger query`: ask the tables, beside a running sink or with nothing running."""

import http.client
from pathlib import Path
from urllib.parse import urlencode

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error as DriverError

from sinks.clickhouse import access, engine
from sinks.clickhouse.http import LOOPBACK, PORT_FILE, instance
from sinks.clickhouse.reader import Reader, StatementError


class QueryError(RuntimeError):
    """A question that got no answer; the message says why, in the engine's words or ours."""


def query(sql: str, data_dir: Path, url: str = "", format_: str = "PrettyCompactMonoBlock") -> bytes:
    """The answer to one reading statement, in a ClickHouse output format.

    Asked is the server at `url` if there is one; otherwise the sink over `data_dir` if it runs; otherwise the embedded
    engine is opened here, which nobody else owns then. Raises QueryError.
    """
    try:
        if url:
            return _ask_server(sql, url, format_)
        port = running_port(data_dir)
        return _ask_sink(sql, data_dir, port, format_) if port else _ask_folder(sql, data_dir, format_)
    except (StatementError, engine.EngineError, access.AccessError, DriverError) as error:
        raise QueryError(str(error)) from error


def running_port(data_dir: Path) -> int | None:
    """The port of the sink that runs over `data_dir`; None if none does."""
    file = data_dir / PORT_FILE
    if not file.exists():
        return None
    port = int(file.read_text())
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", "/ping")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return port if answer.headers.get("X-ClickHouse-Server-Display-Name") == instance(data_dir) else None


def _ask_server(sql: str, url: str, format_: str) -> bytes:
    client = clickhouse_connect.get_client(dsn=url, database=engine.DATABASE)
    try:
        answer: bytes = client.raw_query(sql, fmt=format_, settings={"readonly": 1})
    finally:
        client.close()
    return answer


def _ask_sink(sql: str, data_dir: Path, port: int, format_: str) -> bytes:
    headers = {"X-ClickHouse-User": access.OWNER, "X-ClickHouse-Key": access.owner_token(data_dir)}
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=330)
    try:
        connection.request("POST", "/?" + urlencode({"default_format": format_}), sql.encode(), headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise QueryError(f"the sink on port {port} did not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise QueryError(body.decode(errors="replace").strip())
    return body


def _ask_folder(sql: str, data_dir: Path, format_: str) -> bytes:
    folder = engine.folder(data_dir)
    if not folder.is_dir():
        raise QueryError(f"there are no tables in {data_dir} yet: run `carbonledger demo` or `carbonledger up` first")
    return Reader(folder).ask(sql, format_=format_)
