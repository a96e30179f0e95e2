"""Outlooks and warnings of the past, day by day: the same that the forecast processor told, from what was accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from carbon.ledger.books import Books
from carbon.planning.outlook import Outlook
from carbon.planning.warning import EarlyWarning
from carbon.planning.watch import Watch
from carbon.submission import Submission, reversed_by


class Warned(NamedTuple):
    """A warning, and the height of the block that completed its day."""

    height: int
    warning: EarlyWarning


@dataclass
class Outlooks:
    """The last outlook of each subject, and all warnings, up to some height."""

    watch: Watch
    subject: str | None = None
    """The only one that is asked for; None for all."""
    last: dict[str, Outlook] = field(default_factory=dict)
    warned: list[Warned] = field(default_factory=list)

    def record(self, fields: Mapping[str, Any], start: int, grams: int) -> None:
        """Take in an accepted window record: what its point states, its start (ms UTC), and the grams that it posts."""
        if not self._skips(fields["subject"]):
            self.watch.window(fields, start, grams)

    def submission(self, submission: Submission) -> None:
        """Take in an accepted submission."""
        original = reversed_by(submission) if submission.kind == "reversal" else submission
        if original is not None and not (original.subject and self._skips(original.subject)):
            self.watch.state(submission)

    def stand(self, books: Books, height: int) -> None:
        """Judge the days that the block of that height completed; the books are those after it."""
        for outlook, warnings in self.watch.judge(books):
            self.last[outlook.subject] = outlook
            self.warned += [Warned(height, warning) for warning in warnings]
        self.watch.changed.clear()

    def _skips(self, subject: str) -> bool:
        return self.subject not in (None, subject)
