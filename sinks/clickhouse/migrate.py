"""Schema changes: numbered SQL files, applied once and in order, never taken back.

Every statement in a file can be repeated, because a crash may come between a statement and the note of it.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sinks.clickhouse.cluster import rendered

FOLDER = Path(__file__).with_name("migrations")
_STATEMENT_END = re.compile(r";\s*$", re.MULTILINE)
_VERSIONS = """CREATE TABLE IF NOT EXISTS migrations
(
    `number` UInt32 COMMENT 'Number of the file',
    `name` String COMMENT 'Its name',
    `digest` String COMMENT 'SHA-256 of its text, hex',
    `applied_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = ReplacingMergeTree ORDER BY number COMMENT 'Which schema changes this database has seen'"""


class MigrationError(RuntimeError):
    """A database that these migrations can't be applied to."""


class Migration(NamedTuple):
    """One numbered file of statements."""

    number: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, hex."""
        return sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        """Its statements, which end with a semicolon at the end of a line."""
        return [part.strip() for part in _STATEMENT_END.split(self.text) if part.strip()]


def load(place: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder, in order."""
    return [Migration(int(file.name[:4]), file.stem, file.read_text()) for file in sorted(place.glob("*.sql"))]


def statements(migrations: list[Migration], cluster: str = "") -> list[str]:
    """All statements of all migrations, and before them that of the table which notes them."""
    plain = [_VERSIONS, *(statement for migration in migrations for statement in migration.statements())]
    return [rendered(statement, cluster) for statement in plain]


def migrate(client: Any, migrations: list[Migration] | None = None, cluster: str = "") -> list[int]:
    """Apply what the database lacks; the numbers that were applied now. Raises MigrationError.

    `cluster` names a cluster of servers, all of which get everything; empty is the one that is asked.
    """
    migrations = load() if migrations is None else migrations
    client.command(rendered(_VERSIONS, cluster))
    applied = dict(client.query("SELECT number, digest FROM migrations FINAL").result_rows)
    _check(migrations, applied)
    missing = [migration for migration in migrations if migration.number not in applied]
    for migration in missing:
        _apply(client, migration, cluster)
    return [migration.number for migration in missing]


def _check(migrations: list[Migration], applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in migrations}
    if unknown := sorted(applied.keys() - known.keys()):
        raise MigrationError(f"the database has seen migration {unknown[0]}, which a newer release must have brought")
    for number, digest in applied.items():
        if known[number].digest != digest:
            raise MigrationError(f"migration {known[number].name} was changed after it had been applied")


def _apply(client: Any, migration: Migration, cluster: str) -> None:
    for statement in migration.statements():
        client.command(rendered(statement, cluster))
    row = [[migration.number, migration.name, migration.digest]]
    client.insert("migrations", row, column_names=["number", "name", "digest"])
