"""The ClickHouse HTTP interface on loopback, for everybody but the sink: read-only, over the embedded engine.

Each request says who asks, by any of ClickHouse's ways; who says nothing asks as the public (`access.py`, `sight.py`).

What is answered: GET and POST of `/` with `query`, `database`, `default_format`, `param_*` and some settings; `/ping`.
What is not: writes, sessions, compression, uploads. clickhouse-go first asks one question in the newest Native revision
that it knows; that answer is put together here and states revision 0, so that everything after it is plain Native.
"""

import json
import struct
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from carbon.registry import Registry
from sinks.clickhouse import access
from sinks.clickhouse.access import AccessError
from sinks.clickhouse.engine import DATABASE, folder
from sinks.clickhouse.reader import Reader, StatementError
from sinks.clickhouse.sight import Sight, sight_of

LOOPBACK = "127.0.0.1"
PORT_FILE = "clickhouse.port"
REQUEST_BYTES = 4_194_304
_LOCAL_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_GREETING = "SELECT displayName(), version(), revision(), timezone()"
_TRANSPORT = {
    "query", "database", "default_format", "user", "password", "query_id", "quota_key", "role",
    "session_id", "session_timeout", "session_check", "client_protocol_version", "wait_end_of_query", "buffer_size",
    "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close", "add_http_cors_header", "readonly",
}  # fmt: skip
_STATUS = {
    62: HTTPStatus.BAD_REQUEST,
    47: HTTPStatus.NOT_FOUND,
    60: HTTPStatus.NOT_FOUND,
    81: HTTPStatus.NOT_FOUND,
    164: HTTPStatus.FORBIDDEN,
    516: HTTPStatus.FORBIDDEN,
    48: HTTPStatus.NOT_IMPLEMENTED,
}


def instance(data_dir: Path) -> str:
    """What the interface over a data folder calls itself, so that nobody mistakes another's port for it."""
    return f"carbonledger {data_dir.resolve()}"


class _Handler(BaseHTTPRequestHandler):
    """One connection. The server hands in the reader and the name of the instance."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65_536
    timeout = 600
    server: "_Server"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            body = self._body()
            if self.headers.get("Host", LOOPBACK).rsplit(":", 1)[0] not in _LOCAL_NAMES:
                raise StatementError.refused("Only requests to a loopback name are answered")
            target = urlsplit(self.path)
            if target.path not in ("/", "/ping"):
                self._send(HTTPStatus.NOT_FOUND, f"There is no handle {target.path}\n".encode())
            else:
                fields = dict(parse_qsl(target.query, keep_blank_values=True))
                sql = "\n".join(filter(None, (fields.get("query", ""), body.decode("utf-8", "replace"))))
                asked = target.path == "/" and sql
                self._send(HTTPStatus.OK, self._ask(sql, fields) if asked else b"Ok.\n", _format(fields, self.headers))
        except StatementError as error:
            code = {"X-ClickHouse-Exception-Code": str(error.code)}
            status = _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
            self._send(status, f"{error}\n".encode(), headers=code)

    def _ask(self, sql: str, fields: dict[str, str]) -> bytes:
        sight = self._sight(fields)
        if sql.strip() == _GREETING and "client_protocol_version" in fields:
            return _greeting(self.server.reader, int(fields["client_protocol_version"]))
        if fields.get("compress", "0") not in ("", "0") or fields.get("decompress", "0") not in ("", "0"):
            raise StatementError("Code: 48. DB::Exception: Compressed blocks are not answered here (NOT_IMPLEMENTED)")
        parameters = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
        left = fields.keys() - _TRANSPORT - {"compress", "decompress"}
        settings = {name: fields[name] for name in left if not name.startswith("param_")}
        return self.server.reader.ask(
            sql,
            database=fields.get("database") or self.headers.get("X-ClickHouse-Database") or DATABASE,
            format_=_format(fields, self.headers),
            parameters=parameters,
            settings=settings,
            sight=sight,
        )

    def _sight(self, fields: dict[str, str]) -> Sight | None:
        """What the asker may see; None for everything."""
        name = ""
        try:
            name, password = access.credentials(self.headers, fields)
            return self.server.sights.of(access.party_of(self.server.folder, name, password))
        except AccessError as error:
            text = f"Code: 516. DB::Exception: {name}: Authentication failed: {error}. (AUTHENTICATION_FAILED)"
            raise StatementError(text) from error

    def _body(self) -> bytes:
        if self.headers.get("Content-Encoding", "identity") != "identity":
            self.close_connection = True
            raise StatementError("Code: 48. DB::Exception: Compressed requests are not answered (NOT_IMPLEMENTED)")
        if self.headers.get("Content-Type", "").startswith("multipart/"):
            self.close_connection = True
            raise StatementError("Code: 48. DB::Exception: External data is not taken here (NOT_IMPLEMENTED)")
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        return self._exactly(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(32).split(b";")[0], 16):
            body += self._exactly(size, len(body))
            self.rfile.readline(3)
        self.rfile.readline(3)
        return body

    def _exactly(self, size: int, before: int = 0) -> bytes:
        if size + before > REQUEST_BYTES:
            self.close_connection = True
            raise StatementError(f"Code: 307. DB::Exception: A request has at most {REQUEST_BYTES} bytes")
        return self.rfile.read(size)

    def _send(
        self, status: HTTPStatus, body: bytes, format_: str = "TabSeparated", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/plain; charset=UTF-8" if format_ == "TabSeparated" else "application/octet-stream",
            "Content-Length": str(len(body)),
            "X-ClickHouse-Server-Display-Name": self.server.name,
            "X-ClickHouse-Query-Id": str(uuid.uuid4()),
            "X-ClickHouse-Format": format_,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": json.dumps({"read_rows": "0", "read_bytes": "0"}),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what is asked is the asker's business."""


