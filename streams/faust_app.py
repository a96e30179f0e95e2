"""What our Faust workers share: the connection, what closes Faust's traps, health, awaited sends.

The traps are named where they are closed. In every agent: output before state before offset, one message at a time in
the order of its partition, and no exception ever leaves the agent.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import faust
import structlog
from aiokafka.helpers import create_ssl_context
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.auth import SASLMechanism

from schemas import tracing
from schemas.metrics import DONE
from schemas.observed import Observed
from schemas.topics import Bounds
from streams.dead_letter import Letter, counted

LOG = structlog.get_logger(__name__)
LONGEST_PAUSE = 5.0
LOOK_EVERY = 2.0
"""Seconds between two looks at whether a worker is still in its group."""
T = TypeVar("T")


@dataclass(frozen=True)
class Kafka:
    """How to reach the broker. `security` is by librdkafka's names: security.protocol, sasl.username …"""

    bootstrap: str
    security: Mapping[str, str] = field(default_factory=dict)

    def aiokafka(self) -> dict[str, Any]:
        """The same for an aiokafka client."""
        given = self.security
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        protocol = given.get("security.protocol", "PLAINTEXT").upper()
        if "SSL" in protocol.split("_"):
            options["ssl_context"] = self._ssl()
        if protocol.startswith("SASL"):
            names = {
                "sasl_mechanism": "mechanism",
                "sasl_plain_username": "username",
                "sasl_plain_password": "password",
            }
            options |= {ours: given[f"sasl.{theirs}"] for ours, theirs in names.items()}
        return options | {"security_protocol": protocol}

    def librdkafka(self) -> dict[str, str]:
        """The same for a client of librdkafka."""
        return {"bootstrap.servers": self.bootstrap, **self.security}

    def credentials(self) -> Any:
        """The same for Faust; None for a plain connection."""
        given, protocol = self.security, self.security.get("security.protocol", "PLAINTEXT").upper()
        ssl = self._ssl() if protocol.endswith("SSL") else None
        if protocol.startswith("SASL"):
            mechanism = SASLMechanism(given["sasl.mechanism"])
            names = {"username": given["sasl.username"], "password": given["sasl.password"]}
            return faust.SASLCredentials(mechanism=mechanism, ssl_context=ssl, **names)
        return faust.SSLCredentials(ssl) if ssl else None

    def _ssl(self) -> Any:
        files = {"cafile": "ssl.ca.location", "certfile": "ssl.certificate.location", "keyfile": "ssl.key.location"}
        return create_ssl_context(**{ours: self.security.get(theirs) for ours, theirs in files.items()})


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, which commits only what `handled` was told of.

    Faust's own account commits over what it left out: holes that it filled itself, messages that it skipped at a
    rebalance, and whatever is first where nothing was committed before.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handled: dict[TP, int] = {}

    def handled(self, place: TP, offset: int) -> None:
        """A message and all that came before it in its partition are done with."""
        self._handled[place] = max(offset + 1, self._handled.get(place, 0))

    async def _commit(self, offsets: Any) -> bool:
        committed: bool = await super()._commit(offsets)
        if committed:
            self.app.observed.committed()
        return committed

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[TP]:
        return list(self._handled)

    def _new_offset(self, place: TP) -> int | None:
        return self._handled.pop(place, None)


def new_app(app_id: str, kafka: Kafka, data_dir: Path, observed: Observed) -> Any:
    """A Faust app of ours: consumer group `app_id`, raw bytes, at least once."""
    size = Bounds().message_bytes
    app = faust.App(
        app_id,
        broker=[f"kafka://{server}" for server in kafka.bootstrap.split(",")],
        broker_credentials=kafka.credentials(),
        # exactly_once follows the wrong partition when it commits (Faust issues 136, 177, 323): identities do it
        processing_guarantee="at_least_once",
        # bytes are decoded inside the agent: a decoding error before it would lose the message
        key_serializer="raw",
        value_serializer="raw",
        # topics come from our catalogue; Faust would make them with its own partitions and replication
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        datadir=str(data_dir),
        web_enabled=False,
        autodiscover=False,
        # what waits for an agent that is held stays in Kafka, not in memory; the buffer is told to be full at four
        # fifths of its size, so that what was asked for by then still fits
        broker_max_poll_records=100,
        stream_buffer_maxsize=512,
        # an agent that is held asks for nothing: it must not be taken for a dead one, however long it is
        broker_max_poll_interval=7 * 86_400.0,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        # a group that is formed while the broker starts again may see no topics and be given nothing: look again soon
        consumer_metadata_max_age_ms=3_000,
        consumer_max_fetch_size=size,
        producer_max_request_size=size,
        producer_acks=-1,
        producer_linger_ms=0,
        producer_request_timeout=10.0,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
    )
    app.transport.Consumer = Consumer
    app.observed = observed
    return app


