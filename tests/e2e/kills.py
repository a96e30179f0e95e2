"""kill -9 in the middle of a demonstration: which process, at which moment, is the seed's to say.

A moment is a share of the run's progress, not a time, so that it falls inside the run however busy the machine is:
0 is the first packet, 1 the last record. After it comes a random wait of less than a second, so that it falls anywhere
between two steps of the process.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.demo import parameters, scenario
from infra.demo.scenario import Expected
from tests.e2e import expected
from tests.e2e.running import DAYS, EMITTED, Service, rows, status_of

KINDS = (
    "broker",
    "schemas",
    "ingest",
    "aggregate",
    "primary",
    "backup",
    "accounts",
    "forecast",
    "sink",
    "intake",
    "gateway",
)
MEMBERS = 7
LONGEST_WAIT = 0.8
SENT_BY = 0.3
"""The share of the progress that the gateways' sending is; a gateway is killed within it."""
LATEST = 0.95


@dataclass(frozen=True)
class Kill:
    """One kill of a run. `moment` is the progress at which it is due, `wait` the seconds after that."""

    kind: str
    moment: float
    wait: float


@dataclass(frozen=True)
class Done:
    """A kill that hit."""

    kill: Kill
    process: str

    def __str__(self) -> str:
        return f"{self.process} ({self.kill.kind}) at {self.kill.moment:.2f} + {self.kill.wait:.2f} s"


def plan(seed: int, kinds: Sequence[str]) -> list[Kill]:
    """One kill of each kind, in the order of their moments. A kind's moment does not depend on the other kinds."""
    return sorted((_kill(random.Random(f"{seed} {kind}"), kind) for kind in kinds), key=lambda kill: kill.moment)


def _kill(rng: random.Random, kind: str) -> Kill:
    return Kill(kind, rng.uniform(0, SENT_BY if kind == "gateway" else LATEST), rng.uniform(0, LONGEST_WAIT))


def run(data: Path, seed: int, kinds: Sequence[str], days: int = DAYS) -> list[Done]:
    """One demonstration with a kill of each kind; what was hit. Raises AssertionError when anything is not as wanted.

    The demonstration's own checks must hold (exit code 0), and the balances are those of pandas alone.
    """
    rng, wanted, hit = random.Random(-seed), scenario.expected(parameters.load(), days), []
    with Service(data, "demo", "--days", str(days), "--quiet") as demo:
        for kill in plan(seed, kinds):
            if not _reached(demo, kill, wanted):
                break
            time.sleep(kill.wait)
            process = _hit(demo, kill.kind, rng)
            if process is not None:
                hit.append(Done(kill, process))
        code = demo.end()
        assert code == 0, f"seed {seed}, killed {'; '.join(map(str, hit))}: exit code {code}\n{demo.said[-6000:]}"
    found = rows(data, "query", EMITTED)
    assert {row["subject"]: int(row["emitted"]) for row in found} == expected.balances(days)
    return hit


def progress(data: Path, wanted: Expected) -> float:
    """How far a run is, from 0 (nothing sent) to 1 (every record certified)."""
    sent = sum(status_of(path).get("sequence", 0) for path in (data / "gateways").glob("*/progress.json"))
    members = [status_of(path) for path in (data / "members").glob("*/status.json")]
    records = max((status.get("accepted", 0) + status.get("rejected", 0) for status in members), default=0)
    return SENT_BY * sent / wanted.packets + (1 - SENT_BY) * records / wanted.records


def _reached(demo: Service, kill: Kill, wanted: Expected) -> bool:
    """Wait for the moment of a kill; False when the run has ended before."""
    while demo.runs:
        now = progress(demo.data, wanted)
        if now > 0 and now >= kill.moment:
            return True
        time.sleep(0.02)
    return False


def _hit(demo: Service, kind: str, rng: random.Random) -> str | None:
    """Kill a process of a kind that runs now; its name. None when the run ended first."""
    while demo.runs:
        for process in _candidates(demo, kind, rng):
            if demo.kill(process):
                return process
        time.sleep(0.02)
    return None


def _candidates(demo: Service, kind: str, rng: random.Random) -> Iterator[str]:
    if kind in ("primary", "backup"):
        primary = max(_views(demo.data), default=0) % MEMBERS
        others = [index for index in range(MEMBERS) if index != primary]
        yield f"member-{primary if kind == 'primary' else rng.choice(others)}"
    elif kind == "gateway":
        gateways = sorted(name for name in demo.members() if name.startswith("gateway-"))
        yield from rng.sample(gateways, len(gateways))
    else:
        yield kind


def _views(data: Path) -> list[int]:
    return [int(status_of(path).get("view", 0)) for path in (data / "members").glob("*/status.json")]
