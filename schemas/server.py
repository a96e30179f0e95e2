"""The read-only schema registry on HTTP: for consumers that want one at `schema.registry.url`.

Nothing of ours needs it to run; ids are fixed in the repository. It belongs on loopback: there is no sign-in, and
nothing to change. Strangers elsewhere use a registry of their own, filled by `schemas.push`.
"""

import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any

from schemas.registry import Registry, own

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_BODY_BYTES = 1_048_576
_LENGTH = re.compile("[0-9]{1,9}")
_IDLE_SECONDS = 60
_BAD = (400, {"error_code": 400, "message": "A body needs a Content-Length of at most 1 MiB"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: "RegistryServer"

    def _reply(self) -> None:
        body = self._body()
        status, value = _BAD if body is None else self.server.registry.answer(self.command, self.path, body)
        text = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _body(self) -> bytes | None:
        """The request's body; None, and the connection closes, when its length is not given or too large."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(length) or int(length) > _BODY_BYTES:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _reply

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a registry is asked once per schema and process."""


class RegistryServer(ThreadingHTTPServer):
    """The registry, bound to `host` and `port` (0 for a free one); `serve_forever` answers until `shutdown`."""

    daemon_threads = True

    def __init__(self, host: str, port: int, registry: Registry, turned: Callable[[], object] = lambda: None) -> None:
        self.registry, self._turned = registry, turned
        super().__init__((host, port), _Handler)

    def service_actions(self) -> None:
        """Called at each turn of `serve_forever`."""
        super().service_actions()
        self._turned()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.server_address[0]!s}:{self.server_port}"


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    say: Callable[[str], None] = lambda _: None,
    turned: Callable[[], object] = lambda: None,
) -> None:
    """Answer until SIGTERM or SIGINT; `say` is told the address once it is bound, `turned` called a few times a second.

    Raises OSError for a taken port.
    """
    with RegistryServer(host, port, own(), turned) as server:
        # no exception out of a handler: it can come where one is swallowed, and then nothing stops
        def stop(_signal: int, _frame: FrameType | None) -> None:
            threading.Thread(target=server.shutdown).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        say(server.url)
        server.serve_forever(poll_interval=0.1)


def main() -> None:
    """`python -m schemas.server [port]`: serve on loopback, and print the address."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    serve(port=port, say=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
