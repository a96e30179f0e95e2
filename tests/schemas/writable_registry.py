"""Stands in for somebody else's registry, which is written to: an HTTP server that keeps schemas and records calls.

It stands where a Confluent-compatible registry would, which none of the product's own processes is. It knows what
`schemas.push` needs: look-up, registration with or without an id, configuration, and modes if `modes` is true.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.schemas.serving import serving


class WritableRegistry(ThreadingHTTPServer):
    """The double: `calls` are (method, path, body), `schemas` are subject to [(id, version, schema text)]."""

    daemon_threads = True

    def __init__(self, *, modes: bool, first_id: int = 5_000) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.modes_known = modes
        self.calls: list[tuple[str, str, Any]] = []
        self.schemas: dict[str, list[tuple[int, int, str]]] = {}
        self.modes: dict[str, str] = {}
        self.levels: dict[str, str] = {}
        self.fail_with: dict[str, int] = {}
        self._next = first_id

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.calls.append((method, path, body))
        kind, subject, *rest = [unquote(part) for part in path.strip("/").split("/")]
        if status := self.fail_with.get(kind):
            return status, {"error_code": status * 100, "message": "told to fail"}
        if kind == "config":
            self.levels[subject] = body["compatibility"]
            return 200, body
        if kind == "mode":
            return self._mode(method, subject, body)
        return self._register(subject, body) if rest == ["versions"] else self._find(subject, body)

    def _mode(self, method: str, subject: str, body: Any) -> tuple[int, Any]:
        if not self.modes_known:
            return 405, {"error_code": 405, "message": "no modes here"}
        if method == "PUT":
            self.modes[subject] = body["mode"]
        if subject not in self.modes:
            return 404, {"error_code": 40409, "message": "no mode of its own"}
        mode = self.modes.pop(subject) if method == "DELETE" else self.modes[subject]
        return 200, {"mode": mode}

    def _register(self, subject: str, body: Any) -> tuple[int, Any]:
        held = self.schemas.setdefault(subject, [])
        importing = self.modes.get(subject) == "IMPORT"
        if ("id" in body) != importing:
            return 422, {"error_code": 42205, "message": "an id is named in mode IMPORT and nowhere else"}
        id_, version = (body["id"], body["version"]) if importing else (self._next, len(held) + 1)
        self._next += not importing
        held.append((id_, version, body["schema"]))
        return 200, {"id": id_}

    def _find(self, subject: str, body: Any) -> tuple[int, Any]:
        for id_, version, text in self.schemas.get(subject, []):
            if json.loads(text) == json.loads(body["schema"]):
                return 200, {"subject": subject, "id": id_, "version": version, "schema": text}
        return 404, {"error_code": 40403, "message": "Schema not found"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WritableRegistry

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, value = self.server.answer(self.command, urlsplit(self.path).path, json.loads(body) if body else None)
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _reply

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def writable_registry(*, modes: bool) -> Iterator[WritableRegistry]:
    with serving(WritableRegistry(modes=modes)) as server:
        yield server
