"""When what is delivered to whom: the verdict on an attempt, the retries, and each endpoint's own queue.

Every rule of delivery stands here, without clock, network or disk; times are Unix ms, handed in. An endpoint's events
of one key go out one after the other, in their order: the next waits until the one before is delivered or given up.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heappop, heappush
from typing import NamedTuple

SECOND_MS, DAY_MS = 1_000, 86_400_000
FIRST_PAUSE_MS = 5 * SECOND_MS
LONGEST_PAUSE_MS = 7_200 * SECOND_MS
GIVE_UP_MS = DAY_MS
"""An event is given up at the first failure that comes so long after its first attempt."""
DISABLE_MS = 3 * DAY_MS
"""A subscription is disabled at a failure so long after its first without a success in between."""
LONGEST_REST_MS = 300 * SECOND_MS
"""What an endpoint that fails is left alone for at most, so that its recovery is noticed."""
AT_ONCE = 16
"""Requests under way to one endpoint; one while it fails."""
GONE = 410


class Outcome(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DEAD = "dead"


class Answer(NamedTuple):
    """What an attempt met: a status, or the reason why there is none. `retry_after_ms` as the endpoint asked."""

    status: int | None
    reason: str | None = None
    retry_after_ms: int = 0
    took_ms: int = 0


class Verdict(NamedTuple):
    """What follows from an answer. `next_at`: when to try again, None where there is no again."""

    outcome: Outcome
    reason: str | None = None
    next_at: int | None = None


def pause_ms(attempt: int, chance: float) -> int:
    """The wait after failed attempt 1, 2, … : full jitter, `chance` uniform in [0, 1), below a doubling bound."""
    bound = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(attempt - 1, 20))
    return int(bound * chance)


def judge(answer: Answer, attempt: int, first_at: int, now: int, chance: float) -> Verdict:
    """The verdict on attempt 1, 2, … made at `now`, of an event whose first attempt since a replay was at `first_at`.

    Any 2xx is delivery. A redirect is a failure: nobody vetted where it leads.
    """
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict(Outcome.DELIVERED)
    reason = answer.reason or ("redirect" if answer.status is not None and answer.status // 100 == 3 else "status")
    if now - first_at >= GIVE_UP_MS:
        return Verdict(Outcome.DEAD, reason)
    asked = min(answer.retry_after_ms, LONGEST_PAUSE_MS)
    # the last attempt is made when the day is over, not short of it
    next_at = min(now + max(pause_ms(attempt, chance), asked), max(first_at + GIVE_UP_MS, now))
    return Verdict(Outcome.FAILED, reason, next_at)


def disabling(answer: Answer, failing_since: int, now: int) -> str | None:
    """Why a subscription is to be disabled after a failed attempt; None while it isn't."""
    if answer.status == GONE:
        return "the endpoint is gone (410)"
    if now - failing_since >= DISABLE_MS:
        return f"every attempt has failed for {(now - failing_since) // DAY_MS} days"
    return None


class Waiting(NamedTuple):
    """An event on its way to one endpoint, `attempt` attempts behind it. `number` is its place in the order."""

    number: int
    event: str
    kind: str
    key: str
    body: bytes
    attempt: int = 0
    first_at: int | None = None
    due: int = 0


@dataclass
class EndpointQueue:
    """What waits for one endpoint, each key in its order."""

    at_once: int = AT_ONCE
    failures: int = 0
    """Rests in a row after which it failed again; then one request at a time tries, not to flood who is down."""
    rest_until: int = 0
    last: int = 0
    """Number of the last event that was offered."""
    under_way: int = 0
    _keys: dict[str, deque[Waiting]] = field(default_factory=dict)
    _due: list[tuple[int, int, str]] = field(default_factory=list)
    """A heap of the keys whose first event isn't under way: when it is due, and its number."""

    def __len__(self) -> int:
        return sum(map(len, self._keys.values()))

    def offer(self, waiting: Waiting) -> None:
        """Add an event behind those of its key. Numbers only grow."""
        assert waiting.number > self.last, "offered twice, or out of order"
        self.last = waiting.number
        events = self._keys.setdefault(waiting.key, deque())
        events.append(waiting)
        if len(events) == 1:
            heappush(self._due, (waiting.due, waiting.number, waiting.key))

    def heard(self, *, delivered: bool, began: int, now: int, chance: float) -> None:
        """The answer to an attempt that began at `began`. Of those under way when a rest began only one counts."""
        self.under_way -= 1
        if delivered:
            self.failures, self.rest_until = 0, 0
        elif began >= self.rest_until:
            self.failures += 1
            self.rest_until = now + min(LONGEST_REST_MS, pause_ms(self.failures, chance))

    @property
    def _room(self) -> int:
        return (1 if self.failures else self.at_once) - self.under_way

    def take(self, now: int) -> list[Waiting]:
        """The events to send now. An answer is `heard`; once it is kept, `again` or `done` lets its key go."""
        taken: list[Waiting] = []
        while self._due and max(self._due[0][0], self.rest_until) <= now and self._room > 0:
            taken.append(self._keys[heappop(self._due)[2]][0])
            self.under_way += 1
        return taken

    def again(self, waiting: Waiting) -> None:
        """An attempt failed; the event waits until it is due, and those of its key behind it."""
        self._keys[waiting.key][0] = waiting
        heappush(self._due, (waiting.due, waiting.number, waiting.key))

    def done(self, key: str) -> None:
        """The first event of a key is delivered or given up."""
        events = self._keys[key]
        events.popleft()
        if events:
            heappush(self._due, (events[0].due, events[0].number, key))
        else:
            del self._keys[key]

    @property
    def next_due(self) -> int | None:
        """When the next event is due that may be sent; None when none waits or none may."""
        return max(self._due[0][0], self.rest_until) if self._due and self._room > 0 else None
