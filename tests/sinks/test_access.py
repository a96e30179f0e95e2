"""Row-level access of the loopback interface: every role against every other's rows, by honest and other questions.

The subjects, parties and the sale in June 2016 are those of `tests/carbon/test_subjects.py`, and invented.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from carbon import subjects
from sinks.clickhouse import access, engine, views
from sinks.clickhouse.http import Interface
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.sight import SHOWN
from tests.carbon.test_subjects import PARTIES, SALE, WORLD
from tests.sinks.test_http import ask

TIMES = (SALE - 86_400_000, SALE + 86_400_000)
PUBLIC = "public"
READERS = [*PARTIES, PUBLIC]
SEES_SOME = ["old-co", "mill-co", "south-office", "verifier", PUBLIC]
POINT = {point.subject: point.id for point in WORLD.points.values()}
DATED = {
    "readings": "at", "records": "window_start", "submissions": "about", "postings": "time", "forecasts": "at",
    "alerts": "at", "anomalies": "at", "subjects": "start", "ratings": "time",
}  # fmt: skip
LATER = "t > '2016-06-04'"
PLAN = json.dumps({"year": 2016, "months": [{"emission_g": 1}]})
FILLED = {
    "readings": {"subject": "name", "point": "spot", "at": "t", "value": "figure"},
    "records": {
        "subject": "name", "point": "concat('p-', name)", "window_start": "t", "quantity": "figure", "version": "1",
        "verdict": "'accepted'", "leaf_index": f"figure * 2 + ({LATER})",
    },
    "submissions_log": {
        "subject": "name", "about": "t", "leaf_index": f"figure * 2 + ({LATER})", "kind": "'plan'",
        "verdict": "'accepted'", "content": f"'{PLAN}'",
    },
    "postings_log": {
        "subject": "name", "time": "t", "account": "name", "balance": "figure", "height": "figure", "place": LATER,
    },
    "balances_log": {"subject": "name", "account": "name", "balance": "figure"},
    "forecasts_log": {"subject": "name", "at": "t", "emitted_g": "figure"},
    "alerts_log": {"subject": "name", "at": "t", "id": "concat(name, toString(t))", "text": "toString(figure)"},
    "anomalies_log": {
        "subject": "name", "at": "t", "id": "concat(name, toString(t))", "key": "name", "text": "toString(figure)",
        "`offset`": f"figure * 2 + ({LATER})",
    },
    "rejections_log": {"point": "spot", "at": "t", "digest": "concat(name, toString(t))", "`index`": "0"},
    "votes_log": {"height": "figure", "member": "'member'"},
    "member_views_log": {"epoch": "0", "view": "figure", "member": "'member'", "first": "t", "last": "t"},
    "rates_log": {"subject": "name", "rule": "name", "unit": "'Wh'", "market": "toString(figure)"},
    "ratings_log": {"subject": "name", "time": "t", "year": f"2015 + ({LATER})"},
    "subjects_log": {"subject": "name", "start": "t", "first": "1"},
    "sink_errors_log": {"topic": "'t'", "reason": "name"},
    "deliveries_log": {"subscription": "name", "event": "'e'"},
}  # fmt: skip


def fill(client: Any) -> None:
    """Two rows of every subject in every table, one before and one after the sale, with figures that are its own."""
    names = enumerate(sorted(WORLD.subjects))
    of = ", ".join(f"('{name}', '{POINT.get(name, '')}', {number})" for number, name in names)
    when = ", ".join(f"fromUnixTimestamp64Milli({at}, 'UTC')" for at in TIMES)
    rows = f"(SELECT arrayJoin([{of}]) AS s, s.1 AS name, s.2 AS spot, 1000 + s.3 AS figure, arrayJoin([{when}]) AS t)"
    for table, row in FILLED.items():
        client.command(f"INSERT INTO {table} ({', '.join(row)}) SELECT {', '.join(row.values())} FROM {rows}")
    newest = f"fromUnixTimestamp64Milli({TIMES[1]}, 'UTC')"
    client.command(f"INSERT INTO blocks (height, time) SELECT number, {newest} FROM numbers(3)")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def tokens(data_dir: Path) -> dict[str, str]:
    return {name: access.add(data_dir, f"r-{name}", name) for name in PARTIES}


@pytest.fixture(scope="module")
def port(data_dir: Path, tokens: dict[str, str]) -> Iterator[int]:
    client = engine.open_client(data_dir)
    migrate(client)
    fill(client)
    with Interface(data_dir, registries={0: WORLD}) as interface:
        yield interface.port
    client.close()


@pytest.fixture
def told(port: int, tokens: dict[str, str]) -> Any:
    """Asks as a reader; the answer's status and text."""

    def ask_as(reader: str, sql: str, **fields: str) -> tuple[int, str]:
        headers = {} if reader == PUBLIC else {"X-ClickHouse-User": f"r-{reader}", "X-ClickHouse-Key": tokens[reader]}
        status, body, _ = ask(port, sql, headers=headers, **fields)
        return status, body.decode()

    return ask_as


