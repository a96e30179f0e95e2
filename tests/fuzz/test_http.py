"""The schema registry's HTTP server on damaged requests: it answers or closes, and goes on answering others."""

import http.client
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from schemas.registry import own
from schemas.server import RegistryServer
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import damaged
from tests.schemas.serving import serving

REQUESTS = [
    b"GET /subjects HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[/subjects HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /subjects/ledger.blocks-value HTTP/1.1\r\nContent-Length: 15\r\n\r\n" + b'{"schema":"{}"}',
    b"POST /subjects/a HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n{}",
    b"POST /subjects/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
]


class Watched(RegistryServer):
    """Remembers what a request made it raise."""

    raised: int = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.raised += 1


@pytest.fixture
def server() -> Iterator[Watched]:
    with serving(Watched("127.0.0.1", 0, own())) as server:
        yield server


def _ask(server: RegistryServer, data: bytes) -> bytes:
    """All that is answered to these bytes, and nothing after them."""
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            # closed with bytes unread
            return b""


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_requests_that_hurt_are_answered(server: Watched, request_: bytes) -> None:
    answer = _ask(server, request_)
    assert answer.startswith(b"HTTP/1.1 ")
    assert server.raised == 0


def test_damaged_requests_raise_nothing(server: Watched) -> None:
    @given(damaged(REQUESTS))
    @PROFILE
    def holds(data: bytes) -> None:
        _ask(server, data)

    holds()
    assert server.raised == 0
    client = http.client.HTTPConnection("127.0.0.1", server.server_port)
    client.request("GET", "/subjects")
    assert client.getresponse().status == 200
    client.close()
