"""The account processor: from the ledger alone to every account's balance, on a compacted topic.

The books, the height that they stand at, the changes of the registry up to there and the place in both ledger topics
are kept in one transaction, so a block is posted once whatever crashes. Balances are sent before the transaction: after
a crash the same bytes are sent again.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from carbon import record as records
from carbon import submission as submissions
from carbon.ledger.books import Account, Books, Taken
from carbon.registry import Registry
from carbon.substitution import states_stop
from carbon.validity import is_valid_hour
from consensus.log.follower import OpenedLeaf, Position
from consensus.log.genesis import Genesis
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD
from consensus.log.reader import OpenedBlock
from schemas import codec, topics
from schemas.observed import Observed
from streams.processor import LedgerProcessor

GROUP = "carbon.accounts"
Alert = dict[str, Any]
"""A value of schema alert."""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, fields TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS standing (one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT, book TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS registrations (first INTEGER PRIMARY KEY, record BLOB NOT NULL)",
)


@dataclass(frozen=True)
class AccountsConfig:
    """What the processor needs to know: `registry` is that of the genesis, `kafka` passed to the clients as it is."""

    kafka: dict[str, str]
    genesis: Genesis
    registry: Registry
    store: Path
    observed: Observed = field(default_factory=Observed)


@dataclass
class Standing:
    """Where the processor stands: the books and registries after a height, and the place in each topic to go on from.

    `registrations` are the payloads of the accepted changes of the registry, by the height from which each is in force.
    `changed` are the accounts that the last blocks posted to.
    """

    books: Books
    position: Position | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    registrations: dict[int, bytes] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


class BooksFile:
    """The books on disk: the snapshot that a restart begins with."""

    def __init__(self, path: Path, utc_offset_minutes: int) -> None:
        self._utc_offset_minutes = utc_offset_minutes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        for statement in _SCHEMA:
            self._database.execute(statement)

    def load(self) -> Standing:
        """What was kept last. Raises BooksError if it does not add up."""
        row = self._database.execute("SELECT state, book FROM standing").fetchone()
        if row is None:
            return Standing(Books(self._utc_offset_minutes))
        state = json.loads(row[0])
        accounts = [json.loads(fields) for (fields,) in self._database.execute("SELECT fields FROM account")]
        books = Books.load(self._utc_offset_minutes, accounts, row[1].splitlines())
        registrations = dict(self._database.execute("SELECT first, record FROM registrations ORDER BY first"))
        return Standing(books, Position.load(state["position"]), state["offsets"], registrations)

    def keep(self, standing: Standing) -> None:
        """Keep what changed of the books, height, registries and places together."""
        with self._database:
            self._database.execute("BEGIN")
            self._write(standing)
        standing.changed.clear()

    def _write(self, standing: Standing) -> None:
        assert standing.position is not None
        sums = [[*place, amount] for place, amount in sorted(standing.books.sums.items())]
        places = {"position": standing.position.dump(), "offsets": standing.offsets}
        state = json.dumps(places | {"height": standing.position.height, "sums": sums})
        accounts = [(name, json.dumps(standing.books.accounts[name].row())) for name in sorted(standing.changed)]
        self._database.executemany("INSERT OR REPLACE INTO account VALUES (?, ?)", accounts)
        book = "\n".join(standing.books.book.lines())
        self._database.execute("INSERT OR REPLACE INTO standing VALUES (1, ?, ?)", (state, book))
        recorded = standing.registrations.items()
        self._database.executemany("INSERT OR IGNORE INTO registrations VALUES (?, ?)", recorded)


def kept_sums(path: Path) -> tuple[int, dict[tuple[str, str], int]] | None:
    """The height of the books on disk, and all debits and credits by side and unit; None before the first."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        try:
            row = database.execute("SELECT state FROM standing").fetchone()
        except sqlite3.OperationalError:  # being made, or busy
            return None
    state = json.loads(row[0]) if row else None
    return state and (state["height"], {(side, unit): amount for side, unit, amount in state["sums"]})


