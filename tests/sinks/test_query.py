import http.server
import multiprocessing
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sinks.clickhouse import access, engine
from sinks.clickhouse.http import PORT_FILE, Interface
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.query import QueryError, query, running_port


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    client = engine.open_client(tmp_path)
    migrate(client)
    client.close()
    return tmp_path


def own(data_dir: str, ready: Any, done: Any) -> None:
    """Another process that owns the embedded engine and answers nobody."""
    client = engine.open_client(Path(data_dir))
    ready.set()
    done.wait()
    client.close()


def test_it_asks_the_tables_with_nothing_running(data_dir: Path) -> None:
    assert query("SELECT count() FROM readings", data_dir, format_="CSV") == b"0\n"
    assert query("SELECT count() FROM records_latest", data_dir, format_="CSV") == b"0\n"


def test_it_asks_the_sink_that_runs(data_dir: Path) -> None:
    client = engine.open_client(data_dir)
    try:
        with Interface(data_dir) as interface:
            assert running_port(data_dir) == interface.port
            assert query("SELECT count() AS n FROM blocks", data_dir, format_="JSONEachRow") == b'{"n":0}\n'
            with pytest.raises(QueryError, match="Code: 60"):
                query("SELECT * FROM nope", data_dir)
    finally:
        client.close()


def test_it_never_writes(data_dir: Path) -> None:
    for sql in ("DROP TABLE readings", "SELECT file('/dev/null')"):
        with pytest.raises(QueryError, match="READONLY"):
            query(sql, data_dir)


def test_a_server_is_asked_by_its_url(data_dir: Path) -> None:
    client = engine.open_client(data_dir)
    try:
        with Interface(data_dir) as interface:
            url = f"http://{access.OWNER}:{access.owner_token(data_dir)}@127.0.0.1:{interface.port}"
            assert query("SELECT count() FROM readings", Path("nowhere"), url, "CSV") == b"0\n"
    finally:
        client.close()


def test_without_tables_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="carbonledger demo"):
        query("SELECT 1", tmp_path)


def test_a_port_file_left_behind_misleads_nobody(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (data_dir / PORT_FILE).write_text(f"{port}\n")
    assert query("SELECT 1", data_dir, format_="CSV") == b"1\n"


def test_somebody_else_s_port_is_not_the_sink(data_dir: Path) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        (data_dir / PORT_FILE).write_text(f"{server.server_address[1]}\n")
        assert running_port(data_dir) is None
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_owner_that_does_not_answer_is_named(data_dir: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    owner = spawn.Process(target=own, args=(str(data_dir), ready, done))
    owner.start()
    try:
        assert ready.wait(60)
        with pytest.raises(QueryError, match="another process may own it"):
            query("SELECT 1", data_dir)
    finally:
        done.set()
        owner.join()
