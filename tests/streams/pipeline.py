"""The real pipeline for tests: topics on a real broker, workers as processes, a committee in this process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.topics import ensure_topics
from schemas import topics
from schemas.topics import Bounds
from tests.streams.world import World, write_config

PATIENCE = 90.0
"""Seconds after which a test gives up waiting for what must happen."""


def make_topics(bootstrap: str) -> None:
    ensure_topics({"bootstrap.servers": bootstrap}, topics.catalogue(), Bounds())


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Wait for what must happen; fail when it doesn't."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


class Tap:
    """Reads a topic from the first message on, all partitions, and keeps what it read."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False}
        self._consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
        count = len(self._consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        self._consumer.assign([TopicPartition(topic, p, 0) for p in range(count)])
        self.messages: list[Any] = []

    def poll(self) -> list[Any]:
        """What is new."""
        new = [m for m in self._consumer.consume(5_000, timeout=0.2) if m.error() is None]
        self.messages += new
        return new

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def tap(bootstrap: str, topic: str) -> Iterator[Tap]:
    reader = Tap(bootstrap, topic)
    try:
        yield reader
    finally:
        reader.close()


def send(bootstrap: str, topic: str, messages: Iterable[tuple[str | bytes | None, bytes]], partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "message.max.bytes": 4_000_000})
    for key, value in messages:
        producer.produce(topic, value, key, partition)
        producer.poll(0)
    assert producer.flush(30) == 0


class Worker:
    """A worker process that can be stopped, killed and started again with the same folder."""

    def __init__(self, name: str, folder: Path, bootstrap: str, world: World, **more: Any) -> None:
        self.name, self._config = name, write_config(folder, bootstrap, world, **more)
        self._log = folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Worker":
        root = Path(__file__).parents[2]
        argv = [sys.executable, "-m", "tests.streams.worker", self.name, str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=log, stderr=log
            )
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def memory(self) -> float:
        """Resident, MiB."""
        assert self._process is not None
        return float(psutil.Process(self._process.pid).memory_info().rss / 2**20)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def __enter__(self) -> "Worker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stopped in order, so that it leaves its group; killed when it was being started."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.kill()


def committed(bootstrap: str, group: str, topic: str) -> int:
    """Sum of a group's committed offsets on a topic."""
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False}
    consumer = Consumer(settings)
    try:
        count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        places = consumer.committed([TopicPartition(topic, p) for p in range(count)], timeout=10)
        return sum(max(0, place.offset) for place in places)
    finally:
        consumer.close()


def reset(bootstrap: str) -> None:
    """Every topic of ours empty again; with a topic the broker forgets the offsets that groups committed on it."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [topic.name for topic in topics.catalogue()]
    there = [name for name in names if name in admin.list_topics(timeout=10).topics]
    if there:
        for future in admin.delete_topics(there, operation_timeout=30).values():
            future.result()
        wait_until(lambda: not set(there) & set(admin.list_topics(timeout=10).topics), "deleting the topics")
    make_topics(bootstrap)
