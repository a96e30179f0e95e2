"""Webhooks: deliveries a second of one dispatcher, and what a dead endpoint costs the others.

    python -m tests.benchmarks.webhooks

A real broker, the dispatcher as a process of its own with its outbox synced, and a receiver as another. Ten endpoints
want every alert; the alerts are of 500 keys and lie on the topic before the dispatcher starts. Then the same again, and
one of the ten takes requests and never answers them. The clock runs from the first request that came to the last of
nine endpoints. The floor is the same HTTP client posting as many such bodies to the same receiver, nothing kept.
"""

import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil
from aiohttp import web
from confluent_kafka import Producer

from carbon.alert import alert
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from sinks.webhooks.plan import AT_ONCE
from sinks.webhooks.register import RegisterFolder
from tests.sinks.webhook_kill import webhooks_process

ENDPOINTS, KEYS, ALERTS = 10, 500, 2_000
LOOKED_AT = ENDPOINTS - 1
"""Endpoints whose deliveries are timed: the tenth is the one that may be dead."""
PATIENCE = 300.0
DEAD = "dead"


class Run(NamedTuple):
    """Deliveries a second to the endpoints that are timed, and CPU time of the dispatcher for each of all, µs."""

    rate: float
    cpu_us: float


class Measured(NamedTuple):
    """Without and with a dead endpoint, and requests a second of the bare client."""

    alive: Run
    one_dead: Run
    floor: float


def receiver(answers: Connection) -> None:
    """The receiver's process: says its port, and for each question what each path has got, and when first and last."""
    asyncio.run(_receiver(answers))


async def _receiver(answers: Connection) -> None:
    got: dict[str, list[float]] = {}

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        path = request.path.strip("/")
        if path.endswith(DEAD):
            await asyncio.sleep(PATIENCE)
        now = time.monotonic()
        first, _, count = got.get(path, (now, now, 0))
        got[path] = [first, now, count + 1]
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    answers.send(runner.addresses[0][1])
    while await asyncio.to_thread(answers.recv):
        answers.send(got)
    await runner.cleanup()


@contextmanager
def _receiving() -> Iterator[tuple[int, Connection]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receiver, args=(theirs,))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send(False)
        process.join()


def _subscribe(home: Path, url: str, names: list[str]) -> None:
    folder = RegisterFolder(home)
    for name in names:
        folder.new_secret(name, 1)
        added = {"event": "added", "id": name, "url": f"{url}/{home.name}/{name}", "kinds": [], "subjects": []}
        folder.append(added | {"severity": "info", "at": 0})


def _tell(bootstrap: str) -> None:
    """Each key in turn open and over, so that every alert is told."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(ALERTS):
        turn, place = divmod(number, KEYS)
        key = f"coverage/{place}"
        told = alert(f"{key}#{number}", "coverage", "warning", number, "said", key=key, resolved=turn % 2 == 1)
        producer.produce(topics.ALERTS, codec.encode("alert", told), told["id"].encode())
    assert producer.flush(30) == 0


def _run(bootstrap: str, home: Path, url: str, asked: Connection, last: str) -> Run:
    """All alerts to nine endpoints and one more, by a dispatcher that starts with them."""
    names = [f"e{number}" for number in range(LOOKED_AT)]
    home.mkdir()
    _subscribe(home, url, [*names, last])
    process = multiprocessing.get_context("spawn").Process(target=webhooks_process, args=(bootstrap, str(home)))
    process.start()
    try:
        found = _until(asked, [f"{home.name}/{name}" for name in names], process)
        used = psutil.Process(process.pid).cpu_times()
    finally:
        process.terminate()
        process.join()
    seconds = max(end for _, end, _ in found) - min(start for start, _, _ in found)
    return Run(LOOKED_AT * ALERTS / seconds, 1e6 * (used.user + used.system) / (ENDPOINTS * ALERTS))


def _until(asked: Connection, paths: list[str], process: Any) -> list[list[float]]:
    deadline = time.monotonic() + PATIENCE
    while True:
        asked.send(True)
        got = asked.recv()
        found = [got.get(path, [0.0, 0.0, 0]) for path in paths]
        if all(count >= ALERTS for _, _, count in found):
            return found
        assert process.is_alive(), "the dispatcher ended"
        assert time.monotonic() < deadline, f"{[count for *_, count in found]} of {ALERTS} came"
        time.sleep(0.5)


async def _bare(url: str) -> float:
    """Requests a second of nine bare clients with as many under way as the dispatcher has."""
    told = alert("coverage/0#0", "coverage", "warning", 0, "said", key="coverage/0")
    body, began = json.dumps({"data": told}, default=str).encode(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(LOOKED_AT):
            group.create_task(_post(f"{url}/bare/{number}", body))
    return LOOKED_AT * ALERTS / (time.monotonic() - began)


async def _post(url: str, body: bytes) -> None:
    left = iter(range(ALERTS))

    async def one(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        await asyncio.gather(*(one(session) for _ in range(AT_ONCE)))


def run() -> Measured:
    """Both runs and the floor, on one broker and one receiver."""
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        kafka = {"bootstrap.servers": broker.bootstrap}
        ensure_topics(kafka, [topics.topic(name) for name in (topics.ALERTS, topics.ALERTS_DELIVERIES)], Bounds())
        _tell(broker.bootstrap)
        with _receiving() as (port, asked):
            url = f"http://127.0.0.1:{port}"
            alive = _run(broker.bootstrap, Path(temporary) / "alive", url, asked, "tenth")
            one_dead = _run(broker.bootstrap, Path(temporary) / "one-dead", url, asked, DEAD)
            return Measured(alive, one_dead, asyncio.run(_bare(url)))


if __name__ == "__main__":
    measured = run()
    for said, one in (("ten endpoints", measured.alive), ("one of them dead", measured.one_dead)):
        print(f"{said}: {one.rate:,.0f} deliveries/s to the other nine, CPU {one.cpu_us:.0f} µs a delivery")
    print(f"bare client: {measured.floor:,.0f} requests/s")
