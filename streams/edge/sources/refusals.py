"""What a source did not take: counted by reason, and said in the log at each power of ten."""

from collections import Counter

import structlog

LOG = structlog.get_logger(__name__)


class Refusals:
    """Counts of one source, by reason; a hostile device fills neither memory nor log."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.counts: Counter[str] = Counter()

    def count(self, reason: str, detail: str, times: int = 1) -> None:
        """`times` more for `reason`, a fixed name; `detail` says what came."""
        before = self.counts[reason]
        self.counts[reason] += times
        if not before or len(str(self.counts[reason])) > len(str(before)):
            said = {"source": self._source, "reason": reason, "count": self.counts[reason], "detail": detail[:300]}
            LOG.warning("refused what came", **said)
