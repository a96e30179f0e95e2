"""The book of submissions: what was stated before, and so what may be stated next.

Every member keeps it as part of the replicated state, and every reader makes the same of the ledger: it is judged and
posted in the order of the ledger alone. It grows with accounts, never with submissions.
"""

from dataclasses import dataclass, field

from carbon.refusal import Refusal
from carbon.submission import Submission


@dataclass(frozen=True)
class Posting:
    """One line of a journal entry, in g CO2e or whole credits: the debits of an entry equal its credits."""

    account: str
    debit: int
    credit: int


@dataclass
class Book:
    """What stands after some height. `numbers` is the last submission of each party."""

    numbers: dict[str, int] = field(default_factory=dict)

    def apply(self, submission: Submission, time_ms: int) -> tuple[Refusal, tuple[Posting, ...]]:
        """Judge a submission that passed the evidence half, in a block of that time, and take it in when it passes.

        Nothing changes when it doesn't.
        """
        if submission.number <= self.numbers.get(submission.party, 0):
            return Refusal.REPLAYED, ()
        self.numbers[submission.party] = submission.number
        return Refusal.PASS, ()

    def lines(self) -> list[str]:
        """The book as lines of the state's canonical text; each begins with `book `."""
        return [f"book number {party} {number}" for party, number in self.numbers.items()]

    def read_line(self, words: list[str]) -> None:
        """Take in a line that `lines` made, without its `book`, as words. Raises ValueError."""
        match words:
            case ["number", party, number]:
                self.numbers[party] = int(number)
            case _:
                raise ValueError(f"not a line of a book: {words!r}")
