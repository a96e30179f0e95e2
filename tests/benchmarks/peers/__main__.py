"""`make bench-peers`: ingest beside Quix Streams and Bytewax, which get a message a reading, on one broker, in turn.

Ours takes packets of 900 readings, one signature each, and makes verdicts, salts and leaf hashes of them. A peer takes
single readings, checks the same rules and counts and sums by ten minutes; once it verifies the signature of each, once
it trusts whoever writes to the topic. The peers run in `var/peers`, from requirements.lock beside this file.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from confluent_kafka import Consumer
from nacl.signing import SigningKey

from carbon import signing
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import topics
from schemas.topics import METER_PARTITIONS, Bounds, Topic, catalogue
from tests.benchmarks import ingest
from tests.benchmarks.peers.shape import WINDOW_MS
from tests.committee import cpu_of
from tests.streams.pipeline import Worker, send, tap, wait_until
from tests.streams.world import MINUTE, START, World, seed

PYTHON = Path("var/peers/bin/python")
HERE = Path(__file__).parent
ROUNDS, POINTS, WINDOWS = 2, 40, 100
"""A peer gets a reading a minute of each point; a window is counted once its point's next one has begun."""
IN_WINDOW = WINDOW_MS // MINUTE
SOURCE = Topic("peers.readings", "point id", "none", "of the benchmark", METER_PARTITIONS)
OURS = "streams.ingest, packets of 900 readings"


class Measured(NamedTuple):
    """Readings a second of wall time, and CPU time a reading of the worker in µs."""

    rate: float
    cpu_us: float


class Bench:
    """One broker, and everything that is run on it."""

    def __init__(self, bootstrap: str, folder: Path, world: World) -> None:
        self._bootstrap, self._folder, self._world = bootstrap, folder, world
        self._packets = ingest._packets(world)
        self._reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "none"})
        self._runs = 0

    def ours(self) -> Measured:
        """The same packets once more through a worker."""
        self._runs += 1
        for partition in range(METER_PARTITIONS):
            own = [(key, message) for key, message, place in self._packets if place == partition]
            send(self._bootstrap, topics.METER_READINGS, own, partition)
        with Worker("ingest", self._folder / f"ours-{self._runs}", self._bootstrap, self._world) as worker:
            assert worker._process is not None
            each = ingest.POINTS * ingest.MINUTES
            return self._rate(topics.READINGS_CODED, len(self._packets), each, worker._process)

    def peer(self, script: str, *, verified: bool) -> Measured:
        """A peer's job from the first message on, in a consumer group and a topic of its own."""
        self._runs += 1
        target, home = f"peers.{script}-{self._runs}", self._folder / f"{script}-{self._runs}"
        ensure_topics(
            {"bootstrap.servers": self._bootstrap},
            [Topic(target, "point id", "none", "of the benchmark", METER_PARTITIONS)],
            Bounds(),
        )
        home.mkdir()
        (home / "settings.json").write_text(json.dumps({"points": _points(self._world), "verified": verified}))
        argv = [str(PYTHON), str(HERE / f"{script}.py"), self._bootstrap, SOURCE.name, target, str(home)]
        with (home / "log").open("wb") as log:
            worker = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": ""}, stdout=log, stderr=log)
        try:
            found = self._rate(target, POINTS * WINDOWS, IN_WINDOW, worker)
            self._check(target)
            return found
        finally:
            worker.kill()
            worker.wait()

    def _check(self, target: str) -> None:
        """Every reading was counted, once."""
        with tap(self._bootstrap, target) as windows:
            wait_until(lambda: windows.poll() is not None and len(windows.messages) >= POINTS * WINDOWS, target)
            counts = {json.loads(message.value())["count"] for message in windows.messages}
        assert counts == {IN_WINDOW}, f"{target}: windows of {sorted(counts)} readings"

    def _rate(self, topic: str, count: int, each: int, worker: "subprocess.Popen[bytes]") -> Measured:
        """From the first of `count` new messages that is seen to the last; a message stands for `each` readings."""
        before, first = ingest._size(self._reader, topic), None
        while True:
            there, now = ingest._size(self._reader, topic) - before, (time.perf_counter(), cpu_of(worker.pid))
            if first is None and there:
                first = there, now
            if there >= count:
                break
            assert worker.poll() is None, f"the worker for {topic} ended"
            time.sleep(0.05)
        assert first is not None and there > first[0], "the worker was done before it was measured"
        readings = each * (there - first[0])
        return Measured(readings / (now[0] - first[1][0]), 1e6 * (now[1] - first[1][1]) / readings)

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()


def _points(world: World) -> dict[str, dict[str, object]]:
    point = {"key": signing.public_key(seed("peers")).hex(), "start": START, "step_ms": MINUTE, "min": 0, "max": 10**6}
    return {f"p{n:02}": point for n in range(POINTS)}


def _singles() -> list[tuple[str, bytes]]:
    """A reading a minute of each point, each signed, and one window more so that the last one closes."""
    key, out = SigningKey(seed("peers")), []
    for minute in range((WINDOWS + 1) * IN_WINDOW):
        for n in range(POINTS):
            reading = {
                "point": f"p{n:02}",
                "at": START + MINUTE * minute,
                "value": (7 * minute + n) % 1000,
                "flag": "N",
            }
            body = json.dumps(reading, separators=(",", ":")).encode()
            out.append((f"p{n:02}", key.sign(body).signature + body))
    return out


def ways(bench: Bench) -> dict[str, Callable[[], Measured]]:
    """What is run in each round, by name."""
    return {
        OURS: bench.ours,
        "Quix Streams, each reading verified": lambda: bench.peer("quix", verified=True),
        "Quix Streams, nothing verified": lambda: bench.peer("quix", verified=False),
        "Bytewax, each reading verified": lambda: bench.peer("wax", verified=True),
        "Bytewax, nothing verified": lambda: bench.peer("wax", verified=False),
    }


def run() -> dict[str, Measured]:
    """The medians of ROUNDS rounds, in each of which every way has its turn."""
    gateways = {f"gw-{g}": [f"gw-{g}-p{i:02}" for i in range(ingest.POINTS)] for g in range(METER_PARTITIONS)}
    with (
        TemporaryDirectory() as folder,
        Broker(Path(folder) / "broker", message_bytes=Bounds().message_bytes) as broker,
    ):
        ensure_topics({"bootstrap.servers": broker.bootstrap}, [*catalogue(), SOURCE], Bounds())
        send(broker.bootstrap, SOURCE.name, _singles())
        bench = Bench(broker.bootstrap, Path(folder), World(gateways))
        found: dict[str, list[Measured]] = {name: [] for name in ways(bench)}
        for _ in range(ROUNDS):
            for name, way in ways(bench).items():
                found[name].append(way())
                print(f"  {name}: {found[name][-1].rate:,.0f}/s", file=sys.stderr, flush=True)
        bench.close()
    return {name: Measured(*map(statistics.median, zip(*runs, strict=True))) for name, runs in found.items()}


if __name__ == "__main__":
    if not PYTHON.exists():
        sys.exit("make bench-peers sets up the peers' environment")
    measured = run()
    ours = measured[OURS]
    for name, one in measured.items():
        print(f"{one.rate:>9,.0f} readings/s, ours ×{ours.rate / one.rate:<5.1f} {one.cpu_us:>6.1f} µs CPU  {name}")