def wanted(reader: str, at_ms: int) -> set[str]:
    viewer = None if reader == PUBLIC else WORLD.parties[reader]
    return {name for name in WORLD.subjects if subjects.may_see(viewer, name, at_ms, WORLD)}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_sees_its_rows_of_every_table_and_no_others(told: Any, reader: str) -> None:
    for table, at in DATED.items():
        status, text = told(reader, f"SELECT subject, toUnixTimestamp64Milli({at}) FROM {table} ORDER BY ALL")
        found = [line.split("\t") for line in text.splitlines()]
        assert status == 200, text
        assert found == sorted([name, str(at_ms)] for at_ms in TIMES for name in wanted(reader, at_ms)), table
    assert set(told(reader, "SELECT subject FROM balances")[1].split()) == wanted(reader, TIMES[1])
    points = {(POINT[name], at_ms) for at_ms in TIMES for name in wanted(reader, at_ms) if name in POINT}
    sql = "SELECT point, toUnixTimestamp64Milli(at) FROM rejections WHERE point != ''"
    seen = (line.split("\t") for line in told(reader, sql)[1].splitlines())
    assert {(point, int(at)) for point, at in seen} == points
    assert told(reader, "SELECT count() FROM blocks")[1] == "3\n"
    for open_ in ("votes", "member_views", "view_changes"):
        assert told(reader, f"SELECT count() FROM {open_}")[1] == f"{len(WORLD.subjects)}\n", open_


@pytest.mark.parametrize("reader", SEES_SOME)
def test_views_over_what_is_seen_show_no_more(told: Any, reader: str) -> None:
    seen = set().union(*(wanted(reader, at_ms) for at_ms in TIMES))
    for view in (
        "records_latest",
        "hours",
        "statements",
        "plans",
        "emissions",
        "anomalies_open",
        "days(utc_offset_minutes = 480)",
    ):
        status, text = told(reader, f"SELECT DISTINCT subject FROM {view}")
        assert status == 200 and set(text.split()) <= seen, view
    assert set(told(reader, "SELECT DISTINCT subject FROM records_latest")[1].split()) == seen
    assert set(told(reader, "SHOW TABLES")[1].split()) == {*SHOWN, *views.derived()}


