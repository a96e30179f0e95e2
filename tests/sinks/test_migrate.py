from pathlib import Path
from typing import Any

import pytest

from sinks.clickhouse import engine
from sinks.clickhouse.migrate import Migration, MigrationError, load, migrate


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    client = engine.open_client(tmp_path)
    try:
        numbers = [migration.number for migration in load()]
        assert migrate(client) == numbers == sorted(set(numbers)) and len(numbers) > 15
        assert migrate(client) == []
    finally:
        client.close()


def test_a_crash_between_a_statement_and_its_note_is_mended(client: Any) -> None:
    migration = Migration(9001, "9001_x", "CREATE TABLE IF NOT EXISTS x (a Int8) ENGINE = MergeTree ORDER BY a;\n")
    client.command(migration.statements()[0])
    assert migrate(client, [*load(), migration]) == [9001]


@pytest.mark.parametrize("migration", load(), ids=lambda m: m.name)
def test_every_statement_can_be_repeated(client: Any, migration: Migration) -> None:
    for statement in migration.statements():
        client.command(statement)


def test_one_that_comes_later_with_a_lower_number_is_applied(client: Any) -> None:
    """Numbers are given to those who write at the same time, and have holes."""
    late = Migration(0, "0000_x", "CREATE TABLE IF NOT EXISTS x (a Int8) ENGINE = MergeTree ORDER BY a;\n")
    assert migrate(client, [late, *load()]) == [0]


def test_a_changed_migration_is_refused(client: Any) -> None:
    first, *rest = load()
    with pytest.raises(MigrationError, match="was changed"):
        migrate(client, [first._replace(text=first.text + "\n"), *rest])


def test_a_newer_database_is_refused(client: Any) -> None:
    with pytest.raises(MigrationError, match="newer release"):
        migrate(client, load()[:-1])


def test_every_column_says_what_it_is(client: Any) -> None:
    silent = """SELECT table, name FROM system.columns WHERE database = 'carbon' AND comment = ''
        AND table NOT IN (SELECT name FROM system.tables WHERE database = 'carbon' AND engine = 'View')"""
    assert client.query(silent).result_rows == []


def test_no_table_is_partitioned(client: Any) -> None:
    """An insert that spans partitions is several parts, of which a crash may leave some."""
    partitioned = "SELECT name FROM system.tables WHERE database = 'carbon' AND partition_key != ''"
    assert client.query(partitioned).result_rows == []
