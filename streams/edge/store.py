"""Store and forward: every packet is on disk, signed, before it is sent, and its source position with it.

One SQLite file, write-ahead logged and synced at each commit, owned by one process at a time: two writers of one chain
would sign two packets for one place. A packet keeps its bytes, random salt included, so what is sent again after a
crash is what was sent before. Packets that the broker has acknowledged stay for `horizon` packets more, then go.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from streams.edge.packing import Head

HORIZON = 64

_TABLES = """
CREATE TABLE IF NOT EXISTS packet (
    sequence INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL, digest BLOB NOT NULL, position TEXT NOT NULL, sent INTEGER NOT NULL
) STRICT;
"""


class StoreError(Exception):
    """A store that can't be used: owned by another process, or damaged."""


class StoredPacket(NamedTuple):
    """A packet as it is kept: its place in the chain, its signed bytes and the signature."""

    sequence: int
    body: bytes
    signature: bytes


class Store:
    """A gateway's chain on disk. Raises StoreError when another process has it open."""

    def __init__(self, path: Path, horizon: int = HORIZON) -> None:
        self._horizon = horizon
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._own()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(f"{path.name} can't be used ({error}): does another gateway run on it?") from error

    def _own(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_TABLES)
        # a write takes the lock, which the locking mode then keeps until the process ends
        start = Head()
        self._db.execute("INSERT OR IGNORE INTO chain VALUES (1, ?, ?, '', 0)", (start.sequence, start.digest))

    def head(self) -> Head:
        """The end of the chain: the last stored packet's sequence and digest."""
        return Head(*self._db.execute("SELECT sequence, digest FROM chain").fetchone())

    def position(self) -> str:
        """Where the source stood behind the last stored packet; empty before the first."""
        return str(self._db.execute("SELECT position FROM chain").fetchone()[0])

    def sent(self) -> int:
        """The last sequence that the broker has acknowledged, and every one before it."""
        return int(self._db.execute("SELECT sent FROM chain").fetchone()[0])

    def append(self, body: bytes, signature: bytes, position: str) -> int:
        """Keep the next packet of the chain and the source's position behind it; returns its sequence.

        When this returns, both are on disk; when it doesn't, neither is.
        """
        with self._transaction():
            head = self.head().after(body)
            self._db.execute("INSERT INTO packet VALUES (?, ?, ?)", (head.sequence, body, signature))
            self._db.execute("UPDATE chain SET sequence = ?, digest = ?, position = ?", (*head, position))
        return head.sequence

    def unsent(self) -> list[StoredPacket]:
        """The packets that the broker has not acknowledged, in sequence order."""
        rows = self._db.execute("SELECT * FROM packet WHERE sequence > ? ORDER BY sequence", (self.sent(),))
        return [StoredPacket(*row) for row in rows]

    def mark_sent(self, upto: int) -> None:
        """Every packet to `upto` is acknowledged; those further back than the horizon are let go."""
        with self._transaction():
            self._db.execute("UPDATE chain SET sent = ? WHERE sent < ?", (upto, upto))
            self._db.execute("DELETE FROM packet WHERE sequence <= ?", (upto - self._horizon,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file; nothing is pending."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
