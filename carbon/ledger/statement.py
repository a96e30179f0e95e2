"""Statements as a bank's: each posting of an account, what caused it, who stands on the other side, what is left.

One fold over what the ledger accepted, in its order; the caller keeps the lines that it wants.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carbon.ledger import chart
from carbon.ledger.books import Books, Posted
from carbon.submission import Submission, reversed_by

RECORD = "record"
"""What causes a line, where it is no submission."""


@dataclass(frozen=True)
class Cause:
    """Where in the ledger a record or submission stands: its block's height and time (ms UTC), and its carbon code."""

    height: int
    time_ms: int
    code: str


@dataclass(frozen=True)
class Line:
    """One line of an account's statement, in `unit`; `balance` is what the account holds after it."""

    account: str
    subject: str
    unit: str
    cause: Cause
    kind: str
    """Kind of the submission, or `record`."""
    counterparty: str
    """The other side of a transfer, the point of a record, else the party that stated it."""
    debit: int
    credit: int
    balance: int
    corrects: int | None = None
    """The closed year that it belongs to."""
    takes_back: int | None = None
    """The number of the party's submission that it takes back."""


def of_record(books: Books, fields: Mapping[str, Any], posted: Iterable[Posted], cause: Cause) -> list[Line]:
    """The lines of an accepted window record's postings."""
    year = books.book.year(fields["window_start"])
    return [_line(one, cause, RECORD, fields["point"], year) for one in posted]


def of_submission(books: Books, submission: Submission, cause: Cause) -> list[Line]:
    """Post an accepted submission; its lines. Raises BooksError if the book refuses it."""
    posted, original, number = books.apply(submission, cause.time_ms, cause.height), submission, None
    if submission.kind == "reversal":
        taken_back = reversed_by(submission)
        assert taken_back is not None, "the book took it"
        original, number = taken_back, taken_back.number
    year = books.book.year(original.content["start"]) if original.kind == "activity" else None
    return [
        _line(one, cause, submission.kind, _other(original, chart.parse(one.posting.account).subject), year, number)
        for one in posted
    ]


def _line(
    posted: Posted, cause: Cause, kind: str, counterparty: str, year: int | None, takes_back: int | None = None
) -> Line:
    """A line; `year` is the one that an emission belongs to."""
    posting, name = posted.posting, chart.parse(posted.posting.account)
    corrects = year if year != name.year else None
    sums = (posting.debit, posting.credit, posted.balance)
    return Line(posting.account, name.subject, name.unit, cause, kind, counterparty, *sums, corrects, takes_back)


def _other(submission: Submission, subject: str) -> str:
    """Who stands on the other side of a subject's account."""
    content = submission.content
    if submission.kind == "transfer":
        return str(content["buyer"] if subject == content["seller"] else content["seller"])
    return submission.party
