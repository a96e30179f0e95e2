"""The attempts: each subscription's lane, from its queue over its own connections to what became of each event."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from schemas import codec
from sinks.webhooks import message, plan
from sinks.webhooks.addresses import Network
from sinks.webhooks.client import Endpoint
from sinks.webhooks.outbox import LOADED, Attempt, Change
from sinks.webhooks.plan import Answer, EndpointQueue, Outcome, Verdict, Waiting
from sinks.webhooks.register import RegisterFolder
from sinks.webhooks.subscription import Subscription, SubscriptionError

IDLE_SECONDS = 1.0
log = structlog.get_logger(__name__)


def now_ms() -> int:
    """The sender's clock, Unix ms."""
    return time.time_ns() // 1_000_000


@dataclass(eq=False)
class Lane:
    """One subscription on its way: its queue, its connections, and the attempts under way."""

    subscription: Subscription
    endpoint: Endpoint
    queue: EndpointQueue = field(default_factory=EndpointQueue)
    more: bool = True
    """Whether the outbox may hold more for it than the queue."""
    stopped: bool = False
    """Whether it is about to be disabled: nothing more is sent."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def room(self) -> int:
        """How many events to bring from the outbox now."""
        return LOADED - len(self.queue) if self.more and 2 * len(self.queue) < LOADED else 0


class Deliveries:
    """All lanes. `ended` is called with each attempt; once that is kept, `settle` lets the next of its key go."""

    def __init__(
        self,
        folder: RegisterFolder,
        allowed: Sequence[Network],
        failing: dict[str, int],
        ended: Callable[[Lane, Attempt], None],
    ) -> None:
        self._folder, self._allowed, self._failing, self._ended = folder, allowed, failing, ended
        self._changed_failing: set[str] = set()
        self._wake = asyncio.Event()
        self.lanes: dict[str, Lane] = {}

    async def adopt(self, subscriptions: dict[str, Subscription]) -> None:
        """Have a lane for each subscription that is not disabled, and no other."""
        for name in [name for name in self.lanes if name not in subscriptions or subscriptions[name].disabled]:
            lane = self.lanes.pop(name)
            for task in lane.tasks:
                task.cancel()
            await lane.endpoint.close()
        for name, subscription in subscriptions.items():
            if name in self.lanes:
                self.lanes[name].subscription = subscription
                self.lanes[name].more = True
            elif not subscription.disabled:
                self.lanes[name] = Lane(subscription, Endpoint(subscription.url, self._allowed))

    def offer(self, name: str, found: Sequence[Waiting], room: int) -> None:
        """Events of a lane from the outbox, which was asked for `room` of them."""
        lane = self.lanes.get(name)
        if lane is None:
            return
        for waiting in found:
            if waiting.number > lane.queue.last:
                lane.queue.offer(waiting)
        lane.more = len(found) == room
        self._wake.set()

    async def run(self) -> None:
        """Send whatever is due, for ever."""
        while True:
            self._wake.clear()
            now, nexts = now_ms(), list[int]()
            for lane in (lane for lane in self.lanes.values() if not lane.stopped):
                for waiting in lane.queue.take(now):
                    task = asyncio.create_task(self._attempt(lane, waiting))
                    lane.tasks.add(task)
                    task.add_done_callback(lane.tasks.discard)
                if (due := lane.queue.next_due) is not None:
                    nexts.append(due)
            pause = min((max(0, due - now_ms()) / 1000 for due in nexts), default=IDLE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, IDLE_SECONDS)):
                    await self._wake.wait()

    async def _attempt(self, lane: Lane, waiting: Waiting) -> None:
        began = now_ms()
        answer = await self._answer(lane, waiting, began)
        first_at = began if waiting.first_at is None else waiting.first_at
        waiting = waiting._replace(attempt=waiting.attempt + 1, first_at=first_at)
        verdict = plan.judge(answer, waiting.attempt, first_at, now_ms(), random.random())  # noqa: S311 - jitter
        await self._note(lane, answer, verdict, began)
        told = _message(lane.subscription.id, waiting, began, answer, verdict)
        due = verdict.next_at or 0
        self._ended(lane, Attempt(lane.subscription.id, waiting._replace(due=due), began, answer.status, verdict, told))

    async def _answer(self, lane: Lane, waiting: Waiting, now: int) -> Answer:
        name = lane.subscription.id
        try:
            secrets = [self._folder.secret(name, number) for number in lane.subscription.signing(now)]
        except OSError as error:
            log.error("a webhook's secret can't be read", subscription=name, problem=str(error))
            return Answer(None, "secret")
        return await lane.endpoint.post(message.headers(waiting.event, waiting.body, secrets, now), waiting.body)

    async def _note(self, lane: Lane, answer: Answer, verdict: Verdict, began: int) -> None:
        """Remember since when a subscription fails, and disable it when that is too long."""
        name, delivered = lane.subscription.id, verdict.outcome is Outcome.DELIVERED
        lane.queue.heard(delivered=delivered, began=began, now=now_ms(), chance=random.random())  # noqa: S311 - jitter
        if delivered:
            if self._failing.pop(name, None) is not None:
                self._changed_failing.add(name)
            return
        if name not in self._failing:
            self._failing[name] = now_ms()
            self._changed_failing.add(name)
        reason = plan.disabling(answer, self._failing[name], now_ms())
        if reason is not None and not lane.stopped:
            lane.stopped = True
            event = {"event": "disabled", "id": name, "reason": reason, "at": now_ms()}
            with contextlib.suppress(SubscriptionError):  # it was removed or disabled meanwhile
                await asyncio.to_thread(self._folder.append, event)

    def keep(self, change: Change) -> None:
        """Add to a change since when which subscriptions fail."""
        change.failing |= {name: self._failing.get(name) for name in self._changed_failing}
        self._changed_failing.clear()

    def forgive(self, name: str) -> None:
        """A subscription that is enabled again begins anew."""
        if self._failing.pop(name, None) is not None:
            self._changed_failing.add(name)

    def settle(self, lane: Lane, attempt: Attempt) -> None:
        """An attempt is kept: the event waits again, or makes room for the next of its key."""
        if attempt.verdict.outcome is Outcome.FAILED:
            lane.queue.again(attempt.waiting)
        else:
            lane.queue.done(attempt.waiting.key)
        self._wake.set()

    async def finish(self, seconds: float) -> None:
        """Wait for the answers under way, for so long."""
        tasks = [task for lane in self.lanes.values() for task in lane.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)


def _message(name: str, waiting: Waiting, at: int, answer: Answer, verdict: Verdict) -> bytes:
    about = {"subscription": name, "event": waiting.event, "kind": waiting.kind, "key": waiting.key}
    attempt = {"attempt": waiting.attempt, "at": at, "status": answer.status, "duration_ms": answer.took_ms}
    after = {"outcome": verdict.outcome.value, "reason": verdict.reason, "next_at": verdict.next_at}
    return codec.encode("delivery", about | attempt | after)
