"""Rows of table `postings`: what each block posted, by the same books as everybody's.

They go on from the rows themselves and from the book that was noted with the position.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import pyarrow as pa

from carbon import submission
from carbon.ledger import statement
from carbon.ledger.books import Account, Books
from carbon.ledger.statement import RECORD, Cause, Line
from carbon.registry import Registry
from consensus.log.follower import VerifiedBlock, VerifiedLeaf
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD
from sinks.clickhouse.ratings import Overseer
from sinks.clickhouse.rows import TIME

POSTINGS = pa.schema(
    [
        ("height", pa.uint64()),
        ("time", TIME),
        ("place", pa.uint32()),
        ("account", pa.string()),
        ("subject", pa.string()),
        ("kind", pa.string()),
        ("unit", pa.string()),
        ("cause", pa.string()),
        ("counterparty", pa.string()),
        ("records", pa.uint32()),
        ("debit", pa.int64()),
        ("credit", pa.int64()),
        ("balance", pa.int64()),
        ("corrects", pa.int32()),
        ("takes_back", pa.uint64()),
        ("leaf_index", pa.uint64()),
        ("code", pa.string()),
    ]
)
BOOK = pa.schema([("channel", pa.string()), ("height", pa.uint64()), ("book", pa.string())])

Row = dict[str, Any]
Told = tuple[int, int, int]
"""Debits, credits and records of an account that stand in rows."""


class Poster:
    """Posts verified blocks, one after the other, and says what each posted."""

    def __init__(self, books: Books, prefix: str, overseer: Overseer) -> None:
        """`books` after the last block whose rows stand; `prefix` of carbon codes; `overseer` rates for regulators."""
        self._books, self._overseer = books, overseer
        self._prefix = prefix
        self._told = {account.account: _sums(account) for account in books}

    @classmethod
    def resumed(cls, client: Any, channel: str, height: int, utc_offset_minutes: int, prefix: str) -> "Poster | None":
        """The one that goes on after a height; None where the tables don't hold what it stands for."""
        of = f"channel = '{channel}' AND height"
        noted = f"SELECT height, book FROM ledger_book WHERE {of} <= {height} ORDER BY height DESC LIMIT 1"
        rows = client.query(noted).result_rows
        if not rows:
            return None
        # books from before are of no use any more
        client.command(f"ALTER TABLE ledger_book DELETE WHERE {of} < {rows[0][0]}", settings={"mutations_sync": 1})
        sums = "SELECT account, sum(debit), sum(credit), sum(records), max(height) FROM postings "
        sums += "WHERE height <= {height:UInt64} GROUP BY account"
        accounts = []
        for name, *fields in client.query(sums, parameters={"height": height}).result_rows:
            known = Account.named(name).row()
            accounts.append(known | dict(zip(("debit_g", "credit_g", "records", "height"), fields, strict=True)))
        overseer = Overseer.resumed(client, height, utc_offset_minutes)
        return cls(Books.load(utc_offset_minutes, accounts, rows[0][1].splitlines()), prefix, overseer)

    def book(self) -> str:
        """The book of submissions as it stands, which changes with submissions alone."""
        return "\n".join(self._books.book.lines())

    def rate(self, client: Any, registry: Registry, height: int, time_ms: int) -> None:
        """Write the ratings that changed, of a registry, after the block of that height and time (ms UTC)."""
        self._overseer.write(client, registry, self._books.book, height, time_ms)

    def post(self, block: VerifiedBlock, payloads: Mapping[bytes, bytes]) -> list[Row]:
        """The rows of the next block. Raises BooksError for a submission that was accepted against the books."""
        accepted = [leaf for leaf in block.leaves if leaf.leaf.accepted]
        rows: list[Row] = []
        for kind, run in groupby(accepted, lambda leaf: leaf.leaf.kind):
            if kind == WINDOW_RECORD:
                rows += self._records([payloads[leaf.leaf.commitment] for leaf in run], block.height)
            elif kind == SUBMISSION:
                for leaf in run:
                    rows += self._submission(block, leaf, payloads[leaf.leaf.commitment])
        where = {"height": block.height, "time": block.header["time"]}
        return [where | {"place": place} | row for place, row in enumerate(rows)]

    def _records(self, payloads: list[bytes], height: int) -> Iterator[Row]:
        taken = self._books.take(payloads, height)
        self._overseer.records(taken)
        for name in sorted(taken.changed):
            account = self._books.accounts[name]
            before, after = self._told.get(name, (0, 0, 0)), _sums(account)
            self._told[name] = after
            moved = dict(zip(("debit", "credit", "records"), _less(after, before), strict=True))
            about = {"account": name, "subject": account.subject, "kind": account.kind, "unit": account.unit}
            yield about | moved | {"cause": RECORD, "counterparty": "", "balance": account.balance, "code": ""}

    def _submission(self, block: VerifiedBlock, leaf: VerifiedLeaf, payload: bytes) -> Iterator[Row]:
        read, time_ms = submission.read(payload), block.header["time"]
        code = submission.code(read, leaf.leaf.commitment, time_ms, self._prefix)
        self._overseer.submission(read, time_ms)
        for line in statement.of_submission(self._books, read, Cause(block.height, time_ms, code)):
            self._told[line.account] = _sums(self._books.accounts[line.account])
            yield self._line(line, leaf.index)

    def _line(self, line: Line, leaf_index: int) -> Row:
        told = {name: getattr(line, name) for name in _SAME}
        kind = self._books.accounts[line.account].kind
        return told | {
            "kind": kind,
            "cause": line.kind,
            "records": 1,
            "leaf_index": leaf_index,
            "code": line.cause.code,
        }


_SAME = ("account", "subject", "unit", "counterparty", "debit", "credit", "balance", "corrects", "takes_back")


def _sums(account: Account) -> Told:
    return account.debit_g, account.credit_g, account.records


def _less(after: Told, before: Told) -> Told:
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]
