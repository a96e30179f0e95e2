"""One endpoint's HTTP client: a POST whose answer's status alone counts, to addresses that were vetted.

A name is resolved once for a connection, all its addresses are vetted, and the connection goes to one of them, with the
name kept for Host and SNI: an answer that changes in between (DNS rebinding) changes nothing. Each endpoint has its own
connections and its own resolving thread, so one that hangs holds up no other. No proxy of the environment is used.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from sinks.webhooks.addresses import Network, RefusedAddressError, vet
from sinks.webhooks.plan import AT_ONCE, Answer

CONNECT_SECONDS, ANSWER_SECONDS, BODY_SECONDS = 5.0, 15.0, 1.0
RESPONSE_BYTES = 65_536
"""What is read of an answer's body, to use its connection again; who sends more loses the connection."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class _Refused(OSError):
    """A refused address, as the connector passes it on."""


class _Resolver(AbstractResolver):
    """Resolves a name in a thread of its own, and gives it only if every address is vetted."""

    def __init__(self, allowed: Sequence[Network], *, plain: bool) -> None:
        self._allowed, self._plain = allowed, plain
        self._thread = ThreadPoolExecutor(1, "webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._thread, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        self.vet([str(address[0]) for *_, address in found])
        return [
            ResolveResult(hostname=host, host=str(at[0]), port=int(at[1]), family=kind, proto=proto, flags=_NUMERIC)
            for kind, _, proto, _, at in found
        ]

    def vet(self, found: list[str]) -> None:
        """Raises an OSError for addresses that are refused."""
        try:
            vet(found, self._allowed, plain=self._plain)
        except RefusedAddressError as error:
            raise _Refused(str(error)) from error

    def socket(self, info: Any) -> socket.socket:
        """The socket of one connection, vetted once more: an address in the URL itself is never resolved."""
        family, kind, proto, _, address = info
        self.vet([str(address[0])])
        made = socket.socket(family, kind, proto)
        made.setblocking(False)
        return made

    async def close(self) -> None:
        """Let the thread go, whatever it waits for."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class Endpoint:
    """A URL to which events are posted. Made and used in a running loop."""

    def __init__(self, url: str, allowed: Sequence[Network]) -> None:
        self._url = URL(url)
        resolver = _Resolver(allowed, plain=self._url.scheme == "http")
        connector = aiohttp.TCPConnector(
            resolver=resolver, use_dns_cache=False, limit=AT_ONCE, socket_factory=resolver.socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=False,
        )

    async def post(self, headers: dict[str, str], body: bytes) -> Answer:
        """One attempt. Raises nothing but cancellation."""
        began = time.monotonic()
        answer = await self._asked(headers, body)
        return answer._replace(took_ms=int(1000 * (time.monotonic() - began)))

    async def _asked(self, headers: dict[str, str], body: bytes) -> Answer:
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                await _drain(response)
                return Answer(response.status, retry_after_ms=_retry_after_ms(response))
        except TimeoutError:
            return Answer(None, "timeout")
        except aiohttp.ClientSSLError:
            return Answer(None, "tls")
        except aiohttp.ClientConnectorError as error:
            return Answer(None, "refused_address" if isinstance(error.os_error, _Refused) else "connection")
        except (aiohttp.ClientError, OSError, ValueError):
            return Answer(None, "connection")

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a small body, so that the connection can be used again; otherwise close it."""
    left = RESPONSE_BYTES
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    except (TimeoutError, aiohttp.ClientError):
        left = 0
    if left <= 0:
        response.close()


def _retry_after_ms(response: aiohttp.ClientResponse) -> int:
    """Seconds of Retry-After (RFC 9110, 10.2.3) in ms; a date counts for nothing."""
    text = response.headers.get("retry-after", "")
    return 1000 * int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
