"""Keeps a plan of processes alive: starts them in order, restarts what dies, stops them in reverse order.

The decisions are in `infra.plan`; this is the shell around them, one thread that is called again and again. It can be
driven by `run` until a signal comes, or step by step by somebody who has other things to do meanwhile (the demo).
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import psutil

from infra import plan, runfile
from infra.children import Child, tail, trim
from infra.errors import EnvironmentFault
from infra.plan import Life, Process, State

_TICK = 0.1
_TRIM_EVERY = 5.0


class Supervisor:
    """Owns the data folder and the processes from `__enter__` to `__exit__`.

    `say` gets one line for each start that matters, death, restart and stop. Raises EnvironmentFault from any call
    when the plan can't work: another `up` on the folder, a process that never gets ready, a fault in a ready check.
    """

    def __init__(
        self, processes: Sequence[Process], data: Path, say: Callable[[str], None], bootstrap: str = ""
    ) -> None:
        plan.check(processes)
        self.processes = tuple(processes)
        self.lives = {process.name: Life() for process in processes}
        self.data, self.bootstrap = data, bootstrap
        self._say = say
        self._children: dict[str, Child] = {}
        self._born: dict[str, float] = {}
        self._exits: dict[str, int] = {}
        self._signals = 0
        self._trimmed = time.monotonic()
        # what the state file tells of the past is in wall time, what decides is not
        self._wall = time.time() - time.monotonic()

    def __enter__(self) -> Self:
        self._lock = runfile.lock(self.data)
        self._since = time.time()
        _end_leftovers(self.data, self._say)
        self._record()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._lock.close()

    @property
    def ready(self) -> bool:
        """Whether every process is ready."""
        return all(life.state is State.READY for life in self.lives.values())

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked for the end, under `signals`."""
        return self._signals > 0

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each process that runs."""
        return {name: self._children[name].pid for name, life in self.lives.items() if life.state.runs}

    @property
    def states(self) -> dict[str, State]:
        """Where each process stands."""
        return {name: life.state for name, life in self.lives.items()}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was started again."""
        return {name: life.restarts for name, life in self.lives.items()}

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.data / "log" / f"{name}.log"

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within it SIGINT and SIGTERM ask for an orderly end, and a second one kills what is still there."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        self._signals += 1

    def run(self, on_ready: Callable[[], None] = lambda: None, turned: Callable[[], object] = lambda: None) -> None:
        """Keep everything alive until a signal comes; `on_ready` is called once, when all are ready.

        `turned` is called a few times a second.
        """
        told = False
        with self.signals():
            while not self._signals:
                self.step()
                turned()
                if self.ready and not told:
                    told = True
                    on_ready()
                time.sleep(_TICK)
            self.stop()

    def step(self) -> None:
        """Look once at every process and do what is due; doesn't wait. Raises EnvironmentFault."""
        now = time.monotonic()
        before = dict(self.lives)
        for process in self.processes:
            self._look_at(process, now)
        for process in plan.to_start(self.processes, self.lives, now):
            self._start(process, now)
        if self.lives != before:
            self._record()
        if now - self._trimmed > _TRIM_EVERY:
            self._trimmed = now
            for process in self.processes:
                trim(self.log(process.name))

    def _look_at(self, process: Process, now: float) -> None:
        life = self.lives[process.name]
        if not life.state.runs:
            return
        code = self._children[process.name].poll()
        if code is not None:
            self._bury(process, code, now)
        elif plan.overdue(process, life, now):
            self._say(
                f"{process.name} did not {'stop' if life.state is State.STOPPING else 'get ready'} in time: killed"
            )
            self._children[process.name].kill()
        elif life.state is State.STARTING and (process.ready is None or process.ready()):
            self.lives[process.name] = plan.became_ready(life, now)

    def _start(self, process: Process, now: float) -> None:
        child = Child(process.argv, self.log(process.name), process.env, lock=process.lock)
        self._children[process.name] = child
        with contextlib.suppress(psutil.NoSuchProcess):
            self._born[process.name] = psutil.Process(child.pid).create_time()
        self.lives[process.name] = plan.started(self.lives[process.name], now)

    def _bury(self, process: Process, code: int, now: float) -> None:
        self._exits[process.name] = code
        life = self.lives[process.name] = plan.died(self.lives[process.name], now)
        if life.state is State.STOPPED:
            return
        reason = self._reason(process, code)
        if life.hopeless:
            raise EnvironmentFault(
                f"{process.name} can't be started, it {_ended(code)} {life.failures} times: {reason}"
            )
        self._say(f"{process.name} {_ended(code)}, starts again in {life.due - now:g} s: {reason}")

    def _reason(self, process: Process, code: int) -> str:
        log = self.log(process.name)
        known = process.explain(tail(log, self._children[process.name].log_start))
        return known or ("somebody killed it, or memory ran out" if code == -signal.SIGKILL else f"see {log}")

    def stop(self) -> None:
        """Stop everything in reverse order, each within its bound; a second signal kills what is left."""
        while any(life.state.runs for life in self.lives.values()):
            now = time.monotonic()
            for process in self.processes:
                self._look_at_stopping(process, now)
            for process in plan.to_stop(self.processes, self.lives):
                self.lives[process.name] = plan.stopping(self.lives[process.name], now)
                self._children[process.name].terminate()
            self._record()
            time.sleep(_TICK / 2)
        self._record()

    def _look_at_stopping(self, process: Process, now: float) -> None:
        life, child = self.lives[process.name], self._children.get(process.name)
        if self._signals > 1 and child is not None:
            child.kill()
        if life.state is State.STOPPING:
            self._look_at(process, now)
        elif child is not None and life.state.runs and child.poll() is not None:
            self.lives[process.name] = plan.died(plan.stopping(life, now), now)

    def _record(self) -> None:
        members = tuple(self._member(process) for process in self.processes)
        runfile.write(self.data, runfile.Run(_pid(), self._since, self.bootstrap, members))

    def _member(self, process: Process) -> runfile.Member:
        life, name = self.lives[process.name], process.name
        pid = self._children[name].pid if life.state.runs else None
        since = life.since + self._wall if life.starts else self._since
        born = self._born.get(name) if pid else None
        return runfile.Member(name, life.state, pid, born, life.restarts, since, self._exits.get(name), process.group)


def _pid() -> int:
    return psutil.Process().pid


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end_leftovers(data: Path, say: Callable[[str], None]) -> None:
    """Kill what a supervisor that was itself killed has left: the lock is ours, so nobody else owns it."""
    last = runfile.read(data)
    for member in last.members if last else ():
        left = _still_there(member)
        if left is not None:
            say(f"{member.process} was left over from the last run: killed")
            left.kill()
            left.wait(10)


def _still_there(member: runfile.Member) -> psutil.Process | None:
    try:
        process = psutil.Process(member.pid) if member.pid else None
        same = process is not None and process.create_time() == member.born
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None  # type: ignore[union-attr]
    except psutil.NoSuchProcess:
        return None
