"""The main job: a year of real readings through the whole pipeline, watched, checked and summed up."""

import contextlib
import itertools
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from carbon import factors, signing
from infra import channel as channels
from infra import services
from infra.channel import Channel
from infra.demo import checks, forger, parameters, scenario, stated
from infra.demo.checks import Summary
from infra.demo.delivery import NotTakenError, Outgoing, deliver
from infra.demo.parameters import Parameters
from infra.demo.scenario import Expected
from infra.errors import EnvironmentFault
from infra.progress import Display, Progress, display
from infra.roles import roles_of
from infra.settings import Settings
from infra.supervisor import Supervisor
from schemas import topics

MARK = "demo.json"
MEASURED = "measured.json"
PATIENCE_SECONDS = 180.0
"""How long nothing at all may move before the run is given up."""
INTERRUPTED = 130
TABLE_TICKS = 8
"""Every how many looks the tables are asked."""


class Counts(NamedTuple):
    """How far the pipeline is, by the processes' own account."""

    readings: int
    records: int
    height: int
    arrived: int
    rejected: int


@dataclass
class Demo:
    """One run of the demonstration in a data folder."""

    settings: Settings
    declared: Parameters
    channel: Channel
    expected: Expected
    say: Callable[[str], None]
    _stored: tuple[int, int] = (0, 0)

    @property
    def _mark(self) -> Path:
        return self.settings.data / MARK

    def counts(self) -> Counts:
        """Read what gateways and members last wrote about themselves."""
        data, members = self.settings.data, []
        for index in range(len(self.channel.genesis.members)):
            members.append(_json(data / "members" / str(index) / "status.json"))
        best = max(members, key=lambda status: int(status.get("height", 0)))
        sent = [_json(path) for path in (data / "gateways").glob("*/progress.json")]
        return Counts(
            sum(status.get("readings", 0) for status in sent),
            best.get("accepted", 0) + best.get("rejected", 0),
            best.get("height", 0),
            *self._stored,
        )

    def look_at_tables(self) -> None:
        """Ask the tables how many readings and rejections have arrived there."""
        self._stored = checks.stored(self.settings)

    def run(self) -> int:
        """Bring the pipeline to its end; the exit code."""
        planned = services.plan(self.settings, self.say, roles_of(self.channel), brief=True)
        client = self.settings.client(planned.bootstrap)
        started = time.monotonic()
        with Supervisor(planned.processes, self.settings.data, self.say, planned.bootstrap) as supervisor:
            summary = None
            while summary is None:
                with supervisor.signals(), display() as shown:
                    finished = self._watch(supervisor, client, shown, started)
                if not finished:
                    self.say("Interrupted: everything stops, the data stays. The next 'demo' goes on from here.")
                    return INTERRUPTED
                seconds = time.monotonic() - started
                spent = cpu_seconds(supervisor)
                summary = self._gather(supervisor, client)
        checks.show(summary, seconds, self.settings.data, self.declared)
        (self.settings.data / MEASURED).write_text(json.dumps({"seconds": seconds, "cpu_seconds": spent}) + "\n")
        if summary.holds:
            self._mark.write_text(json.dumps({"finished": True}) + "\n")
        return 0 if summary.holds else 1

    def _gather(self, supervisor: Supervisor, client: dict[str, str]) -> Summary | None:
        """Check everything; None when a process that was asked has died meanwhile: it is started again first."""
        from sinks.clickhouse.query import QueryError

        try:
            return checks.gather(self.settings, self.channel, self.expected, client)
        except (QueryError, EnvironmentFault):
            supervisor.step()
            if supervisor.ready:
                raise
            return None

    def _watch(self, supervisor: Supervisor, client: dict[str, str], shown: Display, started: float) -> bool:
        """Step until everything has arrived; False when a signal came. Raises EnvironmentFault when nothing moves."""
        forged = submitted = False
        seen: tuple[Any, ...] = ()
        moved = time.monotonic()
        for tick in _ticks():
            if supervisor.interrupted:
                return False
            supervisor.step()
            if tick % TABLE_TICKS == 0:
                self.look_at_tables()
            counts = self.counts()
            if supervisor.ready and not forged:
                forged = self._forge(client)
            if supervisor.ready and not submitted:
                submitted = self._submit(client)
            shown.update(self._progress(counts, supervisor, time.monotonic() - started))
            if (
                supervisor.ready
                and counts.records >= self.expected.leaves
                and forged
                and submitted
                and checks.arrived(self.settings, self.channel, self.expected, counts.height)
            ):
                return True
            now = (counts, tuple(life.state for life in supervisor.lives.values()))
            if now != seen:
                seen, moved = now, time.monotonic()
            if time.monotonic() - moved > PATIENCE_SECONDS:
                where = self.settings.data / "log"
                raise EnvironmentFault(
                    f"nothing moved for {PATIENCE_SECONDS:.0f} s at {counts}: see the logs in {where}"
                )
        return False

    def _forge(self, client: dict[str, str]) -> bool:
        """Send the packets that are signed by the wrong key, once a channel; whether the broker has them.

        The forger's seed is kept: after a crash of the broker or of this run the same bytes are sent again.
        """
        sent, seed = self.settings.data / "forged", self.settings.data / "forger.seed"
        if sent.exists():
            return True
        if not seed.exists():
            _replace(seed, secrets.token_bytes(signing.SEED_BYTES))
        try:
            forger.send(self.declared, self.channel.genesis.digest, client, seed=seed.read_bytes())
        except NotTakenError as error:
            self.say(f"the forger tries again: {error}")
            return False
        sent.touch()
        return True

    def _submit(self, client: dict[str, str]) -> bool:
        """Bring what the parties state, once a channel; whether the broker has it.

        The message is kept: after a crash of the broker or of this run the same bytes are sent again, which count once.
        """
        sent, kept = self.settings.data / "submitted", self.settings.data / "submissions.message"
        if sent.exists():
            return True
        if not kept.exists():
            _replace(kept, stated.proposal(self.declared, self.channel))
        try:
            partition = self.channel.genesis.partition
            deliver(client, [Outgoing(topics.RECORDS_PROPOSED, b"submissions", kept.read_bytes(), partition)])
        except NotTakenError as error:
            self.say(f"the parties' submissions are sent again: {error}")
            return False
        sent.touch()
        return True

    def _progress(self, counts: Counts, supervisor: Supervisor, seconds: float) -> Progress:
        return Progress(
            readings=counts.readings,
            stored=counts.arrived,
            rejected=counts.rejected,
            records=counts.records,
            height=counts.height,
            lag=max(0, self.expected.leaves - counts.records),
            rate=counts.readings / seconds if seconds else 0.0,
            processes={name: life.state.value for name, life in supervisor.lives.items()},
        )


