"""The process that delivers: alerts become events in the outbox, and each endpoint gets those that it wants.

At least once, whatever is killed when: an alert's offset is kept with the events made of it, an attempt's end after the
answer, and the next event of a key goes out only then. What is sent again carries the same id.
"""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from carbon.alert import alert
from schemas import codec, topics
from schemas.metrics import DELIVERIES, LAG, QUEUE, Figure
from schemas.observed import Observed
from sinks.webhooks import message
from sinks.webhooks.addresses import Network
from sinks.webhooks.broker import Alerts, Arrived, Sender
from sinks.webhooks.delivery import Deliveries, Lane, now_ms
from sinks.webhooks.notices import Notice, Notices, Rules
from sinks.webhooks.outbox import FILE, Attempt, Change, Outbox, Outgoing
from sinks.webhooks.plan import Waiting
from sinks.webhooks.register import RegisterFolder
from sinks.webhooks.subscription import Event, Subscription, fold

LOOK_SECONDS = 0.5
"""How often the register is looked at, and time passes for the notices."""
STOP_SECONDS = 5.0
PRUNE_SECONDS = 3_600.0


@dataclass(frozen=True)
class Config:
    """What the dispatcher needs. `source` names the channel; `allowed` are networks that are not public."""

    folder: Path
    source: str
    allowed: tuple[Network, ...] = ()
    rules: Rules = field(default_factory=Rules)
    observed: Observed = field(default_factory=Observed)


Found = tuple[list[tuple[str, list[Waiting], int]], list[Outgoing]]
"""What the outbox holds for the lanes that have room, and for Kafka."""