class PostedBlock(NamedTuple):
    """What a block changed: accounts by name, alerts on incomplete windows, its window records as they were taken."""

    accounts: list[Account]
    alerts: list[Alert]
    taken: list[Taken]


def post_block(books: Books, opened: OpenedBlock, registry: Registry) -> PostedBlock:
    """Post what a block accepted, in its order.

    `registry` is the one in force at the block's height, by which it was accepted. Raises BooksError.
    """
    accepted = [leaf for leaf in opened.leaves if leaf.leaf.leaf.accepted]
    height, posted = opened.block.height, PostedBlock([], [], [])
    changed = set[str]()
    for kind, run in groupby(accepted, lambda leaf: leaf.leaf.leaf.kind):
        leaves = list(run)
        if kind == WINDOW_RECORD:
            posted.taken.append(books.take([leaf.payload for leaf in leaves], height))
            changed |= posted.taken[-1].changed
            posted.alerts.extend(_alerts(posted.taken[-1], leaves, height, registry))
        elif kind == SUBMISSION:
            for leaf in leaves:
                entered = books.apply(submissions.read(leaf.payload), opened.block.header["time"], height)
                changed |= {one.posting.account for one in entered}
    books.check()
    posted.accounts.extend(books.accounts[name] for name in sorted(changed))
    return posted


def _alerts(taken: Taken, leaves: list[OpenedLeaf], height: int, registry: Registry) -> Iterator[Alert]:
    """Alerts on windows that are incomplete, in the order of the records."""
    incomplete = {one.place: one.fields for one in taken.singly if one.fields["count"] < one.fields["expected"]}
    if taken.plain is not None:
        plain, places = taken.plain, taken.together
        expected = np.array([point.fields["expected"] for point in plain.points], np.int64)
        short = places[plain.count[places] < expected[plain.point[places]]]
        incomplete |= {place: records.read(leaves[place].payload) for place in short.tolist()}
    for place in sorted(incomplete):
        yield alert_of(incomplete[place], leaves[place].leaf.leaf.commitment, height, registry)


def alert_of(record: dict[str, Any], commitment: bytes, height: int, registry: Registry) -> Alert:
    """The alert on a window with fewer readings than a full one holds, or on what an hour is charged instead."""
    code, tier = records.code(record, commitment, registry), records.tier_of(record)
    text, kind = f"{record['point']}: {record['count']} of {record['expected']} readings in the window", "coverage"
    if states_stop(record["rule"]):
        text += ", the plant stood still"
    elif record["window_seconds"] == 3600 and not is_valid_hour(record["count"], record["expected"]):
        text += ", no valid hour"
    if tier is not None:
        text, kind = f"{text}; charged {record['emission_g']} g by tier {tier.row or 'none'}", "substituted"
    about = {"subject": record["subject"], "point": record["point"], "at": record["window_start"], "height": height}
    return about | {"id": f"{kind}/{code}", "kind": kind, "severity": "warning", "text": text, "code": code}


class Accounts(LedgerProcessor):
    """The processor's shell."""

    def __init__(self, config: AccountsConfig) -> None:
        self._file = BooksFile(config.store, config.genesis.utc_offset_minutes)
        self._standing: Standing = self._file.load()
        super().__init__(config.kafka, config.genesis, config.registry, GROUP, self._standing, config.observed)

    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        accounts, alerts, _ = post_block(self._standing.books, block, registry)
        self._standing.changed |= {account.account for account in accounts}
        for account in accounts:
            self._send(topics.ACCOUNTS_BALANCES, account.account, codec.encode("balance", account.row()))
        for alert in alerts:
            self._send(topics.ALERTS, alert["id"], codec.encode("alert", alert))

    def _write(self) -> None:
        self._file.keep(self._standing)
