"""Seeded kill rounds: a real dispatcher over a real broker, killed at random moments, must lose no event.

The receiver answers some requests with 500. Every event must come, what comes again must be the same bytes under the
same id, and of each key the events must come first in their order. Each must be on record in alerts.deliveries.
`python -m tests.sinks.webhook_kill --rounds 60 --seed 1` is the long run.
"""

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from carbon.alert import alert
from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec, topics
from schemas.topics import Bounds
from sinks.webhooks import dispatcher, plan
from sinks.webhooks.addresses import networks
from sinks.webhooks.notices import Rules
from sinks.webhooks.register import RegisterFolder

KEYS = 40
SETTLE_SECONDS = 120.0
RULES = Rules(calm_ms=0, burst=1_000_000)


@dataclass
class Received:
    """What the receiver got and took, in its order; `asked` are all requests."""

    rng: random.Random
    lock: Lock = field(default_factory=Lock)
    bodies: dict[str, bytes] = field(default_factory=dict)
    order: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: int = 0
    repeated: int = 0

    def take(self, id_: str, body: bytes) -> int:
        """The status of the answer."""
        with self.lock:
            self.asked += 1
            if self.rng.random() < 0.1:
                return 500
            if id_ in self.bodies:
                self.repeated += 1
                assert self.bodies[id_] == body, "another body under the same id"
            else:
                self.bodies[id_] = body
                data = json.loads(body)["data"]
                self.order[data["key"]].append(data["alert"])
            return 204


class _Server(ThreadingHTTPServer):
    """Whose clients are killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        assert isinstance(error, ConnectionError), error


def _handler(received: Received) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(received.take(self.headers["webhook-id"], body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def webhooks_process(bootstrap: str, folder: str) -> None:
    """The dispatcher, with retries so quick that there is always one to be killed in."""
    plan.FIRST_PAUSE_MS, plan.LONGEST_PAUSE_MS = 10, 100
    config = dispatcher.Config(Path(folder), "carbonledger/kill/0", networks("127.0.0.0/8"), RULES)
    dispatcher.main(config, {"bootstrap.servers": bootstrap})


@dataclass
class Traffic:
    """Alerts of some keys, each in turn open and over, so that every one of them is told."""

    producer: Producer
    told: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    number: int = 0

    def send(self, count: int) -> None:
        """So many alerts, and now and then one a second time."""
        for _ in range(count):
            turn, place = divmod(self.number, KEYS)
            self.number += 1
            key, is_over = f"coverage/{place}", turn % 2 == 1
            id_ = f"{key}#{self.number}"
            value = alert(id_, "coverage", "warning", self.number, "said", key=key, resolved=is_over)
            self.told[key].append(id_)
            for _ in range(2 if self.number % 7 == 0 else 1):
                self.producer.produce(topics.ALERTS, codec.encode("alert", value), id_.encode())
        self.producer.flush()


def run(bootstrap: str, home: Path, seed: int, rounds: int, alerts: int = 400) -> Received:
    """Kill the dispatcher `rounds` times, then let it finish. Raises AssertionError."""
    rng = random.Random(seed)
    kafka = {"bootstrap.servers": bootstrap}
    ensure_topics(kafka, [topics.topic(name) for name in (topics.ALERTS, topics.ALERTS_DELIVERIES)], Bounds())
    traffic, received = Traffic(Producer(kafka)), Received(random.Random(seed))
    server = _Server(("127.0.0.1", 0), _handler(received))
    Thread(target=server.serve_forever, daemon=True).start()
    folder = RegisterFolder(home)
    folder.new_secret("sub", 1)
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    added = {"event": "added", "id": "sub", "url": url, "kinds": [], "subjects": [], "severity": "info", "at": 0}
    folder.append(added)
    for _ in range(rounds):
        process, before = _start(bootstrap, home), received.asked
        traffic.send(alerts)
        _wait(lambda before=before: received.asked > before, process)
        process.join(rng.uniform(0.0, 0.4))
        process.kill()
        process.join()
    process = _start(bootstrap, home)
    traffic.send(alerts)
    _wait(lambda: len(received.bodies) == traffic.number, process)
    process.terminate()
    process.join()
    server.shutdown()
    server.server_close()
    assert process.exitcode == 0
    assert received.order == traffic.told
    assert _delivered(kafka) == set(received.bodies), "what was delivered is not on record"
    return received


def _start(bootstrap: str, home: Path) -> Any:
    process = multiprocessing.get_context("spawn").Process(target=webhooks_process, args=(bootstrap, str(home)))
    process.start()
    return process


def _wait(done: Callable[[], bool], process: Any) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not done():
        assert process.is_alive(), "the dispatcher ended"
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def _delivered(kafka: dict[str, str]) -> set[str]:
    """The events that alerts.deliveries says were delivered."""
    consumer = Consumer(kafka | {"group.id": "none", "enable.auto.commit": "false"})
    place = TopicPartition(topics.ALERTS_DELIVERIES, 0, 0)
    _, end = consumer.get_watermark_offsets(place, timeout=30)
    consumer.assign([place])
    found, offset = set(), 0
    while offset < end:
        for message in consumer.consume(5_000, 1.0):
            assert message.error() is None
            offset = message.offset() + 1
            told = codec.decode("delivery", message.value())
            if told["outcome"] == "delivered":
                found.add(told["event"])
    consumer.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        got = run(broker.bootstrap, Path(temporary) / "webhooks", chosen.seed, chosen.rounds)
    print(f"seed {chosen.seed}: {chosen.rounds} kills, {len(got.bodies)} events, none lost; {got.repeated} came again")
