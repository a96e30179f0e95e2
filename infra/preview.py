"""The dashboards' preview over the tables of a run, and the time that these hold."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from infra import processes
from infra.settings import Settings

FILE = "dashboards.html"
_RECORDED = (
    "SELECT toUnixTimestamp64Milli(min(window_start)), "
    "toUnixTimestamp64Milli(max(window_start)) + 1000 * max(window_seconds) FROM records"
)


@contextmanager
def asking(settings: Settings) -> Iterator[Callable[[str], bytes]]:
    """Asks the tables for JSONCompact; the folder is held open if nobody runs over it. Raises EngineError."""
    from sinks.clickhouse import engine
    from sinks.clickhouse.query import query, running_port

    url, folder = settings.clickhouse.get_secret_value(), settings.data / processes.STORES
    alone = not url and running_port(folder) is None and engine.folder(folder).is_dir()
    client = engine.open_client(folder) if alone else None
    try:
        yield lambda sql: query(sql, folder, url, "JSONCompact")
    finally:
        if client is not None:
            client.close()


def write(settings: Settings, to: Path | None = None) -> Path:
    """Write the page and say where: into `to`, or the data folder. Raises QueryError, EngineError."""
    from dashboards.boards import BOARDS
    from dashboards.preview import page

    file = to or settings.data / FILE
    with asking(settings) as ask:
        made = page(BOARDS, ask, "Carbon ledger")
    fresh = file.with_suffix(".new")
    fresh.write_text(made)
    fresh.replace(file)
    return file


def recorded_range(settings: Settings) -> tuple[str, str]:
    """The time that the records span, as a dashboard has it. Raises QueryError, EngineError."""
    with asking(settings) as ask:
        ((first, last),) = json.loads(ask(_RECORDED))["data"]
    start, end = (datetime.fromtimestamp(int(at) / 1000, UTC) for at in (first, last))
    return f"{start:%Y-%m-%dT%H:%M:%S.000Z}", f"{end:%Y-%m-%dT%H:%M:%S.000Z}"