def left_group(app: Any) -> bool:
    """Whether aiokafka left the consumer group by an error, which it only logs: Faust would wait for ever."""
    client = getattr(getattr(getattr(app, "_consumer", None), "_thread", None), "_consumer", None)
    task = getattr(getattr(client, "_coordinator", None), "_coordination_task", None)
    return task is not None and task.done() and not task.cancelled() and task.exception() is not None


def _end_when_left(app: Any) -> None:
    while not app.should_stop:
        if left_group(app):
            LOG.critical("Kafka's client has left the group by an error: the worker ends, to be started again")
            os._exit(1)  # as safe as any kill; what Faust would wait for never comes
        time.sleep(LOOK_EVERY)


def run(app: Any, log_level: str = "WARNING") -> None:
    """Run a worker in the foreground until SIGTERM or SIGINT; leaves by SystemExit."""
    # Faust and aiokafka make a record for every request
    logging.disable(logging.getLevelNamesMapping()[log_level] - 1)
    worker = _Worker(app, loglevel=log_level, redirect_stdouts=False, quiet=True)
    # it writes to the terminal even where there is none
    worker.spinner = None
    threading.Thread(target=_end_when_left, args=(app,), name="group", daemon=True).start()
    worker.execute_from_commandline()


class _Worker(faust.Worker):  # type: ignore[misc]
    def _setup_logging(self) -> None:
        """Log as the process does: Faust would take its handlers away."""


class Health:
    """Whether a worker gets on, as one small JSON file: ok, problem, done (messages), at (wall clock, s).

    `state`, asked at each writing, adds what else the worker says of itself. `observed` is told of the same.
    """

    def __init__(
        self, path: Path, state: Callable[[], Mapping[str, Any]] = dict, observed: Observed | None = None
    ) -> None:
        self._state = state
        self.observed = observed or Observed()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._problem: str | None = None
        self._done = 0
        self._written = 0.0

    def progress(self) -> None:
        """One more message is done."""
        self._done += 1
        self.observed.turned()
        self.observed.count(DONE)
        if self._problem is not None or time.monotonic() - self._written > 1.0:
            self._problem = None
            self._write()

    def report(self, *, held: bool = False) -> None:
        """Write how it stands now; a timer's to call, so that a worker that waits says so.

        A timer turns also beside an agent that takes nothing any more: alive by it is only one that is held.
        """
        if held:
            self.observed.turned()
        self._write()

    def trouble(self, problem: str) -> None:
        """Something outside doesn't answer; the worker waits for it."""
        LOG.warning("waits for what does not answer", problem=problem)
        self._problem = problem
        self.observed.turned()
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        status = {"ok": self._problem is None, "problem": self._problem, "done": self._done, "at": time.time()}
        status |= self._state()
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(status))
        fresh.replace(self._path)


@dataclass(frozen=True, slots=True)
class Output:
    """A message to be sent and its delivery to be awaited."""

    topic: Any
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None

    def traced(self, headers: tracing.Headers) -> "Output":
        """The same from a span whose headers these are."""
        return replace(self, headers=[*self.headers, *headers]) if headers else self

    async def send(self) -> Awaitable[Any]:
        """Hand it to the producer; what comes back is done when the broker has it."""
        sent: Awaitable[Any] = await self.topic.send(
            key=self.key, value=self.value, headers=list(self.headers) or None, partition=self.partition
        )
        return sent


def rejected(topic: Any, found: Iterable[Letter], observed: Observed) -> list[Output]:
    """The outputs of dead letters, counted."""
    return [Output(topic, letter.key, letter.value, letter.headers) for letter in counted(found, observed)]


async def persist(attempt: Callable[[], Awaitable[T]], health: Health, what: str) -> T:
    """Do something that only the infrastructure can keep from succeeding: again, in place, until it is done."""
    pause = 0.1
    while True:
        try:
            return await attempt()
        except Exception as error:
            health.trouble(f"{what}: {error!r}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def deliver(outputs: Sequence[Output], health: Health) -> None:
    """Send in order and await every delivery, for as long as it takes."""

    async def attempt() -> None:
        for sent in [await output.send() for output in outputs]:
            await sent

    await persist(attempt, health, "send")
