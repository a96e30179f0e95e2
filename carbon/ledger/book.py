"""The book of submissions: what was stated before, and so what may be stated next.

Every member keeps it as part of the replicated state, and every reader makes the same of the ledger: it is judged and
posted in the order of the ledger alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from carbon.ledger import chart
from carbon.ledger.chart import CLASSES, Entry
from carbon.ledger.past import Past, leaf_of
from carbon.ledger.reversing import UNDO, reversal
from carbon.ledger.rules import RULES, Effect
from carbon.ledger.standing import MOST_POSTED, Fact, Refused, Standing
from carbon.refusal import Refusal
from carbon.submission import Submission


@dataclass
class Book(Standing):
    """What stands after some height, and how the next submission changes it."""

    _lines: list[str] | None = field(default=None, init=False, repr=False, compare=False)
    """Since the last change."""

    def apply(self, submission: Submission, time_ms: int) -> tuple[Refusal, Entry]:
        """Judge a submission that passed the evidence half, in a block of that time, and take it in when it passes.

        Nothing changes when it doesn't. A rule that stumbles over a submission refuses it, on every member alike.
        """
        try:
            entry, facts = self._judged(submission, time_ms)
        except Refused as refused:
            return refused.reason, ()
        except MemoryError:  # says nothing of the submission
            raise
        except Exception:
            return Refusal.UNFORESEEN, ()
        self._lines = None
        self.put(facts)
        return Refusal.PASS, entry

    def _judged(self, submission: Submission, time_ms: int) -> tuple[Entry, tuple[Fact, ...]]:
        """What a submission posts, and all that stands after it. Looks only. Raises Refused."""
        if submission.number <= self.numbers.get(submission.party, 0):
            raise Refused(Refusal.REPLAYED)
        effect = self._effect(submission, time_ms)
        facts = [*effect.facts, Fact("numbers", submission.party, submission.number)]
        facts += self._posted(effect.entry)
        if submission.kind in UNDO:
            past = self.past.get(submission.party, Past())
            facts.append(Fact("past", submission.party, past.grown(leaf_of(submission.body, effect.entry))))
        return effect.entry, tuple(facts)

    def _effect(self, submission: Submission, time_ms: int) -> Effect:
        if submission.kind == "reversal":
            return reversal(self, submission)
        return RULES[submission.kind](self, submission, time_ms)

    def _posted(self, entry: Entry) -> Iterator[Fact]:
        """The sums of the accounts after an entry.

        Raises Refused where one would come below its least, or its sums beyond 64 bits; ValueError for an entry whose
        debits and credits differ.
        """
        if not chart.balances(entry):
            raise ValueError("debits and credits differ")
        for name, (debit, credit) in chart.moved(entry).items():
            kind, credited = CLASSES[chart.parse(name).kind], self.credits.get(name, 0) + credit
            balance = self.balances.get(name, 0) + debit - credit
            is_short = kind.least is not None and kind.grows * balance < kind.least
            if is_short or max(credited, credited + balance) > MOST_POSTED:
                raise Refused(Refusal.OVER_BALANCE)
            yield from (Fact("balances", name, balance), Fact("credits", name, credited))

    def lines(self) -> list[str]:
        """The book as lines of the state's canonical text, sorted; each begins with `book `."""
        if self._lines is None:
            self._lines = sorted(super().lines())
        return self._lines

    def read_line(self, words: list[str]) -> None:
        """Take in a line that `lines` made, without its `book`, as words. Raises ValueError."""
        self._lines = None
        super().read_line(words)