ATTACKS = [
    "SELECT subject FROM carbon.{t}",
    "SELECT subject FROM `carbon`.`{t}`",
    'SELECT subject FROM "carbon"."{t}"',
    "SELECT subject FROM `c\\x61rbon`.{t}",
    "SELECT subject FROM CARBON.{t}",
    "SELECT subject FROM carbon . /**/ {t} -- x",
    "SELECT subject FROM {t} UNION ALL SELECT subject FROM carbon.{t}",
    "SELECT subject FROM {t} EXCEPT SELECT subject FROM carbon.{t}",
    "SELECT * FROM (SELECT subject FROM carbon.{t})",
    "SELECT (SELECT groupArray(subject) FROM carbon.{t})",
    "SELECT 1 WHERE 'shop' IN (SELECT subject FROM carbon.{t})",
    "SELECT 1 WHERE tuple('shop') IN carbon.{t}",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM carbon.{t} WHERE subject = 'shop')",
    "WITH x AS (SELECT subject FROM carbon.{t}) SELECT * FROM x",
    "WITH (SELECT groupArray(subject) FROM carbon.{t}) AS x SELECT x",
    "SELECT b.subject FROM {t} AS a RIGHT JOIN carbon.{t} AS b ON a.subject = b.subject",
    "SELECT b.subject FROM {t} AS a, carbon.{t} AS b",
    "SELECT * APPLY(x -> (SELECT groupArray(subject) FROM carbon.{t})) FROM (SELECT 1)",
    "SELECT * REPLACE((SELECT groupArray(subject) FROM carbon.{t}) AS x) FROM (SELECT 1 AS x)",
    "SELECT 1 AS `a'b`, (SELECT groupArray(subject) FROM carbon.{t}) AS `c'd`",
    "SELECT 1 AS `a\\'`, (SELECT groupArray(subject) FROM carbon.{t}), 2 AS `\\'b`",
    "SELECT 1 ORDER BY (SELECT count() FROM carbon.{t})",
    "SELECT 1 LIMIT (SELECT count() FROM carbon.{t})",
    "SELECT number FROM numbers(1) ORDER BY number WITH FILL TO (SELECT count() FROM carbon.{t})",
    "SELECT sum(1) OVER (ORDER BY (SELECT count() FROM carbon.{t}))",
    "SELECT * FROM merge('carbon', '{t}')",
    "SELECT * FROM merge(REGEXP('.*'), '{t}')",
    "SELECT * FROM `merge`('carbon', '.*')",
    "SELECT 1 AS `a'`, * FROM merge('carbon', '{t}') AS `b'`",
    "SELECT * FROM (SELECT 1), merge('carbon', '{t}')",
    "SELECT * APPLY(x -> (SELECT groupArray(subject) FROM merge('carbon', '{t}'))) FROM (SELECT 1)",
    "SELECT * FROM remote('127.0.0.1', carbon.{t})",
    "SELECT * FROM remote('127.0.0.1', 'carbon', '{t}')",
    "SELECT * FROM cluster('default', carbon.{t})",
    "SELECT * FROM clusterAllReplicas('default', 'carbon', '{t}')",
    "SELECT * FROM view(SELECT subject FROM carbon.{t})",
    "SELECT * FROM viewIfPermitted(SELECT subject FROM carbon.{t} ELSE null('x Int8'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT subject FROM carbon.{t}))",
    "SELECT * FROM eval('SELECT subject FROM carbon.{t}')",
    "SELECT * FROM loop('carbon', '{t}')",
    "SELECT * FROM mergeTreeIndex('carbon', '{t}')",
    "SELECT * FROM mergeTreeProjection('carbon', 'readings', 'packets')",
    "SELECT * FROM dictionary('carbon.{t}')",
    "SELECT dictGet('carbon.{t}', 'subject', 1)",
    "SELECT joinGet('carbon.{t}', 'subject', 1)",
    "SELECT hasColumnInTable('carbon', '{t}', 'subject')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT file('/etc/passwd')",
    "SELECT 1 AS `a'b`, file('/etc/passwd') AS `c'd`",
    "SELECT * FROM executable('cat', 'TSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/x')",
    "SELECT * FROM sqlite('/tmp/x', 'y')",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.parts",
    "SELECT * FROM system.tables",
    "SELECT * FROM system.columns",
    "SELECT * FROM system.databases",
    "SELECT * FROM system.processes",
    "SELECT * FROM `system`.`parts_columns`",
    "SELECT * FROM system.one, system.parts",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM INFORMATION_SCHEMA.TABLES",
    "SELECT * FROM Information_Schema.columns",
    "SELECT * FROM default.{t}",
    "SHOW TABLES FROM carbon",
    "SHOW TABLES FROM system",
    "SHOW DATABASES",
    "SHOW CREATE TABLE carbon.{t}",
    "SHOW CREATE TABLE {t}",
    "SHOW PROCESSLIST",
    "SHOW COLUMNS FROM {t} FROM carbon",
    "SHOW INDEXES FROM {t} FROM carbon",
    "SHOW SETTINGS LIKE '%filters%'",
    "SHOW GRANTS",
    "DESCRIBE carbon.{t}",
    "DESCRIBE TABLE (SELECT * FROM carbon.{t})",
    "EXISTS carbon.{t}",
    "EXPLAIN SELECT * FROM {t}",
    "EXPLAIN ESTIMATE SELECT * FROM {t}",
    "EXPLAIN indexes = 1 SELECT * FROM carbon.{t}",
    "SELECT * FROM (EXPLAIN SELECT * FROM carbon.{t})",
    "SELECT subject FROM {t} SETTINGS additional_table_filters = {{}}",
    "SELECT subject FROM {t} SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_rows_to_read = 1",
    "USE carbon",
    "SET additional_table_filters = {{}}",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TEMPORARY TABLE x AS SELECT * FROM carbon.{t}",
    "INSERT INTO carbon.{t} SELECT * FROM carbon.{t}",
    "DROP DATABASE carbon",
    "BACKUP DATABASE carbon TO File('/tmp/x')",
]


