"""What a source did not take: counted by reason, and said in the log at each power of ten."""

import logging
from collections import Counter

LOG = logging.getLogger(__name__)


class Refusals:
    """Counts of one source, by reason; a hostile device fills neither memory nor log."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.counts: Counter[str] = Counter()

    def count(self, reason: str, detail: str) -> None:
        """One more for `reason`, a fixed name; `detail` says what came."""
        self.counts[reason] += 1
        number = self.counts[reason]
        if number == 10 ** (len(str(number)) - 1):
            LOG.warning("%s: %s, number %d: %.300s", self._source, reason, number, detail)
