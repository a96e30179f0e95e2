"""A feed turns the messages of its topics into rows of its tables, and knows from the tables where to go on."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from sinks.clickhouse import engine

Place = tuple[str, int]
"""Topic and partition."""


class Message(NamedTuple):
    """A message and where it stood."""

    topic: str
    partition: int
    offset: int
    value: bytes

    @property
    def origin(self) -> str:
        """Its place, as the token of an insert is made from it."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class PoisonedError(ValueError):
    """A message that no row can be made from."""


class EarlyError(ValueError):
    """A message that waits on its topic until the ledger was read further."""


class Feed(Protocol):
    """What the sink asks of a feed. A feed is used by one thread."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics it takes messages from."""

    def resume(self, client: Any) -> Mapping[Place, int]:
        """Learn from the tables what they hold; the offset after the last known one of each place that is known."""

    def take(self, message: Message) -> None:
        """Take a message into the open batch, or drop it as known. Raises PoisonedError, EarlyError."""

    @property
    def waiting(self) -> int:
        """Rows of the open batch."""

    def flush(self, client: Any) -> None:
        """Write the open batch, each table's rows as one part."""


def greatest_offsets(client: Any, table: str, topic: str) -> dict[Place, int]:
    """The offset after the greatest of each partition in a table whose rows come from one topic."""
    rows = client.query(f"SELECT `partition`, max(`offset`) FROM {table} GROUP BY `partition`").result_rows
    return {(topic, partition): offset + 1 for partition, offset in rows}


class RowBatch:
    """Rows on their way into one table."""

    def __init__(self, table: str, schema: pa.Schema) -> None:
        self.table = table
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._origins: list[str] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[dict[str, Any]], origin: str) -> None:
        """Add the rows that were made from the message at `origin`."""
        self._rows.extend(rows)
        self._origins.append(origin)

    def flush(self, client: Any) -> None:
        """Insert the rows as one part."""
        if self._rows:
            engine.insert(client, self.table, pa.Table.from_pylist(self._rows, self._schema), self._origins)
        self._rows, self._origins = [], []
