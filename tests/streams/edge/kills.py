"""A gateway killed with -9 again and again under devices that send again what was not answered.

    python -m tests.streams.edge.kills [--rounds 100] [--seed 1]

The uplink leads nowhere, so that the store holds every packet. At the end each answered reading must be in exactly one
packet, each reading in at most one, and each packet's frames must be what its readings were read from.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from carbon import frames, signing
from carbon.packet import KIND, decode_body
from infra.ports import free_port
from streams.edge.store import Store
from tests.streams.edge.lines import CHANNEL, SEED, arrival

DEVICES = 5
UNDER_WAY = 20
"""Messages that a device sends without waiting for an answer."""
MOST_ANSWERS = 300
"""A process is killed at an answer before that one."""


class Found(NamedTuple):
    """What a campaign came to."""

    answered: int
    sent_again: int
    packets: int


class Fleet:
    """The devices, and what each of them has sent and had answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = [set[int]() for _ in range(DEVICES)]
        self._unanswered = [set[int]() for _ in range(DEVICES)]
        self._next = [0] * DEVICES
        self.sent_again = 0
        self._left = 0
        self._reached = asyncio.Event()

    async def until(self, answers: int) -> None:
        """Send until so many more answers have come; no device waits for another."""
        self._left, self._reached = answers, asyncio.Event()
        devices = [asyncio.create_task(self._device(number)) for number in range(DEVICES)]
        await self._reached.wait()
        for device in devices:
            device.cancel()
        await asyncio.gather(*devices, return_exceptions=True)

    async def _device(self, number: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(writer):
                    await self._talk(number, reader, writer)
            await asyncio.sleep(0.05)

    async def _talk(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unanswered = self._unanswered[number]
        self.sent_again += len(unanswered)
        writer.write(f"device-{number}\n".encode() + b"".join(b"%d\n" % one for one in sorted(unanswered)))
        while True:
            while len(unanswered) < UNDER_WAY:
                unanswered.add(self._next[number])
                writer.write(b"%d\n" % self._next[number])
                self._next[number] += 1
            line = await reader.readline()
            if not line.endswith(b" ok\n"):
                return
            unanswered.discard(int(line.split()[0]))
            self.answered[number].add(int(line.split()[0]))
            self._left -= 1
            if not self._left:
                self._reached.set()


class Process:
    """One life of the gateway."""

    def __init__(self, folder: Path, port: int) -> None:
        config = {"store": str(folder / "store.db"), "port": port, "status": str(folder / "status.json")}
        (folder / "config.json").write_text(json.dumps(config))
        argv = [sys.executable, "-m", "tests.streams.edge.lines", str(folder / "config.json")]
        with (folder / "errors").open("ab") as errors:
            self._process = subprocess.Popen(argv, stderr=errors, stdout=errors)

    def end(self, *, kill: bool) -> int:
        """End it without warning, or ask it to; its exit code."""
        self._process.kill() if kill else self._process.terminate()
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process.wait()


async def campaign(folder: Path, seed: int, rounds: int) -> Found:
    """So many lives of one gateway, each but the last killed. Raises AssertionError for anything lost or doubled."""
    chance, port = random.Random(seed), free_port()
    fleet = Fleet(port)
    for number in range(rounds + 1):
        process = Process(folder, port)
        try:
            await asyncio.wait_for(fleet.until(chance.randrange(1, MOST_ANSWERS)), 120)
        finally:
            code = process.end(kill=number < rounds)
        assert code == (-9 if number < rounds else 0), f"life {number} ended with {code}"
    packets = check(folder / "store.db", fleet.answered)
    return Found(sum(map(len, fleet.answered)), fleet.sent_again, packets)


def check(path: Path, answered: list[set[int]]) -> int:
    """Hold the store against what was answered; the number of packets."""
    with Store(path) as store:
        packets, left = list(store.unsent()), list(store.inbox())
    assert not left, "an ordered end packs what stands in the inbox"
    found, previous, sent_at, key = Counter[tuple[str, int]](), bytes(32), 0, signing.public_key(SEED)
    for number, stored in enumerate(packets, 1):
        packet = decode_body(stored.body)
        assert (packet.sequence, packet.previous) == (number, previous) and packet.sent_at >= sent_at
        assert signing.verify(key, KIND, CHANNEL, stored.body, stored.signature)
        readings = [
            (packet.points[point], at) for point, at in zip(packet.point.tolist(), packet.at.tolist(), strict=True)
        ]
        assert stored.frames is not None
        assert signing.verify(key, frames.KIND, CHANNEL, stored.frames.body, stored.frames.signature)
        said = frames.decode_body(stored.frames.body)
        assert (said.sequence, said.packet) == (number, packet.digest)
        assert readings == [(r.point, r.at) for m in said.messages for r in arrival(m.device, m.raw).readings]
        found.update(readings)
        previous, sent_at = packet.digest, packet.sent_at
    assert max(found.values()) == 1, f"doubled: {[one for one, times in found.items() if times > 1][:5]}"
    wanted = {(f"device-{device}-point", number) for device, numbers in enumerate(answered) for number in numbers}
    assert not wanted - set(found), f"lost: {len(wanted - set(found))} of {len(wanted)} that were answered"
    return len(packets)


def main() -> None:
    """Run one long campaign and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carbonledger-edge-") as folder:
        found = asyncio.run(campaign(Path(folder), chosen.seed, chosen.rounds))
    print(f"seed {chosen.seed}: {chosen.rounds} kills, {found}")


if __name__ == "__main__":
    main()
