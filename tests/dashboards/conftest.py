"""The recorded scenario: made once a session, opened once a module."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks.clickhouse import engine
from sinks.clickhouse.reader import Reader
from tests.dashboards.recorded import fill

Ask = Callable[[str], bytes]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tables of the scenario."""
    folder: Path = tmp_path_factory.mktemp("recorded")
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def ask(recorded: Path) -> Iterator[Ask]:
    """Asks the real engine as the loopback interface does: one reading statement, its answer in JSONCompact."""
    client: Any = engine.open_client(recorded)
    reader = Reader(engine.folder(recorded))
    yield lambda sql: reader.ask(sql, format_="JSONCompact")
    client.close()


def rows(answer: bytes) -> list[list[Any]]:
    """The rows of an answer."""
    found: list[list[Any]] = json.loads(answer)["data"]
    return found
