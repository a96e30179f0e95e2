"""The broker's side of one persistent MQTT 3.1.1 session, as the standard has it (section 4.4).

The broker that the other tests use forgets what was not acknowledged when its client goes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from infra.ports import free_port

CONNECT, PUBACK, SUBSCRIBE, PINGREQ = 0x10, 0x40, 0x82, 0xC0


class Session:
    """Sends each message until it is acknowledged: at once, and again after every connect."""

    def __init__(self) -> None:
        self.port = free_port()
        self.waiting: dict[int, tuple[bytes, bytes]] = {}
        self.acknowledged: list[bytes] = []
        self._number = 0
        self._client: asyncio.StreamWriter | None = None
        self._sent: set[int] = set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Self]:
        """Listen until the block ends; what was not acknowledged stays."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            if self._client is not None:
                self._client.close()

    def publish(self, topic: str, *payloads: bytes) -> None:
        """Take messages for the session's client."""
        for payload in payloads:
            self._number += 1
            self.waiting[self._number] = len(topic).to_bytes(2, "big") + topic.encode(), payload
            self._send(self._number)

    async def until_acknowledged(self, count: int) -> None:
        """Wait until the client has acknowledged `count` messages in all."""
        while len(self.acknowledged) < count:
            self._changed.clear()
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self._answer(*await _packet(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT:
            writer.write(b"\x20\x02\x01\x00")
        elif kind == SUBSCRIBE:
            writer.write(b"\x90\x03" + body[:2] + b"\x01")
            self._client = writer
            for number in self.waiting:
                self._send(number)
        elif kind == PUBACK:
            self.acknowledged.append(self.waiting.pop(int.from_bytes(body, "big"))[1])
            self._changed.set()
        elif kind == PINGREQ:
            writer.write(b"\xd0\x00")

    def _send(self, number: int) -> None:
        if self._client is None or self._client.is_closing():
            return
        topic, payload = self.waiting[number]
        body = topic + number.to_bytes(2, "big") + payload
        assert len(body) < 128
        self._client.write(bytes([0x3A if number in self._sent else 0x32, len(body)]) + body)
        self._sent.add(number)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind, length, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return kind, await reader.readexactly(length)
