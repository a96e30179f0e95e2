"""One way to a ClickHouse: the embedded engine (chDB) in a folder, or a server by its URL.

One process owns the folder of an embedded engine; a second one gets an error. The engine does not survive a fork:
children are spawned.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.cluster import SETTINGS, rendered

DATABASE = "carbon"
MAX_INSERT_ROWS = 1_048_576
"""An insert up to this many rows is one block, and so one part: all of it is there after a crash, or nothing."""

_ONE_PART = {
    "max_insert_block_size": MAX_INSERT_ROWS,
    "min_insert_block_size_rows": MAX_INSERT_ROWS,
    "min_insert_block_size_bytes": 1 << 32,
    "max_insert_threads": 1,
    "input_format_parallel_parsing": 0,
    "async_insert": 0,
    "insert_deduplicate": 1,
}


_UNFIT = {6, 27, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 407, 469}
"""Numbers of the engine's errors that are about what rows hold: parsing, types, ranges, sizes, nulls, constraints."""
_CODE = re.compile(r"[Cc]ode: (\d+)")


class UnfitError(ValueError):
    """Rows that the engine does not take, for what they hold."""


class EngineError(RuntimeError):
    """The ClickHouse that the setting names can't be had; the message says why."""


def folder(data_dir: Path) -> Path:
    """Where the embedded engine of a data folder keeps its tables."""
    return data_dir / "clickhouse"


def open_client(data_dir: Path, url: str = "", cluster: str = "") -> Any:
    """A clickhouse-connect client in database `carbon`: of the server at `url`, or embedded in `data_dir` if empty.

    `cluster` is the cluster that the server is one of, if it is. Raises EngineError, for instance while another process
    owns the folder.
    """
    try:
        client = _server(url, cluster) if url else _embedded(folder(data_dir))
        client.command(rendered(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic", cluster))
    except clickhouse_connect.driver.exceptions.Error as error:
        raise EngineError(f"ClickHouse at {url or folder(data_dir)}: {error}") from error
    client.database = DATABASE
    return client


def _server(url: str, cluster: str) -> Any:
    return clickhouse_connect.get_client(dsn=url, settings=SETTINGS if cluster else {})


def _embedded(path: Path) -> Any:
    path.mkdir(parents=True, exist_ok=True)
    return clickhouse_connect.get_client(interface="chdb", path=str(path))


def insert(client: Any, table: str, rows: pa.Table, offsets: Iterable[str]) -> None:
    """Insert `rows` as one part. `offsets` names the messages they were made from.

    A repeat of the very same insert, as by a connection that is tried again, is dropped by its token. Raises
    UnfitError; what the engine raises for other reasons: a disk that is full, a server that is away.
    """
    assert 0 < len(rows) <= MAX_INSERT_ROWS
    token = sha256("\n".join(offsets).encode()).hexdigest()
    try:
        client.insert_arrow(table, rows, settings={**_ONE_PART, "insert_deduplication_token": token})
    except DatabaseError as error:
        code = _CODE.search(str(error))
        if code is None or int(code[1]) not in _UNFIT:
            raise
        raise UnfitError(str(error)) from error