def cpu_seconds(supervisor: Supervisor) -> dict[str, float]:
    """CPU seconds of each running process since it was last started."""
    spent = {}
    for name, pid in supervisor.pids.items():
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            spent[name] = round(times.user + times.system, 2)
    return spent


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _ticks() -> Iterator[int]:
    for tick in itertools.count():
        yield tick
        time.sleep(0.25)


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def prepare(settings: Settings, days: int | None, say: Callable[[str], None]) -> Demo:
    """The demonstration of a folder: a new one, or one that was interrupted. A finished one makes room for the next.

    Raises EnvironmentFault.
    """
    if (settings.data / MARK).exists() and _json(settings.data / MARK).get("finished"):
        say(f"The last demonstration in {settings.data} was finished: it makes room for a new one.")
        shutil.rmtree(settings.data)
    declared = parameters.load()
    channel = channels.create(settings.data, declared, days)
    if channel.days != days:
        raise EnvironmentFault(
            f"{settings.data} holds a demonstration of {channel.days or 'all'} days that is not finished: "
            f"run it with the same --days, or use another folder with --data"
        )
    (settings.data / MARK).write_text(json.dumps({"finished": False}) + "\n")
    return Demo(settings, declared, channel, scenario.expected(declared, days), say)


def show_parameters(declared: Parameters) -> None:
    """Print every declared parameter."""
    from rich.console import Console

    from infra.demo.screen import screen

    Console(highlight=False).print(screen(declared, factors.load()))
