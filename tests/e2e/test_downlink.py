"""Commands to a live gateway over a real broker: it reads a real Modbus server as it is told, and sends again once."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from carbon import packet
from infra.ports import free_port
from schemas import codec, topics
from streams.edge.commands import Reason, read_outcome
from tests.committee import Processes, write_channel
from tests.infra.copies import invoker
from tests.small import World, seed
from tests.streams.edge.test_commands import OPERATORS, POINT
from tests.streams.edge.test_modbus import server
from tests.streams.pipeline import Tap, reset, tap, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
FASTEST, SLOWEST = 200, 1_000


@contextmanager
def meter(port: int) -> Iterator[None]:
    """A Modbus server whose registers never change, on a thread."""
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server(port):
            ready.set()
            await asyncio.to_thread(stop.wait)

    running = threading.Thread(target=lambda: asyncio.run(serve()))
    running.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.set()
        running.join()


def write_gateway(data: Path, broker: str, port: int, world: World) -> Path:
    """The settings of a gateway that reads one register between FASTEST and SLOWEST ms, as its operator bounds it."""
    sampling = {"every_ms": FASTEST, "sampling": {"slowest_ms": SLOWEST}}
    group = sampling | {"registers": [{"point": POINT, "address": 10, "type": "u16"}]}
    device = {"name": "meter", "host": "127.0.0.1", "port": port, "groups": [group]}
    channel = data / "channel"
    settings = {
        "gateway": "gw-0",
        "run": 0,
        "seed_file": str(channel / "keys" / "gw-0.seed"),
        "channel": world.channel.hex(),
        "kafka": {"bootstrap.servers": broker},
        "folder": str(data / "edge"),
        "packet": {"age": 0.2},
        "sources": [{"kind": "modbus", "devices": [device]}],
        **{name: str(channel / f"{name}.json") for name in ("genesis", "registry")},
    }
    (data / "edge.json").write_text(json.dumps(settings))
    return data / "edge.json"


class Read:
    """What the gateway's packets say, in the order in which they came."""

    def __init__(self, sent: Tap) -> None:
        self._sent = sent

    @property
    def bodies(self) -> list[bytes]:
        self._sent.poll()
        return [codec.decode("packet", message.value())["body"] for message in self._sent.messages]

    @property
    def times(self) -> list[int]:
        """When the register was read, ms UTC."""
        return sorted({at for body in self.bodies for at in packet.decode_body(body).at.tolist()})

    def every(self, interval: int, times: int) -> Callable[[], bool]:
        """Whether the last readings came at that interval."""
        return lambda: [b - a for a, b in pairwise(self.times)][-times:] == [interval] * times


def test_a_gateway_is_commanded_over_the_broker(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reset(broker)
    world = write_channel(tmp_path, points=1, gateways=2, step_seconds=1, operators=OPERATORS)
    own, port, channel = tmp_path / "operator.seed", free_port(), tmp_path / "channel"
    own.touch(0o600)
    own.write_text(seed("control-room").hex())
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", broker)
    invoke = invoker(tmp_path, monkeypatch, capsys)
    options = ["--operator", "control-room", "--seed-file", str(own), "--wait", "90"]
    options += ["--genesis", str(channel / "genesis.json"), "--registry", str(channel / "registry.json")]

    def command(*order: str) -> tuple[int, str]:
        code, printed, said = invoke("command", "gw-0", POINT, *order, *options)
        assert printed, said
        return code, printed.rpartition(": ")[2].strip()

    with (
        meter(port),
        Processes(tmp_path, broker) as processes,
        tap(broker, topics.METER_READINGS) as sent,
        tap(broker, topics.GATEWAY_OUTCOMES) as outcomes,
    ):
        processes.start("gateway", arguments=["gateway", "--config", str(write_gateway(tmp_path, broker, port, world))])
        read = Read(sent)
        wait_until(read.every(SLOWEST, 2), "what never changes is read seldom")
        assert command("--interval", str(FASTEST)) == (0, "obeyed")
        wait_until(read.every(FASTEST, 4), "the interval that was commanded")
        assert command("--bounds", "400", "600") == (0, "obeyed")
        wait_until(read.every(600, 2), "the bounds that were commanded")
        assert command("--bounds", "100", "600") == (1, "outside_bounds")
        first, number = packet.decode_body(read.bodies[0]), str(time.time_ns() // 1_000_000)
        again = ["--backfill", str(first.at[0]), str(first.at[0] + 1), "--number", number]
        assert command(*again) == command(*again) == (0, "obeyed")
        # sent again before it is answered, so what stands before a later packet is all
        answered = time.time_ns() // 1_000_000
        wait_until(lambda: packet.sent_at(read.bodies[-1]) > answered, "a packet behind the answers")
        assert read.bodies.count(first.body) == 2
        processes.check()
        wait_until(lambda: (outcomes.poll(), len(outcomes.messages) >= 5)[1], "the outcomes")
    said = [read_outcome(message.value(), world.registry, world.channel)[1] for message in outcomes.messages]
    assert said == [Reason.OBEYED, Reason.OBEYED, Reason.OUTSIDE_BOUNDS, Reason.OBEYED, Reason.OBEYED]