def test_nothing_else_is_reached(told: Any) -> None:
    tables = ("records", "balances_log", "records_latest")
    for place, sql in enumerate(ATTACKS):
        asked = sql.format(t=tables[place % 3])
        status, text = told("mill-co", asked)
        assert status != 200, (asked, text)
        assert "shop" not in text.replace("'shop'", "") and "Authentication" not in text, (asked, text)


def test_the_public_reaches_no_more_than_others(told: Any) -> None:
    for sql in ATTACKS[::9]:
        assert told(PUBLIC, sql.format(t="records"))[0] != 200, sql


@pytest.mark.parametrize(("type_", "value"), [("Identifier", "carbon"), ("identifier", "carbon"), ("String", "carbon")])
def test_a_name_is_no_parameter(told: Any, type_: str, value: str) -> None:
    for sql in (f"SELECT subject FROM {{d:{type_}}}.records", f"SELECT subject FROM merge({{d:{type_}}}, 'records')"):
        assert told("mill-co", sql, param_d=value)[0] != 200
    assert told("mill-co", "SELECT {d:String}", param_d="carbon.records")[1] == "carbon.records\n"


def test_nobody_reads_by_anothers_database(told: Any) -> None:
    readers = ["old-co", "new-co", "shop-co", "south-office"]
    own = {reader: told(reader, "SELECT currentDatabase()")[1].strip() for reader in readers}
    assert len(set(own.values())) == 4
    for reader, (other, name) in itertools.product(readers, own.items()):
        found = told(reader, f"SELECT count() FROM {name}.records")[0], told(reader, "SELECT 1", database=name)[0]
        assert found == ((200, 200) if reader == other else (403, 404))
    assert told("old-co", "SELECT 1", database="system")[0] == 404


@pytest.mark.parametrize("table", ["records", "balances"])
def test_no_error_tells_of_rows_that_are_not_seen(told: Any, table: str) -> None:
    number = 1000 + sorted(WORLD.subjects).index("shop")
    figure = {"records": "quantity", "readings": "value"}.get(table, "balance")
    for condition in (
        "throwIf(subject = 'shop')",
        f"throwIf({figure} = {number})",
        f"intDiv(1, {figure} - {number}) >= 0",
        f"CAST(if({figure} = {number}, 'x', '1'), 'Int8') = 1",
    ):
        for sql in (
            "SELECT count() FROM {} WHERE {}",
            "SELECT sum({1}) FROM {0}",
            "SELECT * FROM {} ORDER BY {} LIMIT 1",
        ):
            asked = sql.format(table, condition)
            status, text = told("mill-co", asked)
            assert status == 200, (asked, text)
    assert told("shop-co", f"SELECT count() FROM {table} WHERE throwIf(subject = 'shop')")[0] == 500


def test_no_figure_of_the_engine_tells_how_many_others_have(told: Any, port: int) -> None:
    _, text = told("mill-co", "SELECT subject FROM records LIMIT 1 FORMAT JSON")
    assert "statistics" not in json.loads(text) and json.loads(text)["rows_before_limit_at_least"] == 10
    asked = told("mill-co", "SELECT 1 FORMAT JSON", output_format_write_statistics="1", max_rows_to_read="1")
    assert asked[0] == 200 and "statistics" not in json.loads(asked[1])
    assert told("mill-co", "SELECT 1", additional_table_filters="{}")[0] == 403


