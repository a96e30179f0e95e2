"""The book of submissions: what was stated before, and so what may be stated next.

Every member keeps it as part of the replicated state, and every reader makes the same of the ledger: it is judged and
posted in the order of the ledger alone.
"""

from dataclasses import dataclass, field

from carbon.ledger import chart
from carbon.ledger.chart import CLASSES, Entry
from carbon.ledger.past import Past, leaf_of
from carbon.ledger.reversing import UNDO, reversal
from carbon.ledger.rules import RULES, Effect
from carbon.ledger.standing import MOST_POSTED, Refused, Standing
from carbon.refusal import Refusal
from carbon.submission import Submission


@dataclass
class Book(Standing):
    """What stands after some height, and how the next submission changes it."""

    _lines: list[str] | None = field(default=None, init=False, repr=False, compare=False)
    """Since the last change."""

    def apply(self, submission: Submission, time_ms: int) -> tuple[Refusal, Entry]:
        """Judge a submission that passed the evidence half, in a block of that time, and take it in when it passes.

        Nothing changes when it doesn't.
        """
        if submission.number <= self.numbers.get(submission.party, 0):
            return Refusal.REPLAYED, ()
        try:
            effect = self._effect(submission, time_ms)
            self._check(effect.entry)
        except Refused as refused:
            return refused.reason, ()
        self._take(submission, effect)
        return Refusal.PASS, effect.entry

    def _effect(self, submission: Submission, time_ms: int) -> Effect:
        if submission.kind == "reversal":
            return reversal(self, submission)
        return RULES[submission.kind](self, submission, time_ms)

    def _check(self, entry: Entry) -> None:
        """Raises Refused where an entry would bring an account below its least, or its sums beyond 64 bits."""
        assert chart.balances(entry)
        for name, (debit, credit) in chart.moved(entry).items():
            kind, credited = CLASSES[chart.parse(name).kind], self.credits.get(name, 0) + credit
            balance = self.balances.get(name, 0) + debit - credit
            is_short = kind.least is not None and kind.grows * balance < kind.least
            if is_short or max(credited, credited + balance) > MOST_POSTED:
                raise Refused(Refusal.OVER_BALANCE)

    def _take(self, submission: Submission, effect: Effect) -> None:
        self._lines = None
        effect.change(self)
        for name, (debit, credit) in chart.moved(effect.entry).items():
            self.balances[name] = self.balances.get(name, 0) + debit - credit
            self.credits[name] = self.credits.get(name, 0) + credit
        self.numbers[submission.party] = submission.number
        if submission.kind in UNDO:
            past = self.past.get(submission.party, Past())
            self.past[submission.party] = past.grown(leaf_of(submission.body, effect.entry))

    def lines(self) -> list[str]:
        """The book as lines of the state's canonical text, sorted; each begins with `book `."""
        if self._lines is None:
            self._lines = sorted(super().lines())
        return self._lines

    def read_line(self, words: list[str]) -> None:
        """Take in a line that `lines` made, without its `book`, as words. Raises ValueError."""
        self._lines = None
        super().read_line(words)
