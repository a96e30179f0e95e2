"""`/metrics`, `/live` and `/ready` of a process, on loopback, and the file that says where.

The file, `run/endpoints/<process>.json` in the data folder, is as Prometheus's `file_sd_configs` read it.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from infra.errors import EnvironmentFault
from infra.ports import LOOPBACK
from schemas.observed import Observed

_log = structlog.get_logger(__name__)
FOLDER = Path("run", "endpoints")
_BROKER_SECONDS = 1.0
_IDLE_SECONDS = 30
_JSON = "application/json"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: "_Server"

    def do_GET(self) -> None:
        answers = {"/metrics": _metrics, "/live": _live, "/ready": _ready}
        answer = answers.get(self.path.partition("?")[0])
        status, kind, body = (
            (404, _JSON, _said(paths=list(answers))) if answer is None else answer(self.server.observed)
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: it is asked every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    observed: Observed

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asks may go away in the middle."""
        _log.info("a request was given up", exc_info=True)


def _metrics(observed: Observed) -> tuple[int, str, bytes]:
    return 200, CONTENT_TYPE_LATEST, observed.exposition()


def _live(observed: Observed) -> tuple[int, str, bytes]:
    live = observed.is_live()
    return 200 if live else 503, _JSON, _said(live=live, turn_age_seconds=observed.turn_age)


def _ready(observed: Observed) -> tuple[int, str, bytes]:
    reasons = observed.reasons()
    return 503 if reasons else 200, _JSON, _said(ready=not reasons, reasons=reasons)


def _said(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


@contextmanager
def serving(data: Path, process: str, observed: Observed, host: str = LOOPBACK, port: int = 0) -> Iterator[int]:
    """Answer until the block ends; the port. With port 0 it is a free one. `process` is a role's name.

    Raises EnvironmentFault for a port that is taken.
    """
    observed.kind = process.partition("-")[0]
    try:
        server = _Server((host, port), _Handler)
    except OSError as error:
        raise EnvironmentFault(f"/metrics can't be served on {host}:{port}: {error.strerror}") from error
    server.observed = observed
    thread = threading.Thread(target=server.serve_forever, name="endpoints", daemon=True)
    thread.start()
    path = _file(data, process)
    _note(path, process, f"{host}:{server.server_port}")
    try:
        yield server.server_port
    finally:
        path.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()
        thread.join()


def _file(data: Path, process: str) -> Path:
    return data / FOLDER / f"{process}.json"


def _note(path: Path, process: str, address: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([{"targets": [address], "labels": {"process": process}}]) + "\n")
    fresh.replace(path)


def addresses(data: Path) -> dict[str, str]:
    """`host:port` by process, as each said when it started last."""
    found = {path.stem: json.loads(path.read_text()) for path in (data / FOLDER).glob("*.json")}
    return {process: str(said[0]["targets"][0]) for process, said in found.items()}


def needs_broker(observed: Observed, bootstrap: str) -> None:
    """Have a process ready only while one of the brokers, `host:port,…`, accepts connections."""
    observed.needs("broker", partial(broker_away, bootstrap))


def broker_away(bootstrap: str) -> str | None:
    """That none of the brokers accepts connections, in words; None when one does."""
    for server in bootstrap.split(","):
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _BROKER_SECONDS).close()
        except (OSError, ValueError):
            continue
        return None
    return f"no broker of {bootstrap} accepts connections"
