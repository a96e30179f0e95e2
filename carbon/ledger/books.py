"""The books: all accounts of a channel, from what the ledger accepted alone: window records and submissions.

An emission debits `emissions` of the subject, the year and the kind of source, and credits the year's `obligation`. A
correction posts the difference: nothing is ever changed, only added to.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon import plain as plains
from carbon import record as records
from carbon.emission import RULES
from carbon.ledger import chart
from carbon.ledger.book import Book
from carbon.ledger.chart import Entry, Posting
from carbon.ledger.standing import I64_MAX
from carbon.plain import Plain
from carbon.record import posted_g
from carbon.refusal import Refusal
from carbon.submission import Submission

Sums = Counter[tuple[str, str]]
"""By side and unit."""


class BooksError(ValueError):
    """Books whose debits and credits differ, a sum beyond 64 bits, or a verdict that does not follow from them."""


@dataclass(slots=True)
class Account:
    """One account: its sums in `unit`, and how often and when last it was posted to."""

    account: str
    subject: str
    kind: str
    unit: str
    year: int | None
    detail: str
    debit_g: int = 0
    credit_g: int = 0
    records: int = 0
    height: int = 0

    @classmethod
    def named(cls, name: str) -> "Account":
        """A new account. Raises ValueError for a name that is not of the chart."""
        told = chart.parse(name)
        return cls(name, told.subject, told.kind, told.unit, told.year, told.detail)

    def row(self) -> dict[str, Any]:
        """Its fields, a value of schema balance."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def balance(self) -> int:
        """What it holds, on the side on which its class grows."""
        return chart.CLASSES[self.kind].grows * (self.debit_g - self.credit_g)

    def post(self, debit: int, credit: int, records: int, height: int) -> None:
        """Add to both sums. Raises BooksError beyond 64 bits."""
        self.debit_g += debit
        self.credit_g += credit
        self.records += records
        self.height = height
        if self.debit_g > I64_MAX or self.credit_g > I64_MAX:
            raise BooksError(f"{self.account} is beyond 64 bits")


class Posted(NamedTuple):
    """A posting, and what its account holds after it."""

    posting: Posting
    balance: int


class Single(NamedTuple):
    """A record that was posted by itself: its place among those of the block, its fields, and its postings."""

    place: int
    fields: dict[str, Any]
    posted: list[Posted]


@dataclass(frozen=True)
class Taken:
    """Window records of a block as they were posted: most of them together, as columns."""

    plain: Plain | None
    together: NDArray[np.intp]
    """The places of those that were posted together, (n,)."""
    singly: list[Single]
    changed: set[str]
    """The accounts that were posted to."""

    def each(self) -> Iterator[tuple[Mapping[str, Any], int, int]]:
        """Of each record what its point states, the start of its window (ms UTC), and the grams that it posted."""
        if self.plain is not None:
            plain, places = self.plain, self.together
            columns = (plain.point[places], plain.start[places], plain.emission[places])
            for number, start, grams in zip(*(column.tolist() for column in columns), strict=True):
                yield plain.points[number].fields, start, grams
        for _, fields, _ in self.singly:
            yield fields, fields["window_start"], posted_g(fields)


