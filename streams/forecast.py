"""The forecast processor: from the ledger alone to each subject's outlook, day by day, and the warnings that follow.

The books, the days, what was stated, the levels and the place in both ledger topics are kept in one transaction, so
each day is judged once whatever crashes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from carbon import submission as submissions
from carbon.ledger.books import Taken
from carbon.planning.telling import forecast_of
from carbon.planning.warning import alerts_of
from carbon.planning.watch import Watch, Watched
from carbon.registry import Registry
from consensus.log.leaf import SUBMISSION
from consensus.log.reader import OpenedBlock
from schemas import codec, topics
from streams.accounts import AccountsConfig, BooksFile, Standing, post_block
from streams.processor import LedgerProcessor

GROUP = "carbon.forecast"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS watched (subject TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS day (subject TEXT, day INTEGER, grams INTEGER NOT NULL, PRIMARY KEY (subject, day))"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ruleset (one INTEGER PRIMARY KEY CHECK (one = 1), rules TEXT NOT NULL)",
)


@dataclass
class Watching(Standing):
    """Where the processor stands: as that of accounts, and what it watches."""

    watch: Watch = field(kw_only=True)


class WatchFile(BooksFile):
    """The books and what is watched, on disk."""

    def __init__(self, path: Path, utc_offset_minutes: int) -> None:
        super().__init__(path, utc_offset_minutes)
        for statement in _SCHEMA:
            self._database.execute(statement)

    def load(self) -> Watching:
        """What was kept last. Raises BooksError if the books do not add up."""
        watch = Watch(self._utc_offset_minutes)
        for subject, facts in self._database.execute("SELECT subject, facts FROM watched"):
            watch.subjects[subject] = Watched.of(facts)
        for subject, day, grams in self._database.execute("SELECT subject, day, grams FROM day ORDER BY subject, day"):
            watch.subjects[subject].add(day, grams)
        for (rules,) in self._database.execute("SELECT rules FROM ruleset"):
            watch.adopt(rules)
        return Watching(**vars(super().load()), watch=watch)

    def _write(self, standing: Standing) -> None:
        assert isinstance(standing, Watching)
        super()._write(standing)
        watch = standing.watch
        for subject, days in watch.changed.items():
            watched = watch.subjects[subject]
            rows = ((subject, day, watched.between(day, day + 1)) for day in days if day >= watched.first)
            self._database.execute("INSERT OR REPLACE INTO watched VALUES (?, ?)", (subject, watched.facts()))
            self._database.executemany("INSERT OR REPLACE INTO day VALUES (?, ?, ?)", rows)
            self._database.execute("DELETE FROM day WHERE subject = ? AND day < ?", (subject, watched.first))
        if watch.ruleset is not None:
            self._database.execute("INSERT OR REPLACE INTO ruleset VALUES (1, ?)", (watch.ruleset,))

    def keep(self, standing: Standing) -> None:
        """Keep what changed, all together."""
        assert isinstance(standing, Watching)
        super().keep(standing)
        standing.watch.changed.clear()


def watch_block(watch: Watch, opened: OpenedBlock, taken: Iterable[Taken]) -> None:
    """Take in what a block accepted; its window records as the books took them."""
    for records in taken:
        for fields, start, grams in records.each():
            watch.window(fields, start, grams)
    for leaf in opened.leaves:
        if leaf.leaf.leaf.accepted and leaf.leaf.leaf.kind == SUBMISSION:
            watch.state(submissions.read(leaf.payload))


class Forecasts(LedgerProcessor):
    """The processor's shell."""

    def __init__(self, config: AccountsConfig) -> None:
        self._offset_minutes = config.genesis.utc_offset_minutes
        self._file = WatchFile(config.store, self._offset_minutes)
        self._standing: Watching = self._file.load()
        super().__init__(config.kafka, config.genesis, config.registry, GROUP, self._standing, config.observed)

    def _take_in(self, block: OpenedBlock, registry: Registry) -> None:
        books, watch, height = self._standing.books, self._standing.watch, block.block.height
        posted = post_block(books, block, registry)
        self._standing.changed |= {account.account for account in posted.accounts}
        watch_block(watch, block, posted.taken)
        for outlook, warnings in watch.judge(books):
            levels = watch.subjects[outlook.subject].levels
            told = forecast_of(outlook, levels, watch.rules, self._offset_minutes, height)
            self._send(topics.ACCOUNTS_FORECASTS, outlook.subject, codec.encode("forecast", told))
            for warning in warnings:
                for alert in alerts_of(warning, registry, self._offset_minutes, height):
                    self._send(topics.ALERTS, alert["id"], codec.encode("alert", alert))

    def _write(self) -> None:
        self._file.keep(self._standing)
