"""A gateway process for tests, whose devices speak lines: `NUMBER` in, `NUMBER ok` or `NUMBER full` out.

    python -m tests.streams.edge.lines CONFIG.json

Each message is one reading of the device's point, whose time in ms and value are its number.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from streams.edge import live
from streams.edge.inbox import Inbox
from streams.edge.live import LiveGateway
from streams.edge.packing import PacketLimits
from streams.edge.signer import Signer
from streams.edge.sources import Arrival, Keep, NoRoom, RawReading
from streams.edge.store import Store

SEED = bytes(range(32))
CHANNEL = bytes(32)
GATEWAY = "edge-1"


def arrival(device: str, line: bytes) -> Arrival:
    number = int(line)
    return Arrival(device, line, (RawReading(f"{device}-point", number, Decimal(number)),))


class LineSource:
    """A server on loopback, and the same without a network for whoever holds it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.counts = Counter[str]()

    async def serve(self, keep: Keep) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            device = (await reader.readline()).decode().strip()
            async with asyncio.TaskGroup() as group:
                while line := await reader.readline():
                    group.create_task(answer(device, line.strip(), writer))
            writer.close()

        async def answer(device: str, line: bytes, writer: asyncio.StreamWriter) -> None:
            try:
                await keep(arrival(device, line))
            except NoRoom:
                writer.write(line + b" full\n")
            else:
                writer.write(line + b" ok\n")

        server = await asyncio.start_server(connected, "127.0.0.1", self._port)
        async with server:
            await server.serve_forever()


def gateway(store: Store, sources: dict[str, Any], disk: int = 1 << 30, **changes: Any) -> LiveGateway:
    settings = {
        "kafka": {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"},
        "limits": PacketLimits(readings=50, bytes=100_000, age=0.05, silence=60.0),
        "future_ms": 60_000,
    }
    return LiveGateway(
        store, Inbox(store, disk), Signer(GATEWAY, 1, SEED, CHANNEL, {}), sources, **{**settings, **changes}
    )


def main(config: dict[str, Any]) -> None:
    async def run(store: Store) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await gateway(store, {"lines": LineSource(config["port"])}, status=Path(config["status"])).run(stop)

    live.LAST_SECONDS = 0.1  # the uplink leads nowhere
    with Store(Path(config["store"])) as store:
        asyncio.run(run(store))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
