"""A feed turns the messages of its topics into rows of its tables, and knows from the tables where to go on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from sinks.clickhouse import engine
from sinks.clickhouse.engine import UnfitError

Item = TypeVar("Item")

Place = tuple[str, int]
"""Topic and partition."""


class Message(NamedTuple):
    """A message and where it stood."""

    topic: str
    partition: int
    offset: int
    value: bytes
    at: int | None = None
    """When the broker got it, ms UTC."""

    @property
    def origin(self) -> str:
        """Its place, as the token of an insert is made from it."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class PoisonedError(ValueError):
    """A message that no row can be made from."""


class EarlyError(ValueError):
    """A message that waits on its topic until the ledger was read further."""


Unfit = Callable[[str, str], None]
"""Told the origin of a message whose rows the engine does not take, and why. It keeps that before it returns."""


def stop(origin: str, reason: str) -> None:
    """What the ledger's tables do with a row that does not fit: nothing certified is left out. Raises UnfitError."""
    raise UnfitError(f"{origin}: {reason}")


def insert_fit(
    items: Sequence[Item], insert: Callable[[Sequence[Item]], None], unfit: Callable[[Item, str], None]
) -> None:
    """Insert all items at once; if some do not fit, halves of them, in order, until what does not fit stands alone."""
    try:
        insert(items)
    except UnfitError as error:
        if len(items) == 1:
            unfit(items[0], str(error))
            return
        middle = len(items) // 2
        insert_fit(items[:middle], insert, unfit)
        insert_fit(items[middle:], insert, unfit)


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

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Write the open batch, each table's rows as one part, without the messages whose rows do not fit."""


def greatest_offsets(client: Any, table: str, topic: str) -> dict[Place, int]:
    """The offset after the greatest of each partition in a table whose rows come from one topic."""
    rows = client.query(f"SELECT `partition`, max(`offset`) FROM {table} GROUP BY `partition`").result_rows
    return {(topic, partition): offset + 1 for partition, offset in rows}


class RowBatch:
    """Rows on their way into one table."""

    def __init__(self, table: str, schema: pa.Schema) -> None:
        self.table = table
        self._schema = schema
        self._taken: list[tuple[str, list[dict[str, Any]]]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, rows: Iterable[dict[str, Any]], origin: str) -> None:
        """Add the rows that were made from the message at `origin`."""
        self._taken.append((origin, list(rows)))
        self._rows += len(self._taken[-1][1])

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Insert the rows as one part; where some do not fit, without their messages, each told to `unfit`."""
        if self._rows:
            insert_fit(self._taken, lambda taken: self._insert(client, taken), lambda one, why: unfit(one[0], why))
        self._taken, self._rows = [], 0

    def _insert(self, client: Any, taken: Sequence[tuple[str, list[dict[str, Any]]]]) -> None:
        rows = [row for _, some in taken for row in some]
        if not rows:
            return
        try:
            made = pa.Table.from_pylist(rows, self._schema)
        except (pa.ArrowException, OverflowError) as error:
            raise UnfitError(str(error)) from error
        engine.insert(client, self.table, made, [origin for origin, _ in taken])