@dataclass
class Books:
    """All accounts after some height, and the book that judges submissions.

    What waits for nothing but accounts and parties: no record and no submission is kept.
    """

    utc_offset_minutes: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    sums: Sums = field(default_factory=Counter)
    """Of all debits and of all credits."""
    _pairs: dict[int, tuple[Account, Account]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Where the emissions of a point and a year are posted, by its number among `_points`, and the year."""
    _points: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.book.utc_offset_minutes = self.utc_offset_minutes

    def take(self, payloads: Sequence[bytes], height: int, apart: str | None = None) -> Taken:
        """Post accepted window records of a block: plain ones together, the others and a subject's `apart` singly.

        The payloads are byte for byte what the members put together themselves.
        """
        plain, together = plains.read([*payloads]), np.arange(0)
        changed = set[str]()
        if plain is not None:
            is_apart = np.array([point.fields["subject"] == apart for point in plain.points], bool)[plain.point]
            together = np.flatnonzero(plain.plain & ~is_apart)
            changed |= self.post_plain(plain, together, height)
        singly = []
        for place in sorted(set(range(len(payloads))) - set(together.tolist())):
            fields = records.read(payloads[place])
            singly.append(Single(place, fields, self.post(fields, height)))
            changed |= {one.posting.account for one in singly[-1].posted}
        return Taken(plain, together, singly, changed)

    def post(self, record: Mapping[str, Any], height: int) -> list[Posted]:
        """Post an accepted record of a block."""
        year, source = self.book.year(record["window_start"]), source_of(record["rule"])
        debited, credited = self.book.emission_accounts(record["subject"], year, source)
        grams = posted_g(dict(record))
        up, down = max(grams, 0), max(-grams, 0)
        return self._enter((Posting(debited, up, down), Posting(credited, down, up)), height)

    def post_plain(self, plain: Plain, chosen: NDArray[np.intp], height: int) -> set[str]:
        """Post plain records of a block, those at the chosen places (n,); the names of the accounts that it changed."""
        if not len(chosen):
            return set()
        if plain.points is not self._points:
            self._points, self._pairs = plain.points, {}
        years = self._years(plain.start[chosen])
        key = plain.point[chosen] * _YEARS + years
        order = np.argsort(key, kind="stable")
        firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
        grams, counts = plain.emission[chosen][order], np.diff(firsts, append=len(order))
        # plain emissions are below 2^48, a block's records below 2^15: the sums stay inside 64 bits
        ups, downs = (np.add.reduceat(np.maximum(part, 0), firsts) for part in (grams, -grams))
        changed: list[str] = []
        rows = zip(key[order[firsts]].tolist(), ups.tolist(), downs.tolist(), counts.tolist(), strict=True)
        for keyed, up, down, count in rows:
            emissions, obligation = self._pairs.get(keyed) or self._pair(keyed)
            emissions.post(up, down, count, height)
            obligation.post(down, up, count, height)
            changed += (emissions.account, obligation.account)
        total = int(ups.sum() + downs.sum())
        self.sums["debit", "g"] += total
        self.sums["credit", "g"] += total
        return set(changed)

    def _years(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        local = (starts + self.utc_offset_minutes * 60_000).astype("datetime64[ms]")
        return local.astype("datetime64[Y]").astype(np.int64) + 1970

    def _pair(self, key: int) -> tuple[Account, Account]:
        point, year = divmod(key, _YEARS)
        fields = self._points[point].fields
        names = self.book.emission_accounts(fields["subject"], year, source_of(fields["rule"]))
        found = self._pairs[key] = self._account(names[0]), self._account(names[1])
        return found

    def apply(self, submission: Submission, time_ms: int, height: int) -> list[Posted]:
        """Post an accepted submission of a block of that time. Raises BooksError if the book refuses it."""
        refusal, entry = self.book.apply(submission, time_ms)
        if refusal is not Refusal.PASS:
            raise BooksError(f"{submission.party}'s submission {submission.number}: {refusal.label}")
        if submission.kind == "closing":
            self._pairs = {}
        return self._enter(entry, height)

    def _enter(self, entry: Entry, height: int) -> list[Posted]:
        posted = []
        for posting in entry:
            account = self._account(posting.account)
            account.post(posting.debit, posting.credit, 1, height)
            self.sums["debit", account.unit] += posting.debit
            self.sums["credit", account.unit] += posting.credit
            posted.append(Posted(posting, account.balance))
        return posted

    def _account(self, name: str) -> Account:
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = Account.named(name)
        return found

    def check(self) -> None:
        """Raises BooksError unless all debits equal all credits, unit by unit."""
        for unit in ("g", "t", "fen"):
            if self.sums["debit", unit] != self.sums["credit", unit]:
                raise BooksError(
                    f"debits of {self.sums['debit', unit]} {unit} and credits of {self.sums['credit', unit]} {unit}"
                )

    def audit(self) -> None:
        """Raises BooksError unless the accounts add up to the sums, and are what the book has. Takes every account."""
        if +sums_of(self.accounts.values()) != +self.sums:
            raise BooksError("the accounts do not add up to what was posted")
        for name, balance in self.book.balances.items():
            account = self.accounts[name]
            posted = (account.debit_g - account.credit_g, account.credit_g)
            if account.kind not in _METERED and posted != (balance, self.book.credits[name]):
                raise BooksError(f"{name}: not what submissions posted")
        self.check()

    def __iter__(self) -> Iterator[Account]:
        return iter(sorted(self.accounts.values(), key=lambda account: account.account))

    @classmethod
    def load(cls, utc_offset_minutes: int, accounts: Iterable[dict[str, Any]], lines: Iterable[str]) -> "Books":
        """Books of the fields of their accounts and the lines of their book. Raises BooksError if they don't add up."""
        known = {fields["account"]: Account(**fields) for fields in accounts}
        books = cls(utc_offset_minutes, known, sums=sums_of(known.values()))
        for line in lines:
            books.book.read_line(line.split(" ")[1:])
        books.audit()
        return books


_YEARS = 10_000
_METERED = ("emissions", "corrections", "obligation")
"""Classes that window records post to, beside submissions."""


def sums_of(accounts: Iterable[Account]) -> Sums:
    """All debits and all credits of some accounts."""
    sums: Sums = Counter()
    for account in accounts:
        sums["debit", account.unit] += account.debit_g
        sums["credit", account.unit] += account.credit_g
    return sums


@cache
def source_of(rule: str) -> str:
    """What emits by the rule that a record states: the source of the rule that the text begins with."""
    first = rule.partition(" · ")[0].partition(":")[0]
    name = first.replace("-based", "").replace(" ", "_")
    return RULES[name].source if name in RULES else name
