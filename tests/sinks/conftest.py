"""Fixtures of the sink's tests. The embedded engine serves one folder a process: a client is closed before the next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks.clickhouse import engine
from sinks.clickhouse.migrate import migrate


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """An embedded database with all tables, in `tmp_path`."""
    client = engine.open_client(tmp_path)
    migrate(client)
    yield client
    client.close()
