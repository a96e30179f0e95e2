"""The account processor: from the ledger alone to every account's balance, on a compacted topic.

The books, the height that they stand at, the changes of the registry up to there and the place in both ledger topics
are kept in one transaction, so a block is posted once whatever crashes. Balances are sent before the transaction: after
a crash the same bytes are sent again.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbon import plain as plains
from carbon import record as records
from carbon import submission as submissions
from carbon.alert import Alert
from carbon.gaps import Gaps, full, incomplete
from carbon.ledger.books import Account, Books
from carbon.registry import Registry
from consensus.log.follower import OpenedLeaf, Position
from consensus.log.genesis import Genesis
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD
from consensus.log.reader import OpenedBlock
from schemas import codec, topics
from schemas.observed import Observed
from streams.processor import LedgerProcessor

GROUP = "carbon.accounts"
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
    `changed` are the accounts that the last blocks posted to, `gaps` the points that lack readings.
    """

    books: Books
    position: Position | None = None
    offsets: dict[str, int] = field(default_factory=dict)
    registrations: dict[int, bytes] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    gaps: Gaps = field(default_factory=dict)


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
        position, gaps = Position.load(state["position"]), state.get("gaps", {})
        return Standing(books, position, state["offsets"], registrations, gaps=gaps)

    def keep(self, standing: Standing) -> None:
        """Keep what changed of the books, height, registries and places together."""
        with self._database:
            self._database.execute("BEGIN")
            self._write(standing)
        standing.changed.clear()

    def _write(self, standing: Standing) -> None:
        assert standing.position is not None
        sums = [[*place, amount] for place, amount in sorted(standing.books.sums.items())]
        places = {"position": standing.position.dump(), "offsets": standing.offsets, "gaps": standing.gaps}
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


def post_block(
    books: Books, opened: OpenedBlock, registry: Registry, gaps: Gaps | None = None
) -> tuple[list[Account], list[Alert]]:
    """Post what a block accepted, in its order; the accounts that it changed, and alerts on incomplete windows.

    `registry` is the one in force at the block's height, by which it was accepted. `gaps` goes on with what was
    incomplete before. Raises BooksError.
    """
    gaps = {} if gaps is None else gaps
    accepted = [leaf for leaf in opened.leaves if leaf.leaf.leaf.accepted]
    height, changed, alerts = opened.block.height, set[str](), list[Alert]()
    for kind, run in groupby(accepted, lambda leaf: leaf.leaf.leaf.kind):
        if kind == WINDOW_RECORD:
            posted, told = _post_records(books, list(run), height, registry, gaps)
            changed |= posted
            alerts += told
        elif kind == SUBMISSION:
            for leaf in run:
                posted_now = books.apply(submissions.read(leaf.payload), opened.block.header["time"], height)
                changed |= {posted.posting.account for posted in posted_now}
    books.check()
    return [books.accounts[name] for name in sorted(changed)], alerts


def _post_records(
    books: Books, leaves: list[OpenedLeaf], height: int, registry: Registry, gaps: Gaps
) -> tuple[set[str], list[Alert]]:
    """Post window records: plain ones together, the others one by one."""
    payloads = [leaf.payload for leaf in leaves]
    plain = plains.read(payloads)
    together = np.flatnonzero(plain.plain) if plain is not None else np.arange(0)
    changed, closer = set[str](), np.ones(len(payloads), bool)
    if plain is not None:
        changed |= books.post_plain(plain, together, height)
        expected = np.array([point.fields["expected"] for point in plain.points], np.int64)
        closer = ~plain.plain | (plain.count < expected[plain.point])
    singly, alerts = set(range(len(payloads))) - set(together.tolist()), list[Alert]()
    visited = closer if plain is None else closer | _concerned(plain, closer, gaps)
    for place in np.flatnonzero(visited).tolist():
        if not closer[place]:
            assert plain is not None
            alerts += full(plain.points[plain.point[place]].fields, int(plain.start[place]), height, gaps)
            continue
        # byte for byte what the members put together themselves
        record = records.read(payloads[place])
        if place in singly:
            changed |= {posted.posting.account for posted in books.post(record, height)}
        if record["count"] < record["expected"]:
            alerts.append(incomplete(record, leaves[place].leaf.leaf.commitment, height, registry, gaps))
        else:
            alerts += full(record, record["window_start"], height, gaps)
    return changed, alerts


def _concerned(plain: plains.Plain, closer: NDArray[np.bool_], gaps: Gaps) -> NDArray[np.bool_]:
    """The records of points that lack readings, or begin to in this block: a full window of theirs is an end."""
    points = {key.partition("/")[2] for key in gaps}
    lacking = np.array([point.fields["point"] in points for point in plain.points], bool)
    lacking[plain.point[closer & plain.plain]] = True
    concerned: NDArray[np.bool_] = plain.plain & lacking[plain.point]
    return concerned


class Accounts(LedgerProcessor):
    """The processor's shell."""

    def __init__(self, config: AccountsConfig) -> None:
        self._file = BooksFile(config.store, config.genesis.utc_offset_minutes)
        self._standing: Standing = self._file.load()
        super().__init__(config.kafka, config.genesis, config.registry, GROUP, self._standing, config.observed)

    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        changed, alerts = post_block(self._standing.books, block, registry, self._standing.gaps)
        self._standing.changed |= {account.account for account in changed}
        for account in changed:
            self._send(topics.ACCOUNTS_BALANCES, account.account, codec.encode("balance", account.row()))
        for alert in alerts:
            self._alert(alert)

    def _write(self) -> None:
        self._file.keep(self._standing)
