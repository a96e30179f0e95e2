"""A dispatcher in the test's loop, with a topic in memory for Kafka."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas import codec, topics
from sinks.webhooks.addresses import networks
from sinks.webhooks.broker import Alerts, Arrived, Sender
from sinks.webhooks.delivery import now_ms
from sinks.webhooks.dispatcher import Config, Dispatcher
from sinks.webhooks.notices import Rules
from sinks.webhooks.outbox import Outgoing
from sinks.webhooks.register import RegisterFolder
from tests.sinks.webhooks.alerts import AT

LOOPBACK = networks("127.0.0.0/8")
AT_ONCE = Rules(calm_ms=0, group_ms=1_000_000, burst=1_000_000)


@dataclass
class Topic:
    """The alerts, and what was sent."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    sent: list[tuple[str, bytes, Any]] = field(default_factory=list)
    committed: int = 0
    came: threading.Event = field(default_factory=threading.Event)

    def put(self, alerts: Iterable[dict[str, Any]]) -> None:
        self.alerts += alerts
        self.came.set()

    def deliveries(self) -> list[dict[str, Any]]:
        return [value for topic, _, value in self.sent if topic == topics.ALERTS_DELIVERIES]


class MemoryAlerts(Alerts):
    """Reads the topic in memory."""

    def __init__(self, topic: Topic, offset: int) -> None:
        self._topic, self._offset = topic, offset

    def read(self, timeout: float) -> list[Arrived]:
        self._topic.came.wait(0.01)
        self._topic.came.clear()
        new = self._topic.alerts[self._offset : self._offset + 500]
        found = [Arrived(alert, now_ms(), self._offset + n) for n, alert in enumerate(new)]
        self._offset += len(new)
        self.lag = len(self._topic.alerts) - self._offset
        return found

    def done(self, offset: int) -> None:
        self._topic.committed = offset

    def close(self) -> None:
        pass


class MemorySender(Sender):
    """Keeps what is sent, acknowledged at once; an alert goes to the topic that is read."""

    def __init__(self, topic: Topic) -> None:
        self._topic, self.sent, self.acknowledged = topic, 0, []

    def send(self, messages: Iterable[Outgoing]) -> None:
        for message in messages:
            schema = "alert" if message.topic == topics.ALERTS else "delivery"
            value = codec.decode(schema, message.value)
            self._topic.sent.append((message.topic, message.key, value))
            if schema == "alert":
                self._topic.put([value])
            self.sent = message.number
            self.acknowledged.append(message.number)

    def poll(self) -> None:
        pass

    def flush(self, seconds: float) -> None:
        pass


@asynccontextmanager
async def dispatching(folder: Path, topic: Topic, rules: Rules = AT_ONCE) -> AsyncIterator[Dispatcher]:
    """A dispatcher that runs; at the end it stops as at SIGTERM."""
    config = Config(folder, "carbonledger/test/0", LOOPBACK, rules)
    dispatcher = Dispatcher(config, lambda offset: MemoryAlerts(topic, offset), MemorySender(topic))
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop))
    try:
        yield dispatcher
    finally:
        stop.set()
        await running


def subscribe(folder: Path, id_: str, url: str, **more: Any) -> str:
    """A subscription; its secret."""
    register = RegisterFolder(folder)
    secret = register.new_secret(id_, 1)
    event = {"event": "added", "id": id_, "url": url, "kinds": [], "subjects": [], "severity": "info", "at": AT}
    register.append(event | more)
    return secret


async def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what must happen."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)