@pytest.mark.parametrize("lock", ["views", "filters"])
def test_each_of_the_two_locks_is_enough_for_rows(told: Any, monkeypatch: pytest.MonkeyPatch, lock: str) -> None:
    """With the statement's check off and the views or the engine's filters left alone, nobody else's row comes out."""
    from sinks.clickhouse import reader

    if lock == "views":
        monkeypatch.setattr(reader, "_filters", lambda *_: "{}")
        names = ["records", "readings", "submissions", "postings", "balances", "forecasts", "alerts"]
    else:
        monkeypatch.setattr(reader.Reader, "_check_part", lambda *_: None)
        names = [f"carbon.{name}" for name in (*DATED, "balances", "records_latest", "hours", "statements", "plans")]
        names += ["carbon.balances_log", "view(SELECT * FROM carbon.records)"]
        assert told("mill-co", "SELECT count() FROM carbon.sink_errors")[1] == "0\n"
    seen = set().union(*(wanted("mill-co", at_ms) for at_ms in TIMES))
    for name in names:
        status, text = told("mill-co", f"SELECT DISTINCT subject FROM {name}")
        assert status == 200 and set(text.split()) <= seen, (name, text)
    assert "mill" in told("mill-co", f"SELECT DISTINCT subject FROM {names[0]}")[1]


def test_the_owner_sees_everything_by_the_token_in_its_folder(port: int, data_dir: Path) -> None:
    token = (data_dir / access.TOKEN_FILE).read_text().strip()
    assert (data_dir / access.TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    headers = {"Authorization": "Basic " + base64.b64encode(f"owner:{token}".encode()).decode()}
    assert ask(port, "SELECT uniqExact(subject) FROM carbon.records", headers=headers)[1] == b"9\n"
    assert ask(port, "SELECT count() > 0 FROM system.parts", headers=headers)[1] == b"1\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-ClickHouse-User": "r-old-co"},
        {"X-ClickHouse-User": "r-old-co", "X-ClickHouse-Key": "wrong"},
        {"X-ClickHouse-User": "owner", "X-ClickHouse-Key": ""},
        {"X-ClickHouse-User": "nobody", "X-ClickHouse-Key": "x"},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "x"},
        {"X-ClickHouse-Key": "x"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic " + base64.b64encode(b"owner").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"owner:x").decode(), "X-ClickHouse-User": "default"},
    ],
)
def test_wrong_credentials_are_refused_as_a_server_does(port: int, headers: dict[str, str]) -> None:
    status, body, answered = ask(port, "SELECT 1", headers=headers)
    assert (status, answered["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert b"AUTHENTICATION_FAILED" in body


def test_a_token_is_shown_once_and_kept_as_a_hash(data_dir: Path, tokens: dict[str, str]) -> None:
    file = data_dir / access.READERS_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert not any(token in file.read_text() for token in tokens.values())


def test_files_that_others_may_read_are_not_trusted(tmp_path: Path) -> None:
    token = access.add(tmp_path, "x", "old-co")
    assert access.party_of(tmp_path, "x", token) == "old-co"
    (tmp_path / access.READERS_FILE).chmod(0o640)
    with pytest.raises(access.AccessError, match="chmod 600"):
        access.party_of(tmp_path, "x", token)
    (tmp_path / access.READERS_FILE).chmod(0o600)
    assert access.remove(tmp_path, "x") and not access.remove(tmp_path, "x")
    with pytest.raises(access.AccessError):
        access.party_of(tmp_path, "x", token)


@pytest.mark.parametrize("name", ["owner", "default", "", "a:b", "a\nb"])
def test_some_names_are_nobodys(tmp_path: Path, name: str) -> None:
    with pytest.raises(access.AccessError):
        access.add(tmp_path, name, "old-co")


def test_a_party_that_is_not_registered_reads_nothing(port: int, data_dir: Path) -> None:
    headers = {"X-ClickHouse-User": "ghost", "X-ClickHouse-Key": access.add(data_dir, "ghost", "ghost-co")}
    assert ask(port, "SELECT 1", headers=headers)[0] == 403


def test_clickhouse_connect_works_for_a_reader(port: int, tokens: dict[str, str]) -> None:
    where = {"host": "127.0.0.1", "port": port, "database": "carbon"}
    client = clickhouse_connect.get_client(**where, username="r-mill-co", password=tokens["mill-co"])
    try:
        found = client.query("SELECT DISTINCT subject FROM records WHERE quantity > {least:Int64}", {"least": 3})
        assert {row[0] for row in found.result_rows} >= {"mill", "kiln"}
        assert client.query_df("SELECT * FROM balances").shape[0] == len(wanted("mill-co", TIMES[1]))
    finally:
        client.close()


def test_readers_have_the_views_that_are_made_of_their_tables() -> None:
    assert {"records_latest", "plans", "statements"} <= views.derived().keys()
