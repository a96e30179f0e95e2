"""A party's own record of its past: whoever takes something back needs it, members don't."""

from dataclasses import dataclass, field
from typing import Any

from carbon import merkle
from carbon.ledger.chart import Entry
from carbon.ledger.past import leaf_of, peak_of
from carbon.ledger.reversing import UNDO
from carbon.packet import ZERO_DIGEST
from carbon.submission import Submission


@dataclass
class History:
    """What a party stated that was accepted, in the order of the ledger."""

    _leaves: list[bytes] = field(default_factory=list)
    _stated: dict[int, tuple[int, bytes, Entry]] = field(default_factory=dict)
    """Number to place, body and entry of what stands."""

    def take(self, submission: Submission, entry: Entry) -> None:
        """Take in the party's next submission that was accepted, with what was posted for it."""
        if submission.kind == "reversal":
            place, *_ = self._stated.pop(submission.content["number"])
            self._leaves[place] = ZERO_DIGEST
        elif submission.kind in UNDO:
            self._stated[submission.number] = len(self._leaves), submission.body, entry
            self._leaves.append(leaf_of(submission.body, entry))

    def reversal(self, number: int, reason: str) -> dict[str, Any]:
        """The content that takes a submission back. Raises KeyError for a number that does not stand."""
        place, body, entry = self._stated[number]
        rows = [{"account": one.account, "debit": one.debit, "credit": one.credit} for one in entry]
        path = self._path(place)
        return {"number": number, "reason": reason, "body": body, "postings": rows, "place": place, "path": path}

    def _path(self, place: int) -> list[bytes]:
        found = peak_of(len(self._leaves), place)
        assert found is not None
        begin, end = place >> found[1] << found[1], (place >> found[1]) + 1 << found[1]
        return merkle.inclusion_path(self._leaves[begin:end], place - begin)
