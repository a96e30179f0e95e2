"""The contract of the HTTP interface: what curl and ClickHouse's own client rely on."""

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest

from schemas import topics
from sinks.clickhouse import access, engine
from sinks.clickhouse.http import PORT_FILE, REQUEST_BYTES, Interface
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.readings import ReadingsFeed
from tests.sinks.messages import REFERENCE, Topic, coded


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http")


@pytest.fixture(scope="module")
def client(data_dir: Path) -> Iterator[Any]:
    """One engine for this file, since almost all of its tests only read."""
    client = engine.open_client(data_dir)
    migrate(client)
    yield client
    client.close()


@pytest.fixture(scope="module")
def interface(client: Any, data_dir: Path) -> Iterator[Interface]:
    feed = ReadingsFeed(REFERENCE)
    feed.take(Topic(topics.READINGS_CODED).put(coded(1, 300)))
    feed.flush(client)
    (data_dir / access.TOKEN_FILE).touch(0o600)
    (data_dir / access.TOKEN_FILE).write_text(OWNER["X-ClickHouse-Key"])
    with Interface(data_dir) as interface:
        yield interface


OWNER = {"X-ClickHouse-User": access.OWNER, "X-ClickHouse-Key": "token"}


def ask(
    port: int,
    sql: str = "",
    path: str = "/",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    **fields: str,
) -> tuple[int, bytes, Any]:
    """An answer's status, body and headers; asked is as the owner unless `headers` are given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        target = f"{path}?{urlencode(fields)}" if fields else path
        connection.request(method, target, sql.encode() if sql else None, OWNER if headers is None else headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/ping"])
def test_ping(interface: Interface, path: str) -> None:
    assert ask(interface.port, path=path, method="GET")[:2] == (200, b"Ok.\n")


def test_a_question_by_get_and_by_post(interface: Interface) -> None:
    sql = "SELECT count() FROM readings"
    assert ask(interface.port, method="GET", query=sql)[:2] == (200, b"300\n")
    assert ask(interface.port, sql)[:2] == (200, b"300\n")
    assert ask(interface.port, "FROM readings", query="SELECT count()")[:2] == (200, b"300\n")


def test_the_format_is_the_statement_s_or_the_default(interface: Interface) -> None:
    assert ask(interface.port, "SELECT 1 AS x", default_format="JSONEachRow")[1] == b'{"x":1}\n'
    assert ask(interface.port, "SELECT 1 AS x", headers={"X-ClickHouse-Format": "CSVWithNames"})[1] == b'"x"\n1\n'
    answer = ask(interface.port, "SELECT 1 AS x FORMAT JSON", default_format="CSV")[1]
    assert json.loads(answer)["data"] == [{"x": 1}]


def test_the_database_can_be_named(interface: Interface) -> None:
    assert ask(interface.port, "SELECT currentDatabase()")[1] == b"carbon\n"
    assert ask(interface.port, "SELECT currentDatabase()", database="system")[1] == b"system\n"
    assert ask(interface.port, "SELECT 1", database="no`pe")[0] == 404


def test_parameters_are_values_never_sql(interface: Interface) -> None:
    sql = "SELECT {text:String}, {numbers:Array(Int32)}, {at:DateTime64(3)}"
    fields = {"param_text": "it's", "param_numbers": "[1,2]", "param_at": "2026-01-01 00:00:00.5"}
    assert ask(interface.port, sql, **fields)[1] == b"it\\'s\t[1,2]\t2026-01-01 00:00:00.500\n"


def test_times_are_utc(interface: Interface) -> None:
    _, answer, headers = ask(interface.port, "SELECT timezone(), toString(toDateTime(0))")
    assert (answer, headers["X-ClickHouse-Timezone"]) == (b"UTC\t1970-01-01 00:00:00\n", "UTC")


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT 1 +", 400, "62", "SYNTAX_ERROR"),
        ("SELECT nope", 404, "47", "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1; SELECT 2", 400, "62", "SYNTAX_ERROR"),
    ],
)
def test_errors_are_clickhouse_s_own(interface: Interface, sql: str, status: int, code: str, name: str) -> None:
    found, body, headers = ask(interface.port, sql)
    assert (found, headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode()) and name.encode() in body


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO readings (value) VALUES (1)",
        "DROP TABLE readings",
        "ALTER TABLE readings DELETE WHERE 1",
        "OPTIMIZE TABLE readings",
        "TRUNCATE TABLE readings",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "SET max_threads = 1",
        "USE system",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT file('{path}')",
        "SELECT 1 AS `a'b`, file('{path}') AS `c'd`",
        "SELECT `file`('{path}')",
        "SELECT \"f\\x69le\"('{path}')",
        "SELECT /**/ FILE /**/ ('{path}') -- quietly",
        "SELECT * APPLY file FROM (SELECT '{path}')",
        "SELECT * FROM file('{path}', 'LineAsString')",
        "DESCRIBE TABLE file('{path}', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM executable('cat', 'TSV', 'a String')",
        "SELECT * FROM Python(client)",
        "SELECT 1 INTO OUTFILE '{path}.out'",
        "WITH 1 AS x SELECT x INTO OUTFILE '{path}.out'",
    ],
)
def test_only_reading_is_answered(interface: Interface, client: Any, tmp_path: Path, sql: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    status, body, _ = ask(interface.port, sql.replace("{path}", str(secret)))
    assert (status, body[:10]) == (403, b"Code: 164.") and b"the secret" not in body
    assert not secret.with_name("secret.out").exists()
    assert client.query("SELECT count() FROM readings").first_row == (300,)


def test_words_in_texts_are_no_statements(interface: Interface) -> None:
    assert ask(interface.port, "SELECT 'file(x) into outfile' AS word")[1] == b"file(x) into outfile\n"


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES", "DESCRIBE readings", "EXPLAIN SELECT 1", "EXISTS readings", "(SELECT 1)"]
)
def test_every_reading_statement_is_answered(interface: Interface, sql: str) -> None:
    assert ask(interface.port, sql)[0] == 200


def test_harmless_settings_are_taken_and_others_refused(interface: Interface) -> None:
    shown = "SELECT value FROM system.settings WHERE name = 'max_threads'"
    assert ask(interface.port, shown, max_threads="1")[1] == b"1\n"
    assert ask(interface.port, "SELECT 1", allow_introspection_functions="1")[0] == 403
    assert ask(interface.port, shown)[1] != b"1\n"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "carbon.example"}, {"Content-Encoding": "gzip"}, {"Content-Type": "multipart/form-data; boundary=x"}],
)
def test_foreign_names_and_uploads_are_refused(interface: Interface, headers: dict[str, str]) -> None:
    assert ask(interface.port, "SELECT 1", headers=headers)[0] in (403, 501)


def test_a_request_is_bounded(interface: Interface) -> None:
    with socket.create_connection(("127.0.0.1", interface.port), 30) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (REQUEST_BYTES + 1))
        assert b"Code: 307." in raw.recv(65_536)


def test_chunks_are_read(interface: Interface) -> None:
    with socket.create_connection(("127.0.0.1", interface.port), 30) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.sendall(
            b"7\r\nSELECT \r\n1\r\n7\r\n0\r\n\r\nGET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        while part := raw.recv(65_536):
            answer += part
    assert answer.count(b"200 OK") == 2 and b"\r\n\r\n7\n" in answer and answer.endswith(b"Ok.\n")


def test_clickhouse_connect_speaks_to_it(interface: Interface) -> None:
    where = {"host": "127.0.0.1", "port": interface.port, "database": "carbon"}
    remote = clickhouse_connect.get_client(**where, username=access.OWNER, password=OWNER["X-ClickHouse-Key"])
    try:
        assert remote.query("SELECT count() FROM readings").result_rows == [(300,)]
        sql = "SELECT point, at, value, hash, code FROM readings WHERE `index` < {limit:UInt32} ORDER BY `index`"
        rows = remote.query(sql, parameters={"limit": 3}).result_rows
        assert [row[0] for row in rows] == ["p-coal", "p-power", "p-gas"]
        assert rows[0][4].startswith("99.1.7/plant-a.coal.20260101T000000Z.")
        assert remote.query_df("SELECT value FROM readings").shape == (300, 1)
        assert remote.query_arrow("SELECT value FROM readings").num_rows == 300
        assert remote.command("SELECT count() FROM readings") == 300
        with pytest.raises(clickhouse_connect.driver.exceptions.DatabaseError, match="Code: 60"):
            remote.query("SELECT * FROM nope")
    finally:
        remote.close()


def test_the_first_question_of_clickhouse_go(interface: Interface) -> None:
    """In its own revision a block starts with its info and a column with a byte; then it hears of revision 0."""
    sql = "SELECT displayName(), version(), revision(), timezone()"
    body = ask(interface.port, sql, default_format="Native", client_protocol_version="54460")[1]
    assert body.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01\x0ddisplayName()\x06String\x00")
    assert b"\x0arevision()\x06UInt32\x00\x00\x00\x00\x00" in body
    assert body.endswith(b"\x0atimezone()\x06String\x00\x03UTC")


@pytest.mark.extra("go")
def test_clickhouse_go_speaks_to_it(interface: Interface, tmp_path: Path) -> None:
    """The client inside Grafana's ClickHouse plugin; needs Go and its module proxy."""
    go = shutil.which("go") or "go"
    client, source = tmp_path / "contract", Path(__file__).with_name("clickhouse_go")
    subprocess.run([go, "build", "-o", client, "."], cwd=source, check=True)
    asked = [client, f"127.0.0.1:{interface.port}", *OWNER.values()]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    assert told == "300 2026-01-01T00:04:59Z p-power 76 true\n"


def test_many_ask_while_the_sink_writes(interface: Interface, client: Any) -> None:
    answers: list[bytes] = []

    def reader() -> None:
        answers.extend(ask(interface.port, "SELECT count() % 300 FROM readings")[1] for _ in range(20))

    threads = [Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    feed, topic = ReadingsFeed(REFERENCE), Topic(topics.READINGS_CODED)
    for sequence in range(20):
        feed.take(topic.put(coded(sequence + 1, 300, gateway="gw-many")))
        feed.flush(client)
    for thread in threads:
        thread.join()
    client.command("ALTER TABLE readings DELETE WHERE gateway = 'gw-many' SETTINGS mutations_sync = 1")
    assert answers == [b"0\n"] * 80


def test_the_port_is_kept(tmp_path: Path) -> None:
    with Interface(tmp_path) as first:
        assert (tmp_path / PORT_FILE).read_text() == f"{first.port}\n"
        with Interface(tmp_path) as second:
            assert second.port != first.port
    with Interface(tmp_path) as again:
        assert again.port == second.port
