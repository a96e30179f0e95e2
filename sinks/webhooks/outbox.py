"""The outbox on disk: what was read, what is told and to whom, and what became of it, in one SQLite file.

Alerts are taken in, and their events and deliveries written, in one transaction with the place in the topic. So is the
end of each attempt with the message about it, which stays until the broker has it. Synced at each commit; one process.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sinks.webhooks.message import Event
from sinks.webhooks.notices import MOST_SEEN, Group, Notices, Opening, dump
from sinks.webhooks.plan import DAY_MS, Outcome, Verdict, Waiting

FILE = "webhooks.sqlite"
KEEP_DELIVERED_MS = 7 * DAY_MS
MOST_DEAD = 100_000
"""Events of one subscription that were given up and can still be replayed."""
LOADED = 1_000
"""Events of one subscription that are held in memory."""
_TABLES = """
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1), offset INTEGER NOT NULL, applied INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS opening (key TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS grouping (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, event TEXT NOT NULL, state TEXT NOT NULL,
    attempt INTEGER NOT NULL, first_at INTEGER, due INTEGER NOT NULL, at INTEGER NOT NULL, status INTEGER, reason TEXT,
    UNIQUE (subscription, event)
);
CREATE INDEX IF NOT EXISTS state ON delivery (state, subscription, number);
CREATE TABLE IF NOT EXISTS failing (subscription TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outgoing (
    number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL
);
"""


class Outgoing(NamedTuple):
    """A message for Kafka; `number` is its place among those that the broker has not acknowledged."""

    number: int
    topic: str
    key: bytes
    value: bytes


class Attempt(NamedTuple):
    """An attempt that ended at `at`, and what follows. `message` tells of it on the topic of deliveries."""

    subscription: str
    waiting: Waiting
    at: int
    status: int | None
    verdict: Verdict
    message: bytes


@dataclass
class Change:
    """What one transaction keeps."""

    now: int
    offset: int | None = None
    applied: int | None = None
    seen: list[str] = field(default_factory=list)
    openings: dict[str, Opening | None] = field(default_factory=dict)
    groups: dict[str, Group | None] = field(default_factory=dict)
    events: list[tuple[Event, list[tuple[str, str]]]] = field(default_factory=list)
    """Each event with the subscriptions that want it, and the state in which its delivery begins."""
    attempts: list[Attempt] = field(default_factory=list)
    replayed: list[tuple[str, str | None]] = field(default_factory=list)
    """Subscription, and one event or all that were given up."""
    stopped: list[str] = field(default_factory=list)
    """Subscriptions of which nothing more is tried: what waits is given up."""
    removed: list[str] = field(default_factory=list)
    failing: dict[str, int | None] = field(default_factory=dict)
    outgoing: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)


class Outbox:
    """The file. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_TABLES)
        self._database.execute("INSERT OR IGNORE INTO place VALUES (1, 0, 0)")

    @property
    def place(self) -> tuple[int, int]:
        """The offset to go on from in the alerts, and how many events of the register were applied."""
        offset, applied = self._database.execute("SELECT offset, applied FROM place").fetchone()
        return offset, applied

    def load(self, notices: Notices) -> None:
        """Bring back the troubles that go on."""
        notices.seen = dict.fromkeys(id_ for (id_,) in self._database.execute("SELECT id FROM seen ORDER BY number"))
        for key, state in self._database.execute("SELECT key, state FROM opening"):
            notices.openings[key] = Opening(**json.loads(state))
        for name, state in self._database.execute("SELECT name, state FROM grouping"):
            notices.groups[name] = Group(**json.loads(state))

    def failing(self) -> dict[str, int]:
        """Since when each subscription fails that does."""
        return dict(self._database.execute("SELECT subscription, since FROM failing"))

    def waiting(self, subscription: str, after: int, most: int) -> list[Waiting]:
        """What waits for a subscription behind a number, in its order."""
        rows = self._database.execute(
            "SELECT number, event, kind, key, body, attempt, first_at, due FROM delivery JOIN event ON id = event"
            " WHERE state = 'waiting' AND subscription = ? AND number > ? ORDER BY number LIMIT ?",
            (subscription, after, most),
        )
        return [Waiting(*row) for row in rows]

    def outgoing(self, after: int) -> list[Outgoing]:
        """The messages behind a number that the broker has not acknowledged."""
        rows = self._database.execute(
            "SELECT number, topic, key, value FROM outgoing WHERE number > ? ORDER BY number LIMIT 10000", (after,)
        )
        return [Outgoing(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many deliveries wait or are given up, of all subscriptions."""
        rows = self._database.execute("SELECT state, count(*) FROM delivery WHERE state != 'delivered' GROUP BY state")
        return {"waiting": 0, "dead": 0} | dict(rows)

    def write(self, change: Change) -> None:
        """Keep all of a change, or nothing."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._take_in(change)
            self._attempted(change)
            self._registered(change)
            self._many("INSERT INTO outgoing (topic, key, value) VALUES (?, ?, ?)", change.outgoing)
            self._many("DELETE FROM outgoing WHERE number = ?", ((number,) for number in change.acknowledged))

    def _many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._database.executemany(statement, rows)

    def _take_in(self, change: Change) -> None:
        if change.offset is not None:
            self._database.execute("UPDATE place SET offset = ?", (change.offset,))
        if change.seen:
            self._many("INSERT INTO seen (id) VALUES (?)", ((id_,) for id_ in change.seen))
            self._database.execute("DELETE FROM seen WHERE number <= (SELECT max(number) FROM seen) - ?", (MOST_SEEN,))
        for table, column, states in (("opening", "key", change.openings), ("grouping", "name", change.groups)):
            kept = ((name, json.dumps(dump(state))) for name, state in states.items() if state is not None)
            self._many(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", kept)
            gone = ((name,) for name, state in states.items() if state is None)
            self._many(f"DELETE FROM {table} WHERE {column} = ?", gone)
        self._many(
            "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?)",
            ((*event, change.now) for event, wanted in change.events if wanted),
        )
        self._many(
            "INSERT OR IGNORE INTO delivery (subscription, event, state, attempt, due, at) VALUES (?, ?, ?, 0, 0, ?)",
            ((name, event.id, state, change.now) for event, wanted in change.events for name, state in wanted),
        )

    def _attempted(self, change: Change) -> None:
        self._many(
            "UPDATE delivery SET state = ?, attempt = ?, first_at = ?, due = ?, at = ?, status = ?, reason = ?"
            # what was given up meanwhile, because its subscription was disabled, doesn't wait again
            " WHERE number = ? AND (state = 'waiting' OR ? = 'delivered')",
            (_ended(attempt) for attempt in change.attempts),
        )
        for subscription, since in change.failing.items():
            if since is None:
                self._database.execute("DELETE FROM failing WHERE subscription = ?", (subscription,))
            else:
                self._database.execute("INSERT OR IGNORE INTO failing VALUES (?, ?)", (subscription, since))

    def _registered(self, change: Change) -> None:
        if change.applied is not None:
            self._database.execute("UPDATE place SET applied = ?", (change.applied,))
        for subscription, event in change.replayed:
            self._replay(subscription, event)
        for name in change.stopped:
            self._database.execute(
                "UPDATE delivery SET state = 'dead' WHERE subscription = ? AND state = 'waiting'", (name,)
            )
        for name in change.removed:
            self._database.execute("DELETE FROM delivery WHERE subscription = ?", (name,))
            self._database.execute("DELETE FROM failing WHERE subscription = ?", (name,))

    def _replay(self, subscription: str, event: str | None) -> None:
        """What was given up, or one event whatever became of it, goes to the end of its subscription."""
        chosen = "state = 'dead'" if event is None else "state != 'waiting' AND event = ?"
        rows = self._database.execute(
            f"DELETE FROM delivery WHERE subscription = ? AND {chosen} RETURNING number, event, attempt, at",
            (subscription,) if event is None else (subscription, event),
        ).fetchall()
        self._many(
            "INSERT INTO delivery (subscription, event, state, attempt, due, at) VALUES (?, ?, 'waiting', ?, 0, ?)",
            ((subscription, name, attempt, at) for _, name, attempt, at in sorted(rows)),
        )

    def prune(self, now: int) -> None:
        """Forget what was delivered long ago, the oldest of too many dead, and events that nobody waits for."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            past = now - KEEP_DELIVERED_MS
            self._database.execute("DELETE FROM delivery WHERE state = 'delivered' AND at < ?", (past,))
            self._database.execute(
                "DELETE FROM delivery WHERE number IN (SELECT number FROM (SELECT number, row_number() OVER"
                " (PARTITION BY subscription ORDER BY number DESC) AS place FROM delivery WHERE state = 'dead')"
                " WHERE place > ?)",
                (MOST_DEAD,),
            )
            self._database.execute("DELETE FROM event WHERE at < ? AND id NOT IN (SELECT event FROM delivery)", (past,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _ended(attempt: Attempt) -> tuple[Any, ...]:
    waiting, verdict = attempt.waiting, attempt.verdict
    state = "waiting" if verdict.outcome is Outcome.FAILED else verdict.outcome.value
    due = verdict.next_at or 0
    return (
        state,
        waiting.attempt,
        waiting.first_at,
        due,
        attempt.at,
        attempt.status,
        verdict.reason,
        waiting.number,
        state,
    )


def deliveries(path: Path, subscription: str | None, state: str | None, most: int) -> Iterator[dict[str, Any]]:
    """The newest deliveries, beside a running dispatcher: subscription, event, kind, state, attempts, times, answer."""
    if not path.exists():
        return
    columns = ("subscription", "event", "kind", "key", "state", "attempt", "at", "status", "reason", "due")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT subscription, event, kind, key, state, attempt, delivery.at, status, reason, due"
            " FROM delivery JOIN event ON id = event"
            " WHERE (?1 IS NULL OR subscription = ?1) AND (?2 IS NULL OR state = ?2) ORDER BY number DESC LIMIT ?3",
            (subscription, state, most),
        ).fetchall()
    for row in rows:
        yield dict(zip(columns, row, strict=True))
