"""What the anomaly processor keeps on disk: points, places, and what people said of anomalies."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from streams.anomaly.assessments import Assessment

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS watched (point TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), place TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ledger (one INTEGER PRIMARY KEY CHECK (one = 1), standing TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS assessed (anomaly TEXT, leaf INTEGER, party TEXT, role TEXT, verdict TEXT, reason TEXT,"
    " code TEXT, PRIMARY KEY (anomaly, leaf)) WITHOUT ROWID",
)
_ASSESSED = "SELECT anomaly, leaf, party, role, verdict, reason, code FROM assessed"


class WatchedFile:
    """Points, gateways, offsets and assessments on disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        for statement in _SCHEMA:
            self._database.execute(statement)

    def load(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The states by point; offsets by partition and heads by gateway, empty at first."""
        states = {point: json.loads(state) for point, state in self._database.execute("SELECT * FROM watched")}
        row = self._database.execute("SELECT place FROM place").fetchone()
        return states, {"offsets": {}, "heads": {}} if row is None else json.loads(row[0])

    def standing(self) -> str | None:
        """Where the ledger was read to; None at first."""
        row = self._database.execute("SELECT standing FROM ledger").fetchone()
        return None if row is None else str(row[0])

    def said_of(self, anomaly: str) -> list[Assessment]:
        """What was said of an anomaly."""
        rows = self._database.execute(f"{_ASSESSED} WHERE anomaly = ?", (anomaly,))
        return [Assessment(*row) for row in rows]

    def keep(
        self, states: Mapping[str, Any], place: Mapping[str, Any], standing: str, said: Iterable[Assessment] = ()
    ) -> None:
        """Keep what changed, all together."""
        with self._database:
            self._database.execute("BEGIN")
            rows = ((point, json.dumps(state)) for point, state in states.items())
            self._database.executemany("INSERT OR REPLACE INTO watched VALUES (?, ?)", rows)
            self._database.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (json.dumps(place),))
            self._database.execute("INSERT OR REPLACE INTO ledger VALUES (1, ?)", (standing,))
            self._database.executemany("INSERT OR REPLACE INTO assessed VALUES (?, ?, ?, ?, ?, ?, ?)", said)


def assessed(path: Path) -> dict[str, list[Assessment]]:
    """What was said of anomalies, by their ids, in the order of the ledger; nothing where nothing is kept yet."""
    found = defaultdict[str, list[Assessment]](list)
    if path.exists():
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            try:
                rows = database.execute(f"{_ASSESSED} ORDER BY leaf").fetchall()
            except sqlite3.OperationalError:  # being made, busy, or of an earlier version
                rows = []
        for row in rows:
            found[row[0]].append(Assessment(*row))
    return dict(found)
