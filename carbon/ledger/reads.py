"""What the ledger says of subjects at a moment: accounts, the structure of emissions, and what was stated.

One fold over what the committee accepted, in ledger order. It never looks at what comes behind the moment, so figures
as of then are the same today and in ten years.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from carbon import record as records
from carbon import submission
from carbon.ledger import statement
from carbon.ledger.beside import Rates, beside
from carbon.ledger.books import Account, Books
from carbon.ledger.statement import Cause, Line
from carbon.ledger.structure import ELECTRICITY, Emitted, Part, Structure, divided
from carbon.planning.outlooks import Outlooks
from carbon.registry import Registry
from carbon.regulator.statements import Statements
from carbon.subjects import Line as Way
from carbon.subjects import owners, regions


class Recorded(NamedTuple):
    """What was accepted, and what its leaf holds of it."""

    commitment: bytes
    payload: bytes


@dataclass
class View:
    """What stands after a block: height and time (ms UTC) of it, the books, the structure, and what was stated.

    `registry` is the one in force at the block: whose subjects and points are looked up.
    """

    registry: Registry
    books: Books
    structure: Structure
    height: int = 0
    time_ms: int = 0
    watched: str | None = None
    """The subject whose statement is kept."""
    lines: list[Line] = field(default_factory=list)
    """Of its accounts, in ledger order."""
    outlooks: Outlooks | None = None
    """What was foreseen day by day, if it is asked for."""
    rates: Rates = field(default_factory=Rates, init=False)
    """By which quantities were counted."""
    regulated: Statements = field(init=False)
    """What the regulator's figures are made of."""

    def __post_init__(self) -> None:
        self.regulated = Statements(self.books.utc_offset_minutes)
        self.rates.learn(self.registry)

    @classmethod
    def at_genesis(cls, registry: Registry, offset_minutes: int, changes: tuple[int, ...] = (), **asked: Any) -> "View":
        """Before the first block; parts are cut at `changes` (ms UTC). `asked`: `watched` and `outlooks`."""
        return cls(registry, Books(offset_minutes), Structure(offset_minutes, changes), **asked)

    def govern(self, registry: Registry) -> None:
        """This registry is in force from the next block on."""
        self.registry = registry
        self.rates.learn(registry)

    def stand(self, height: int, time_ms: int) -> None:
        """Everything of the block of that height and time was taken in."""
        self.height, self.time_ms = height, time_ms
        if self.outlooks is not None:
            self.outlooks.stand(self.books, height)

    def records(self, recorded: Sequence[Recorded], cause: Cause) -> None:
        """Take in accepted window records of a block, in its order: plain ones together but for those of the watched.

        `cause` says where the block stands; its code is no record's.
        """
        taken = self.books.take([payload for _, payload in recorded], cause.height, self.watched)
        if taken.plain is not None:
            self.structure.plain(taken.plain, taken.together)
        for place, fields, posted in taken.singly:
            self.structure.record(fields)
            if fields["subject"] == self.watched:
                code = records.code(fields, recorded[place].commitment, self.registry)
                self.lines += statement.of_record(self.books, fields, posted, replace(cause, code=code))
        if self.outlooks is not None:
            for stated, start, grams in taken.each():
                self.outlooks.record(stated, start, grams)

    def submission(self, recorded: Recorded, cause: Cause) -> None:
        """Take in an accepted submission of a block. Raises BooksError if the book refuses it."""
        read = submission.read(recorded.payload)
        code = submission.code(read, recorded.commitment, cause.time_ms, self.registry.prefix)
        posted = statement.of_submission(self.books, read, replace(cause, code=code))
        self.lines += [line for line in posted if line.subject == self.watched]
        if self.outlooks is not None:
            self.outlooks.submission(read)
        self.regulated.take(read, cause.time_ms)
        self.structure.submission(read)

    def way(self, subject: str) -> Way:
        """The line on which a subject has others below it: a region's, or that of parent companies."""
        return regions if self.registry.subjects[subject].regional else owners

    def accounts(self, subject: str) -> list[Account]:
        """The accounts of a subject, by name."""
        return [account for account in self.books if account.subject == subject]

    def emissions(self, subject: str, year: int | None = None) -> Iterator[tuple[Part, int]]:
        """The parts in g CO2e of a subject's emissions and of those below it while they were, of a year or of all."""
        way, wanted = self.way(subject), None if year is None else f"{year:04d}"
        for part, grams in self.structure.parts.items():
            if wanted in (None, part.year) and subject in way(part.subject, part.since, self.registry):
                yield part, grams

    def emitted(self, subject: str, year: int | None = None) -> Iterator[tuple[Part, Emitted]]:
        """The same parts with what stands beside them."""
        for part, grams in self.emissions(subject, year):
            yield part, Emitted(grams, beside(self.structure.amounts[part], self.rates))

    def market_based(self, subject: str) -> dict[int, int]:
        """What a subject's own purchased electricity comes to market-based, g CO2, by year, where it is declared."""
        own = [
            (part, one) for part, one in self.emitted(subject) if (part.subject, part.source) == (subject, ELECTRICITY)
        ]
        rows = divided(own, ["year"], self.registry)
        return {int(row["year"]): row["market_based_g"] for row in rows if row["market_based_g"] is not None}