class Dispatcher:
    """The process. Made and run in one event loop; the outbox is one thread's, Kafka's consumer another's.

    `alerts` opens the topic at an offset.
    """

    def __init__(self, config: Config, alerts: Callable[[int], Alerts], sender: Sender) -> None:
        self._config = config
        self._disk, self._kafka = ThreadPoolExecutor(1, "outbox"), ThreadPoolExecutor(1, "alerts")
        self._folder = RegisterFolder(config.folder)
        self._outbox = Outbox(config.folder / FILE)
        offset, applied = self._outbox.place
        self._register = fold(self._folder.events()[:applied])
        self._notices = Notices(config.rules, self._register.silenced)
        self._outbox.load(self._notices)
        self._alerts, self._sender = alerts(offset), sender
        self._deliveries = Deliveries(self._folder, config.allowed, self._outbox.failing(), self._on_ended)
        self._changes: list[tuple[Change, asyncio.Future[None]]] = []
        self._ended: list[tuple[Lane, Attempt]] = []
        self._came, self._known = asyncio.Event(), asyncio.Event()
        self._done, self._counts = 0, dict[str, int]()
        config.observed.shows("dispatcher", self.figures)
        config.observed.committed()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set."""
        works = (self._write, self._follow, self._read, self._deliveries.run)
        writing, *working = [asyncio.create_task(work()) for work in works]
        stopping = asyncio.create_task(stop.wait())
        try:
            ended, _ = await asyncio.wait([writing, *working, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stopping}:
                task.result()
            await _cancelled(working)
            await self._deliveries.finish(STOP_SECONDS)
            await self._kept(Change(now_ms()))
        finally:
            await _cancelled([writing, *working, stopping])
            await self._close()

    async def _close(self) -> None:
        await self._deliveries.adopt({})
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._kafka, self._alerts.close)
        await loop.run_in_executor(self._kafka, self._sender.flush, STOP_SECONDS)
        await loop.run_in_executor(self._disk, self._outbox.close)

    # -- alerts to events

    async def _read(self) -> None:
        """Take in alerts, in their order, each batch with its offset in one transaction."""
        loop = asyncio.get_running_loop()
        await self._known.wait()
        while True:
            arrived = await loop.run_in_executor(self._kafka, self._alerts.read, LOOK_SECONDS)
            change = self._taken(arrived)
            if change.offset is not None or change.openings or change.groups or change.events:
                await self._kept(change)
            if change.offset is not None:
                await loop.run_in_executor(self._kafka, self._alerts.done, change.offset)
                self._config.observed.committed()

    def _taken(self, arrived: list[Arrived]) -> Change:
        """What is told because of alerts, or because time passed, as events for whom they concern."""
        change, notices = Change(now_ms()), list[Notice]()
        for one in arrived:
            change.offset = one.offset + 1
            if one.alert is not None:
                change.seen += [one.alert["id"]] if one.alert["id"] not in self._notices.seen else []
                notices += self._notices.take(one.alert, one.at)
        # what is read late is told as it would have been then
        notices += self._notices.tick(arrived[-1].at if arrived else change.now)
        change.openings = {key: self._notices.openings.get(key) for key in self._notices.changed}
        change.groups = {name: self._notices.groups.get(name) for name in self._notices.changed_groups}
        self._notices.changed, self._notices.changed_groups = set(), set()
        for notice in notices:
            wanted = [one for one in self._register.subscriptions.values() if one.wants(notice)]
            states = [(one.id, "dead" if one.disabled else "waiting") for one in wanted]
            change.events.append((message.event_of(notice, self._config.source), states))
        return change

    # -- the register

    async def _follow(self) -> None:
        """Apply what is appended to the register, say how it goes, and clean up."""
        size, pruned = -1, time.monotonic()
        loop = asyncio.get_running_loop()
        while True:
            if size != self._folder.size:
                size = self._folder.size
                await self._look()
            self._config.observed.turned()
            self._counts = await loop.run_in_executor(self._disk, self._outbox.counts)
            self._say(self._counts)
            if time.monotonic() - pruned > PRUNE_SECONDS:
                await loop.run_in_executor(self._disk, self._outbox.prune, now_ms())
                pruned = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            self._came.set()

    async def _look(self) -> None:
        """Apply the events that were appended, each once."""
        for event in self._folder.events()[self._register.applied :]:
            self._register.apply(event)
            await self._kept(self._followed(event))
        await self._deliveries.adopt(self._register.subscriptions)
        self._known.set()
        self._came.set()

    def _followed(self, event: Event) -> Change:
        """What an event of the register changes in the outbox, and the notice to everybody else."""
        change = Change(now_ms(), applied=self._register.applied)
        name = event["id"]
        match event["event"]:
            case "removed":
                change.removed.append(name)
                self._folder.forget(name)
            case "replayed":
                change.replayed.append((name, event.get("of")))
            case "disabled":
                change.stopped.append(name)
                change.outgoing.append(_notice(self._register.subscriptions[name], event, resolved=False))
            case "enabled":
                self._deliveries.forgive(name)
                change.outgoing.append(_notice(self._register.subscriptions[name], event, resolved=True))
        return change

    def _say(self, counts: dict[str, int]) -> None:
        """How it goes, for status and metrics: as the other workers' health."""
        report = {"ok": True, "problem": None, "done": self._done, "at": time.time(), **counts}
        fresh = self._config.folder / "webhooks.health.new"
        fresh.write_text(json.dumps(report))
        fresh.replace(self._config.folder / "webhooks.health.json")

    def figures(self) -> Iterator[Figure]:
        """The same for Prometheus."""
        yield DELIVERIES.of(self._done)
        yield LAG.of(self._alerts.lag, topics.ALERTS)
        for state, count in self._counts.copy().items():
            yield QUEUE.of(count, f"{state} deliveries")

    # -- the outbox

    def _on_ended(self, lane: Lane, attempt: Attempt) -> None:
        self._ended.append((lane, attempt))
        self._came.set()

    async def _kept(self, change: Change) -> None:
        """Have a change kept."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changes.append((change, kept))
        self._came.set()
        await kept

    async def _write(self) -> None:
        """Write what has gathered, in one thread: many attempts share one sync."""
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            self._came.clear()
            changes, ended, self._changes, self._ended = self._changes, self._ended, [], []
            self._sender.poll()
            end = Change(now_ms(), attempts=[attempt for _, attempt in ended])
            end.outgoing = [(topics.ALERTS_DELIVERIES, one.subscription.encode(), one.message) for one in end.attempts]
            end.acknowledged, self._sender.acknowledged = self._sender.acknowledged, []
            self._deliveries.keep(end)
            await loop.run_in_executor(self._disk, self._commit, [*(change for change, _ in changes), end])
            for _, kept in changes:
                if not kept.done():
                    kept.set_result(None)
            self._settle(changes, ended)
            rooms = [(name, lane.queue.last, lane.room) for name, lane in self._deliveries.lanes.items() if lane.room]
            found, outgoing = await loop.run_in_executor(self._disk, self._found, rooms)
            self._sender.send(outgoing)
            for name, waiting, room in found:
                self._deliveries.offer(name, waiting, room)

    def _commit(self, changes: list[Change]) -> None:
        for change in changes:
            self._outbox.write(change)

    def _found(self, rooms: list[tuple[str, int, int]]) -> Found:
        waiting = [(name, self._outbox.waiting(name, after, room), room) for name, after, room in rooms]
        return waiting, self._outbox.outgoing(self._sender.sent)

    def _settle(self, changes: list[tuple[Change, asyncio.Future[None]]], ended: list[tuple[Lane, Attempt]]) -> None:
        """After the commit: the queues go on, and lanes for which something came ask the outbox."""
        for lane, attempt in ended:
            self._deliveries.settle(lane, attempt)
        self._done += len(ended)
        touched = {name for change, _ in changes for _, states in change.events for name, _ in states}
        touched |= {name for change, _ in changes for name, _ in change.replayed}
        for name in touched & self._deliveries.lanes.keys():
            self._deliveries.lanes[name].more = True


def _notice(subscription: Subscription, event: Event, *, resolved: bool) -> tuple[str, bytes, bytes]:
    """The alert on a subscription that was disabled, or on its end. Of a URL it says only the host."""
    name, at, host = event["id"], event["at"], urlsplit(subscription.url).hostname
    key = f"webhook_disabled/{name}"
    said = "is enabled again" if resolved else f"is disabled: {event['reason']}"
    told = alert(
        f"{key}/{at}", "webhook_disabled", "warning", at, f"{name} ({host}) {said}", key=key, resolved=resolved
    )
    told["proof"] = f"carbonledger webhooks deliveries {name}"
    return topics.ALERTS, told["id"].encode(), codec.encode("alert", told)


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until_signal(config: Config, kafka: Mapping[str, Any]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Dispatcher(config, partial(Alerts, kafka), Sender(kafka)).run(stop)


def main(config: Config, kafka: Mapping[str, Any]) -> None:
    """Run the dispatcher as this process until SIGTERM or SIGINT. `kafka`: a client's configuration."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signal(config, kafka))