def _format(fields: dict[str, str], headers: Any) -> str:
    name: str = fields.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated"
    return name


def _greeting(reader: Reader, revision: int) -> bytes:
    """The answer to clickhouse-go's first question: a Native block of the asker's revision that states revision 0."""
    name, version = reader.ask("SELECT displayName(), version()").decode().rstrip("\n").split("\t")
    columns = [
        ("displayName()", "String", _native_text(name)),
        ("version()", "String", _native_text(version)),
        ("revision()", "UInt32", struct.pack("<I", 0)),
        ("timezone()", "String", _native_text("UTC")),
    ]
    # since 51903 a block says first whether it is an overflow block (1: no) and its bucket (2: -1)
    info = b"\x01\x00\x02\xff\xff\xff\xff\x00" if revision >= 51903 else b""
    # since 54454 a column says whether its serialization is a custom one
    custom = b"\x00" if revision >= 54454 else b""
    cells = (_native_text(name) + _native_text(type_) + custom + data for name, type_, data in columns)
    return info + bytes([len(columns), 1]) + b"".join(cells)


def _native_text(text: str) -> bytes:
    data = text.encode()
    assert len(data) < 128
    return bytes([len(data)]) + data


class _Sights:
    """What each party sees, looked up again when a block or a registry has come."""

    def __init__(self, reader: Reader, registries: Mapping[int, Registry]) -> None:
        self._reader, self._registries = reader, registries
        self._known: dict[str | None, tuple[tuple[int, int], Sight]] = {}

    def of(self, party: str | None) -> Sight | None:
        """What a party sees, None for the public; None of the owner, who sees everything. Raises AccessError."""
        if party == access.OWNER:
            return None
        height = max(self._registries, default=0)
        newest = "SELECT toUnixTimestamp64Milli(max(time)) FROM blocks"
        stand = (height, int(self._reader.ask(newest)))
        if party not in self._known or self._known[party][0] != stand:
            registry = self._registries.get(height)
            if party is not None and (registry is None or party not in registry.parties):
                raise AccessError(f"its party {party} is not registered")
            viewer = None if party is None or registry is None else registry.parties[party]
            self._known[party] = stand, sight_of(viewer, registry, stand[1])
        return self._known[party][1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, data_dir: Path, registries: Mapping[int, Registry]) -> None:
        self.reader = Reader(folder(data_dir))
        self.sights = _Sights(self.reader, registries)
        self.folder = data_dir
        self.name = instance(data_dir)
        super().__init__((LOOPBACK, port), _Handler)


def _bind(port: int, last: int, data_dir: Path, registries: Mapping[int, Registry]) -> _Server:
    if port:
        return _Server(port, data_dir, registries)
    try:
        return _Server(last, data_dir, registries)
    except OSError:
        return _Server(0, data_dir, registries)


class Interface:
    """The interface while it is open. Its port stands in `clickhouse.port` of the data folder."""

    def __init__(self, data_dir: Path, port: int = 0, registries: Mapping[int, Registry] | None = None) -> None:
        """Listen on `port`; if 0, on the last one if that is free, else on any. Raises OSError.

        `registries` grow while it is open; by the newest it is judged who sees what.
        """
        access.owner_token(data_dir)
        self._file = data_dir / PORT_FILE
        last = int(self._file.read_text()) if self._file.exists() else 0
        self._server = _bind(port, last, data_dir, {} if registries is None else registries)
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, name="clickhouse-http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.port}\n")
        fresh.replace(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
