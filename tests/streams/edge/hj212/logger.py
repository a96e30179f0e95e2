"""A simulated data logger: it sends, awaits the answer, and sends the same again, as the standard has it."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from streams.edge.sources.hj212.frame import FrameReader
from streams.edge.sources.hj212.message import Message, compose, parse

PASSWORD = "123456"
PATIENCE_SECONDS, RETRIES = 10.0, 3
"""HJ 212-2017, table 1."""
INSTANT = "DataTime=20240801080000;a05001-Rtd=12.1,a05001-Flag=N;a00000-Rtd=250.5,a00000-Flag=N"
CO2 = {"command": 2011, "code": "a05001", "field": "Rtd", "unit": "vol%", "point_unit": "vol%", "time": "instant"}


class NotAnsweredError(Exception):
    """The logger has sent as often as it may, or was cut off."""


def registration(mn: str, **settings: Any) -> dict[str, Any]:
    """What is registered of such a logger: CO2 as the point of the same name."""
    return {"mn": mn, "password": PASSWORD, "items": [CO2 | {"point": mn}], **settings}


class Logger:
    """One logger on one connection."""

    def __init__(self, mn: str, reader: StreamReader, writer: StreamWriter) -> None:
        self.mn, self.reader, self.writer = mn, reader, writer
        self.patience, self.retries = PATIENCE_SECONDS, RETRIES
        self._frames = FrameReader()
        self._numbers: Iterator[int] = count(20_240_801_080_000_000)

    def upload(self, data: str = INSTANT, **change: object) -> bytes:
        """The frame of an upload with a QN of its own."""
        fields = {"QN": next(self._numbers), "ST": 31, "CN": 2011, "PW": PASSWORD, "MN": self.mn, "Flag": 5}
        return compose(fields | change, data)

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Message:
        """The next answer. Raises NotAnsweredError when the connection ends."""
        while True:
            data = await self.reader.read(4096)
            if not data:
                raise NotAnsweredError
            for raw in self._frames.feed(data):
                return parse(raw)

    async def report(self, raw: bytes) -> Message:
        """Send until answered. Raises NotAnsweredError."""
        for _ in range(1 + self.retries):
            await self.send(raw)
            try:
                async with asyncio.timeout(self.patience):
                    return await self.answer()
            except TimeoutError:
                continue
        raise NotAnsweredError

    async def cut_off(self) -> bool:
        """Wait for the end of the connection: whether nothing was said before."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(mn: str, port: int) -> Any:
    """A logger that is connected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Logger(mn, reader, writer)
    finally:
        writer.transport.abort()
