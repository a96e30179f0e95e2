"""The SQL for servers: parsed by the engine's own parser, every statement of it. It has run on no server."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse import engine, roles
from sinks.clickhouse.access import Reader
from sinks.clickhouse.cluster import rendered
from sinks.clickhouse.migrate import load, statements
from sinks.clickhouse.sight import SHOWN
from tests.carbon.test_subjects import SALE, WORLD

READERS = {"it's `board`": Reader("mill-co", "ab" * 32)}
CLUSTERS = ["", "main"]


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    client = engine.open_client(tmp_path_factory.mktemp("parser"))
    yield client
    client.close()


def parse(client: Any, statement: str) -> str:
    return str(client.command(f"EXPLAIN AST {statement}"))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_statement_of_the_tables_parses(parser: Any, cluster: str) -> None:
    made = statements(load(), cluster)
    trees = [parse(parser, statement) for statement in made]
    assert len(made) > 60 and all(trees)
    assert [("ON CLUSTER" in statement) for statement in made] == [bool(cluster)] * len(made)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_statement_of_the_roles_parses(parser: Any, cluster: str) -> None:
    made = list(roles.statements(WORLD, READERS, SALE, cluster))
    assert len(made) > 200 and all(parse(parser, statement) for statement in made)
    assert [("ON CLUSTER" in statement) for statement in made] == [bool(cluster)] * len(made)


def test_the_parser_tells_what_is_no_statement(parser: Any) -> None:
    with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
        parse(parser, "CREATE ROW POLICY OR REPLACE x ON CLUSTER ON carbon.records USING 1 TO x")


def test_an_engine_keeps_its_version_column_and_gets_a_place() -> None:
    place = r"'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    plain = "CREATE TABLE IF NOT EXISTS x (a Int8) ENGINE = ReplacingMergeTree(height) ORDER BY a"
    made = rendered(plain, "main")
    assert f"x ON CLUSTER `main` (a Int8) ENGINE = ReplicatedReplacingMergeTree({place}, height) ORDER" in made
    assert f"ENGINE = ReplicatedMergeTree({place})" in rendered("CREATE TABLE x (a Int8) ENGINE = MergeTree", "main")
    assert rendered(plain, "") == plain
    assert all("ENGINE = Replicated" in s for s in statements(load(), "main") if "ENGINE = " in s)


def test_every_table_of_a_role_has_its_policy() -> None:
    made = list(roles.statements(WORLD, {}, SALE))
    granted = {
        s.split(".")[1].split(" ")[0] for s in made if s.startswith("GRANT SELECT") and s.endswith("`carbon_mill-co`")
    }
    policies = {
        s.split("carbon.")[1].split(" ")[0]: s
        for s in made
        if s.startswith("CREATE ROW POLICY OR REPLACE `carbon_mill-co`")
    }
    bases = {shown.base for shown in SHOWN.values() if shown.base}
    assert policies.keys() == bases <= granted
    assert not granted & {
        "sink_errors_log",
        "registries",
        "ledger_position",
        "ledger_book",
        "deliveries_log",
        "health_log",
    }
    assert re.search(r"USING \(subject IN \('kiln', 'mill', .*\)\) TO", policies["balances_log"])
    sold = next(s for s in made if "POLICY" in s and "carbon_old-co" in s and "carbon.records " in s)
    assert f"window_start < fromUnixTimestamp64Milli({SALE}, 'UTC')" in sold
