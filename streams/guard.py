"""Every message of a topic to its agent, in the order of its partition, whatever Faust leaves out.

Faust drops what it has buffered at a rebalance and goes back to the committed offset only where there is one, so what
it had read of a partition by then may never reach the agent. Our topics have no transactions and are not compacted:
their offsets leave nothing out, and a hole is seen. What is missing is read again, without Faust, and handed on first.

By induction nothing is lost. Only what the agent acknowledges is committed, and an acknowledgement stands for all that
came before it in the partition; so the committed offset is right, and from there on nothing is left out. At the end
of a partition no later message shows the hole: `look` compares with the end of the log, and sends Faust back.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from faust.types import TP

from schemas.metrics import LAG, Figure
from streams.faust_app import Health, persist

LOG = structlog.get_logger(__name__)
LOOK_EVERY = 5.0
"""Seconds between two looks at the end of the log; two in a row must find the agent waiting at the same place."""


class Log(Protocol):
    """The partitions of the topic as the broker has them. Everything raises Kafka's errors."""

    async def start(self, partition: int) -> int:
        """The offset at which the group goes on: committed, or the first one that is kept."""

    async def portion(self, partition: int, first: int, end: int) -> list[Any]:
        """Some messages from `first` on and before `end`; none when none of them is kept any longer."""

    async def ends(self, partitions: list[int]) -> dict[int, int]:
        """The offset that the next message of each partition will have."""


class Expected:
    """The offset of each partition that the agent has to be given next, from its start on."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._behind: dict[int, int] = {}

    def __contains__(self, partition: int) -> bool:
        return partition in self._next

    def __getitem__(self, partition: int) -> int:
        return self._next[partition]

    def raise_to(self, partition: int, offset: int) -> None:
        """Everything before the offset was handed on, or need not be; it never goes back."""
        self._next[partition] = max(offset, self._next.get(partition, 0))

    def offsets(self) -> dict[int, int]:
        """All of them, by partition."""
        return self._next.copy()

    def stuck(self, ends: Mapping[int, int]) -> dict[int, int]:
        """What is expected in partitions that are behind their ends, and were at the same offset at the last look."""
        behind = {partition: self._next[partition] for partition, end in ends.items() if self._next[partition] < end}
        before, self._behind = self._behind, behind
        return {partition: offset for partition, offset in behind.items() if before.get(partition) == offset}

    def forget(self) -> None:
        """The partitions were assigned anew: each one's start is asked for again."""
        self._next.clear()
        self._behind.clear()


@dataclass(frozen=True, slots=True)
class Handed:
    """A message for the agent; `ack` says that it and all before it in its partition are done with."""

    message: Any
    ack: Callable[[], None]


class Guard:
    """Stands between Faust's stream of a topic and the agent."""

    def __init__(self, app: Any, topic: str, log: Log, health: Health) -> None:
        self._app, self._topic, self._log, self._health = app, topic, log, health
        self._expected = Expected()
        self._waiting = False

    async def messages(self, stream: Any) -> AsyncIterator[Handed]:
        """Faust's messages, each behind those that Faust left out before it."""
        self._expected.forget()
        self._waiting = True
        async for event in stream.noack().events():
            self._waiting = False
            message = event.message
            async for missing in self._missing(message.partition, message.offset):
                yield self._hand_on(missing)
            yield self._hand_on(message)
            self._waiting = True

    async def _missing(self, partition: int, end: int) -> AsyncIterator[Any]:
        """What the broker has from the expected offset on and before `end`."""
        await persist(partial(self._find_start, partition), self._health, f"{self._topic}: committed offset")
        at = self._expected[partition]
        while at < end:
            portion = await persist(partial(self._log.portion, partition, at, end), self._health, "read messages again")
            for message in portion:
                self._warn(partition, at, message.offset)
                at = message.offset + 1
                yield message
            if not portion:
                self._warn(partition, at, end)
                return

    def _hand_on(self, message: Any) -> Handed:
        partition, offset = message.partition, message.offset
        self._expected.raise_to(partition, offset + 1)
        return Handed(message, lambda: self._app.consumer.handled(TP(self._topic, partition), offset))

    async def _find_start(self, partition: int) -> None:
        if partition not in self._expected:
            self._expected.raise_to(partition, await self._log.start(partition))

    def _warn(self, partition: int, first: int, end: int) -> None:
        if first < end:
            LOG.warning(
                "messages are not kept any longer", topic=self._topic, partition=partition, first=first, last=end - 1
            )

    async def look(self) -> None:
        """Send Faust back to what it leaves out at the end of a partition while the agent waits."""
        try:
            stuck = await self._stuck()
            if self._waiting and not stuck and not self._app.rebalancing:
                self._health.observed.turned()
            for partition, offset in stuck.items():
                LOG.warning("Faust left out the end", topic=self._topic, partition=partition, offset=offset)
                await self._app.consumer.seek_wait({TP(self._topic, partition): offset})
        except Exception as error:
            LOG.info("no look at the end of the log", topic=self._topic, error=repr(error))

    async def _stuck(self) -> dict[int, int]:
        ends: dict[int, int] = {}
        if self._waiting and not self._app.rebalancing:
            partitions = [place.partition for place in self._app.consumer.assignment() if place.topic == self._topic]
            for partition in partitions:
                await self._find_start(partition)
            ends = await self._log.ends(partitions)
        return self._expected.stuck(ends)

    def figures(self) -> Iterator[Figure]:
        """What waits for the agent, as the broker last said."""
        known = self._expected.offsets()
        # Faust would make its consumer for whoever asks before it has one
        ends = {p: self._app.consumer.highwater(TP(self._topic, p)) or 0 for p in known}
        yield LAG.of(sum(max(0, end - known[p]) for p, end in ends.items()), self._topic)

    async def assigned(self, *_: Any, **__: Any) -> None:
        """Take what the partitions' start is from the broker again."""
        self._expected.forget()


def guarded(app: Any, topic: str, log: Log, health: Health) -> Guard:
    """The guard of an app's agent, told of every assignment, looking at the ends of the log by a timer."""
    guard = Guard(app, topic, log, health)
    health.observed.shows("guard", guard.figures)
    app.on_partitions_assigned.connect(guard.assigned, weak=False)
    app.timer(interval=LOOK_EVERY)(guard.look)
    return guard
