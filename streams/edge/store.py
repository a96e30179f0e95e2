"""Store and forward: every packet is on disk, signed, before it is sent, and its source position with it.

One SQLite file, write-ahead logged and synced at each commit, owned by one process at a time: two writers of one chain
would sign two packets for one place. A packet keeps its bytes, random salt included, so what is sent again after a
crash is what was sent before. Packets that the broker has acknowledged stay for `horizon` packets more, and as long as
they are sent less than `keep_ms` before the last and the file needs no more than `keep_bytes`; then they go. With a new
run, whose key is another, what is kept is signed again as the beginning of that run's chain.

Before its packet an arrival stands in the inbox, from which it goes in the transaction that keeps the packet. Of the
last `remembered` arrivals a digest stays, so that one that comes again is known. They are looked up in memory: an index
on disk would be written anew in as many places as a group has arrivals.

Threads may share a store: each call is a transaction of its own.
"""

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from itertools import compress
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, Self

from carbon.packet import decode_body
from streams.edge.counter import Read
from streams.edge.packing import Head, Kept
from streams.edge.sources import Arrival, RawReading

HORIZON = 64
REMEMBERED = 100_000
PAGE = 16
"""Packets, or arrivals of the inbox, that are read from the disk at once."""
LOG_BYTES = 1 << 24
"""To what the write-ahead log is cut back."""

_TABLES = """
CREATE TABLE IF NOT EXISTS packet (
    sequence INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS frames (
    sequence INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS inbox (
    number INTEGER PRIMARY KEY, received INTEGER NOT NULL, device TEXT NOT NULL, raw BLOB NOT NULL,
    readings TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS register (
    point TEXT, at INTEGER, value INTEGER NOT NULL, PRIMARY KEY (point, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS commands (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL, digest BLOB NOT NULL, position TEXT NOT NULL, sent INTEGER NOT NULL
) STRICT;
"""


class StoreError(Exception):
    """A store that can't be used: owned by another process, or damaged."""


class RunOverError(StoreError):
    """A run that is not the store's, nor one behind it."""


class Signed(NamedTuple):
    """A body and the gateway's signature over it."""

    body: bytes
    signature: bytes


class StoredPacket(NamedTuple):
    """A packet as it is kept: its place in the chain, its signed bytes, the signature, and its frames if it has any."""

    sequence: int
    body: bytes
    signature: bytes
    frames: Signed | None = None


Again = Callable[[Head, StoredPacket], tuple[Signed, Signed | None]]
"""Signs a packet of an earlier run, and its frames, as what stands behind a head in the new one."""


