"""What the supervisor decides, pure: who may start, what a death leads to, who may be stopped.

Every transition of a process's life lives here. Times are seconds of a clock that only goes forward.

    waiting ──▶ starting ──▶ ready ──▶ stopping ──▶ stopped
       ▲            │          │
       └── backoff ─┴── died ──┘
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
HEALTHY_AFTER = 30.0
"""Seconds after which a death counts as the first one again."""
GIVE_UP_AFTER = 5
"""Deaths in a row without ever having been ready, after which there is no point in going on."""


class PlanError(ValueError):
    """Dependencies that can't be met."""


@dataclass(frozen=True)
class Process:
    """One process to be kept alive: how it is started, what it needs, when it counts as ready.

    `ready` is asked until it says yes; without it, a process is ready as soon as it runs. `explain` turns the end of
    its log into what to do. `group` is its consumer group, whose lag `status` shows. It holds `lock` while it runs.
    """

    name: str
    argv: tuple[str, ...]
    depends: tuple[str, ...] = ()
    ready: Callable[[], bool] | None = None
    explain: Callable[[str], str | None] = lambda _: None
    group: str | None = None
    lock: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready_within: float = 90.0
    stop_within: float = 10.0


class State(StrEnum):
    """Where a process stands."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def runs(self) -> bool:
        """Whether there is a process in the system."""
        return self in (State.STARTING, State.READY, State.STOPPING)


@dataclass(frozen=True)
class Life:
    """What has become of a process: its state, since when, and how often it died."""

    state: State = State.WAITING
    since: float = 0.0
    due: float = 0.0
    """When a waiting process may start again."""
    starts: int = 0
    failures: int = 0
    """Deaths in a row."""
    was_ready: bool = False

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    @property
    def hopeless(self) -> bool:
        """Whether it has never been ready and died so often that it won't be."""
        return not self.was_ready and self.failures >= GIVE_UP_AFTER


def check(processes: Sequence[Process]) -> None:
    """Refuse a plan whose dependencies are unknown or go in a circle. Raises PlanError."""
    known = {process.name for process in processes}
    met: set[str] = set()
    for process in processes:
        if unknown := set(process.depends) - known:
            raise PlanError(f"{process.name} depends on {', '.join(sorted(unknown))}, which nobody starts")
    while met != known:
        free = {process.name for process in processes if process.name not in met and met.issuperset(process.depends)}
        if not free:
            raise PlanError(f"dependencies in a circle: {', '.join(sorted(known - met))}")
        met |= free


def delay(failures: int) -> float:
    """Seconds before the next start after `failures` deaths in a row: 0.5, 1, 2, 4, 8, 10, 10 …"""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 16))


def to_start(processes: Sequence[Process], lives: Mapping[str, Life], now: float) -> list[Process]:
    """Those that wait, are due, and whose dependencies are ready, in the order given."""

    def may(process: Process) -> bool:
        life = lives[process.name]
        met = all(lives[name].state is State.READY for name in process.depends)
        return life.state is State.WAITING and life.due <= now and met

    return [process for process in processes if may(process)]


def to_stop(processes: Sequence[Process], lives: Mapping[str, Life]) -> list[Process]:
    """Those that run and on which nothing that still runs depends: the next to be asked to stop."""
    needed = {name for process in processes if lives[process.name].state.runs for name in process.depends}
    return [p for p in processes if lives[p.name].state in (State.STARTING, State.READY) and p.name not in needed]


def started(life: Life, now: float) -> Life:
    """It was started."""
    return replace(life, state=State.STARTING, since=now, starts=life.starts + 1)


def became_ready(life: Life, now: float) -> Life:
    """Its readiness check said yes."""
    return replace(life, state=State.READY, since=now, was_ready=True)


def stopping(life: Life, now: float) -> Life:
    """It was asked to stop."""
    return replace(life, state=State.STOPPING, since=now)


def died(life: Life, now: float) -> Life:
    """It ended: as asked, or by itself, and is then due again after a delay that doubles with every early death."""
    if life.state is State.STOPPING:
        return replace(life, state=State.STOPPED, since=now)
    healthy = life.state is State.READY and now - life.since >= HEALTHY_AFTER
    failures = 1 if healthy else life.failures + 1
    return replace(life, state=State.WAITING, since=now, due=now + delay(failures), failures=failures)


def overdue(process: Process, life: Life, now: float) -> bool:
    """Whether it has had its time: to become ready after a start, or to end after being asked to."""
    if life.state is State.STARTING:
        return now - life.since > process.ready_within
    return life.state is State.STOPPING and now - life.since > process.stop_within
