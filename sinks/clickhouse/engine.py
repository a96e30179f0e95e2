"""One way to a ClickHouse: the embedded engine (chDB) in a folder, or a server by its URL.

One process owns the folder of an embedded engine; a second one gets an error. The engine does not survive a fork:
children are spawned.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa

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


class EngineError(RuntimeError):
    """The ClickHouse that the setting names can't be had; the message says why."""


def folder(data_dir: Path) -> Path:
    """Where the embedded engine of a data folder keeps its tables."""
    return data_dir / "clickhouse"


def open_client(data_dir: Path, url: str = "") -> Any:
    """A clickhouse-connect client in database `carbon`: of the server at `url`, or embedded in `data_dir` if empty.

    Raises EngineError, for instance while another process owns the folder.
    """
    try:
        client = clickhouse_connect.get_client(dsn=url) if url else _embedded(folder(data_dir))
        client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    except clickhouse_connect.driver.exceptions.Error as error:
        raise EngineError(f"ClickHouse at {url or folder(data_dir)}: {error}") from error
    client.database = DATABASE
    return client


def _embedded(path: Path) -> Any:
    path.mkdir(parents=True, exist_ok=True)
    return clickhouse_connect.get_client(interface="chdb", path=str(path))


def insert(client: Any, table: str, rows: pa.Table, offsets: Iterable[str]) -> None:
    """Insert `rows` as one part. `offsets` names the messages they were made from.

    A repeat of the very same insert, as by a connection that is tried again, is dropped by its token.
    """
    assert 0 < len(rows) <= MAX_INSERT_ROWS
    token = sha256("\n".join(offsets).encode()).hexdigest()
    client.insert_arrow(table, rows, settings={**_ONE_PART, "insert_deduplication_token": token})