class Store:
    """A gateway's chain on disk. Raises StoreError when another process has it open."""

    def __init__(
        self,
        path: Path,
        horizon: int = HORIZON,
        remembered: int = REMEMBERED,
        keep_ms: int = 0,
        keep_bytes: int = 0,
    ) -> None:
        self._horizon, self._remembered = horizon, remembered
        self._keep_ms, self._keep_bytes = keep_ms, keep_bytes
        self._lock = RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            self._own()
        except sqlite3.Error as error:
            self._db.close()
            raise StoreError(f"{path.name} can't be used ({error}): does another gateway run on it?") from error

    def _own(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        self._db.executescript(_TABLES)
        # a write takes the lock, which the locking mode then keeps until the process ends
        start = Head()
        self._db.execute("INSERT OR IGNORE INTO chain VALUES (1, ?, ?, '', 0)", (start.sequence, start.digest))
        numbers = "SELECT number FROM seen UNION ALL SELECT number FROM inbox"
        (self._number,) = self._one(f"SELECT coalesce(max(number), 0) FROM ({numbers})")
        self._seen = deque(digest for (digest,) in self._all("SELECT digest FROM seen ORDER BY number", ()))
        self._digests = set(self._seen)

    def head(self) -> Head:
        """The end of the chain: the last stored packet's sequence and digest."""
        return Head(*self._one("SELECT sequence, digest FROM chain"))

    def run(self) -> int | None:
        """The run of the chain; None while it is empty. Raises StoreError when the last packet is gone."""
        newest = self._newest()
        return newest and decode_body(newest.body).run

    def _newest(self) -> StoredPacket | None:
        sequence = self.head().sequence
        found = next(self._packets(sequence - 1, 1), None)
        if found is None and sequence:
            raise StoreError(f"the last packet of the chain, {sequence}, is not kept")
        return found

    def begin(self, run: int, again: Again) -> int:
        """Begin a run with what is kept, signed by `again`, instead of the former run's; how many packets.

        What the broker had is to be sent again too: what of it is recorded already, the channel knows. The store's own
        run goes on, and an empty store begins any. Raises RunOverError for an earlier one.
        """
        before = self.run()
        if before is not None and before > run:
            raise RunOverError(f"run {run} is over: its store is in run {before}")
        if before is None or before == run:
            return 0
        count, head = 0, Head()
        with self._transaction():
            for stored in self._packets(0):
                signed, frames = again(head, stored)
                head = head.after(signed.body)
                count += 1
                for table in ("packet", "frames"):
                    self._db.execute(f"DELETE FROM {table} WHERE sequence = ?", (stored.sequence,))
                self._put(head.sequence, signed, frames)
            self._db.execute("UPDATE chain SET sequence = ?, digest = ?, sent = 0", head)
        return count

    def _put(self, sequence: int, signed: Signed, frames: Signed | None) -> None:
        self._db.execute("INSERT INTO packet VALUES (?, ?, ?)", (sequence, *signed))
        if frames:
            self._db.execute("INSERT INTO frames VALUES (?, ?, ?)", (sequence, *frames))

    def position(self) -> str:
        """Where the source stood behind the last stored packet; empty before the first."""
        return str(self._one("SELECT position FROM chain")[0])

    def sent(self) -> int:
        """The last sequence that the broker has acknowledged, and every one before it."""
        return int(self._one("SELECT sent FROM chain")[0])

    def bytes_used(self) -> int:
        """What the file needs on disk; pages that it could reuse are not counted, nor is the write-ahead log."""
        pages, free, size = (self._one(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def keep(self, came: Sequence[tuple[int, Arrival]]) -> list[bool]:
        """Put arrivals, with the times in ms UTC at which they were received, into the inbox: which of them were new.

        When this returns, all are on disk, or were before; when it doesn't, none of the new ones is.
        """
        texts = [_text(arrival.readings) for _, arrival in came]
        digests = [_digest(arrival, text) for (_, arrival), text in zip(came, texts, strict=True)]
        with self._lock:
            new, fresh = self._new(digests)
            numbers = range(self._number + 1, self._number + 1 + len(fresh))
            rows = ((at, one.device, one.raw, text) for (at, one), text in compress(zip(came, texts, strict=True), new))
            with self._transaction():
                self._db.executemany("INSERT INTO seen VALUES (?, ?)", zip(numbers, fresh, strict=True))
                named = ((number, *row) for number, row in zip(numbers, rows, strict=True))
                self._db.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?, ?)", named)
                self._db.execute("DELETE FROM seen WHERE number < ?", (numbers.stop - self._remembered,))
            self._number += len(fresh)
            self._remember(fresh)
        return new

    def _new(self, digests: Iterable[bytes]) -> tuple[list[bool], list[bytes]]:
        """Which digests are met for the first time, and those, in order."""
        met, fresh = set[bytes](), list[bytes]()
        new = []
        for digest in digests:
            new.append(digest not in self._digests and digest not in met)
            if new[-1]:
                met.add(digest)
                fresh.append(digest)
        return new, fresh

    def _remember(self, fresh: Iterable[bytes]) -> None:
        self._seen.extend(fresh)
        self._digests.update(fresh)
        while len(self._seen) > self._remembered:
            self._digests.remove(self._seen.popleft())

    def inbox(self, after: int = 0, page: int = PAGE) -> Iterator[Kept]:
        """The arrivals in the inbox behind that number, in the order in which they came, read as they are asked for."""
        while rows := self._all("SELECT * FROM inbox WHERE number > ? ORDER BY number LIMIT ?", (after, page)):
            for number, received, device, raw, readings in rows:
                yield Kept(number, received, Arrival(device, raw, _readings(readings)))
            after = rows[-1][0]

    def append(
        self,
        body: bytes,
        signature: bytes,
        position: str,
        frames: Signed | None = None,
        upto: int = 0,
        registers: Sequence[Read] = (),
    ) -> StoredPacket:
        """Keep the next packet of the chain, its frames, and the source's position behind it; returns it.

        What stands in the inbox up to number `upto` is carried by it and goes; `registers` are known from then on. When
        this returns, all is on disk; when it doesn't, nothing has changed.
        """
        with self._transaction():
            head = self.head().after(body)
            self._put(head.sequence, Signed(body, signature), frames)
            self._db.execute("UPDATE chain SET sequence = ?, digest = ?, position = ?", (*head, position))
            self._db.execute("DELETE FROM inbox WHERE number <= ?", (upto,))
            for point, at, value, oldest in registers:
                self._db.execute("INSERT INTO register VALUES (?, ?, ?)", (point, at, value))
                self._db.execute("DELETE FROM register WHERE point = ? AND at < ?", (point, oldest))
        return StoredPacket(head.sequence, body, signature, frames)

    def register(self, point: str, at: int) -> int | None:
        """What a register was read at that time, ms UTC, in its scaled unit."""
        rows = self._all("SELECT value FROM register WHERE point = ? AND at = ?", (point, at))
        return int(rows[0][0]) if rows else None

    def unsent(self, after: int = 0, page: int = PAGE) -> Iterator[StoredPacket]:
        """The packets behind `after` that the broker has not acknowledged, in sequence order, read as asked for."""
        return self._packets(max(after, self.sent()), page)

    def _packets(self, after: int, page: int = PAGE) -> Iterator[StoredPacket]:
        query = "SELECT p.*, f.body, f.signature FROM packet p LEFT JOIN frames f USING (sequence)"
        while rows := self._all(f"{query} WHERE p.sequence > ? ORDER BY p.sequence LIMIT ?", (after, page)):
            for row in rows:
                sequence, body, signature, *signed = row
                yield StoredPacket(sequence, body, signature, None if None in signed else Signed(*signed))
            after = rows[-1][0]

    def sent_still_kept(self) -> Iterator[StoredPacket]:
        """The packets that the broker has acknowledged and that are kept nevertheless, in sequence order."""
        upto = self.sent()
        for stored in self._packets(0):
            if stored.sequence > upto:
                return
            yield stored

    def commands(self) -> str:
        """What is kept of commands, as JSON; empty before the first."""
        rows = self._all("SELECT state FROM commands", ())
        return str(rows[0][0]) if rows else ""

    def keep_commands(self, state: str) -> None:
        """Keep that instead; when this returns, it is on disk."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO commands VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET state = ?", (state,) * 2
            )

    def mark_sent(self, upto: int) -> None:
        """Every packet to `upto` is acknowledged; those that need not be kept are let go."""
        with self._transaction():
            self._db.execute("UPDATE chain SET sent = ? WHERE sent < ?", (upto, upto))
            last = self._last_to_go(upto - self._horizon)
            for table in ("packet", "frames"):
                self._db.execute(f"DELETE FROM {table} WHERE sequence <= ?", (last,))

    def _last_to_go(self, last: int) -> int:
        """Of the packets to `last`, the last that is not kept for its age."""
        if not self._keep_ms or self.bytes_used() > self._keep_bytes:
            return last
        newest = self._newest()
        young = (_sent_at(newest) if newest else 0) - self._keep_ms
        kept = (
            stored.sequence for stored in self._packets(0, 1) if stored.sequence > last or _sent_at(stored) >= young
        )
        return next(kept, last + 1) - 1

    def _one(self, query: str) -> tuple[Any, ...]:
        with self._lock:
            row: tuple[Any, ...] = self._db.execute(query).fetchone()
        return row

    def _all(self, query: str, values: tuple[int | str, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # a full disk has rolled it back already
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file; nothing is pending."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sent_at(stored: StoredPacket) -> int:
    return decode_body(stored.body).sent_at


def _digest(arrival: Arrival, readings: str) -> bytes:
    """What an arrival is known again by: its device, its bytes and what was read from them.

    The readings too, because a message without a time of its own is another one when it says the same again later.
    """
    device = arrival.device.encode()
    parts = (len(device).to_bytes(4), device, len(arrival.raw).to_bytes(4), arrival.raw, readings.encode())
    return sha256(b"".join(parts)).digest()


def _text(readings: Iterable[RawReading]) -> str:
    """The readings as JSON, written by hand in half the time: a list of [point, at, value as a text or null, flag]."""
    return f"[{', '.join([_text_of(*reading) for reading in readings])}]"


def _text_of(point: str, at: int, value: Decimal | None, flag: str) -> str:
    number = "null" if value is None else f'"{value!s}"'
    return f"[{_quoted(point)}, {at}, {number}, {_quoted(flag)}]"


def _readings(text: str) -> tuple[RawReading, ...]:
    rows = json.loads(text)
    return tuple(RawReading(p, at, None if value is None else Decimal(value), flag) for p, at, value, flag in rows)
