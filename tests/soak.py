"""The long kill rounds: `python -m tests.soak [--rounds 20] [--seed 1] [--kind broker …]`, or `make soak`.

Each round is a whole demonstration of three days in a folder of its own, with one kill -9 of every kind of process at
moments that the seed says; it must end with the balances that pandas alone computes. So twenty rounds are twenty kills
of each kind. A kill whose moment came when the run had ended doesn't count: further seeds are played for the kinds
that lack one. At the end sixty kills of a sink under noisy traffic, two hundred of a live gateway under devices, and
fifty of a live gateway, the workers, members and the broker behind it, one after the other in one running pipeline.

The exit code is 1 if a round failed or a kind still lacks kills, 130 after Ctrl-C; a failed round's data stays, to be
looked at.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.broker import Broker
from tests.e2e import kills, live
from tests.sinks import kill as sink_kills
from tests.streams.edge import kills as edge_kills

TRAFFIC, DEVICES, LIVE = "traffic", "devices", "live"
SINK_ROUNDS = 60
EDGE_ROUNDS = 200
LIVE_ROUNDS = 50
INTERRUPTED = 130


@dataclass(frozen=True)
class Round:
    """One round: the kinds that it was to kill, those that it hit, how long it took, and why it failed if it did."""

    home: Path
    seed: int
    kinds: tuple[str, ...]
    hit: tuple[str, ...]
    said: str
    seconds: float
    failure: str = ""

    @property
    def late(self) -> list[str]:
        """The kinds whose moment came too late."""
        return [] if self.failure else [kind for kind in self.kinds if kind not in self.hit]


def demonstration(folder: Path, seed: int, kinds: Sequence[str]) -> Round:
    """One demonstration with one kill of each of these kinds."""
    started, home = time.monotonic(), folder / str(seed)
    try:
        hit = kills.run(home / "ledger", seed, kinds)
    except AssertionError as failed:
        return Round(home, seed, tuple(kinds), (), "", time.monotonic() - started, str(failed))
    shutil.rmtree(home)
    said = "; ".join(map(str, hit))
    return Round(home, seed, tuple(kinds), tuple(done.kill.kind for done in hit), said, time.monotonic() - started)


def sink(folder: Path, seed: int) -> Round:
    """A sink of its own under noisy traffic, killed again and again."""
    started, home = time.monotonic(), folder / TRAFFIC
    home.mkdir()
    try:
        with Broker(home / "kafka") as broker:
            readings = sink_kills.run(broker.bootstrap, home, seed, SINK_ROUNDS)
    except AssertionError as failed:
        return Round(home, seed, (TRAFFIC,), (), "", time.monotonic() - started, str(failed))
    said = f"{SINK_ROUNDS} kills of a sink under traffic, {readings} readings"
    return Round(home, seed, (TRAFFIC,), (TRAFFIC,) * SINK_ROUNDS, said, time.monotonic() - started)


def edge(folder: Path, seed: int) -> Round:
    """A live gateway under devices that send again what was not answered, killed again and again."""
    started, home = time.monotonic(), folder / DEVICES
    home.mkdir()
    try:
        found = asyncio.run(edge_kills.campaign(home, seed, EDGE_ROUNDS))
    except (AssertionError, TimeoutError) as failed:
        return Round(home, seed, (DEVICES,), (), "", time.monotonic() - started, repr(failed))
    said = f"{EDGE_ROUNDS} kills of a live gateway, {found.answered} readings answered, each in one packet"
    return Round(home, seed, (DEVICES,), (DEVICES,) * EDGE_ROUNDS, said, time.monotonic() - started)


def pipeline(folder: Path, seed: int) -> Round:
    """A live gateway under loggers and all that is behind it, killed again and again."""
    started, home = time.monotonic(), folder / LIVE
    home.mkdir()
    try:
        found = asyncio.run(live.campaign(home, seed, LIVE_ROUNDS))
    except AssertionError as failed:
        return Round(home, seed, (LIVE,), (), "", time.monotonic() - started, str(failed))
    said = (
        f"{', '.join(f'{count} of {kind}' for kind, count in found.kills.items())} killed, {found.answered} readings "
    )
    said += f"answered, each in one of {found.windows} windows or {found.dead_letters} dead letters"
    return Round(home, seed, (LIVE,), (LIVE,) * LIVE_ROUNDS, said, time.monotonic() - started)


def rounds(
    play: Callable[[int, Sequence[str]], Round], kinds: Sequence[str], wanted: int, first: int
) -> Iterator[Round]:
    """One seed after the other until each kind was hit as often as wanted; at most twice as many rounds."""
    hits: Counter[str] = Counter()
    for seed in range(first, first + 2 * wanted):
        lacking = [kind for kind in kinds if hits[kind] < wanted]
        if not lacking:
            return
        done = play(seed, lacking)
        hits.update(done.hit)
        yield done


def printed(done: Round) -> Round:
    """The round, printed."""
    late = f"; too late: {', '.join(done.late)}" if done.late else ""
    print(f"seed {done.seed:4} {done.seconds:6.0f} s  {done.failure or done.said + late}", flush=True)
    return done


def table(done: Sequence[Round]) -> None:
    """What became of the rounds: for each kind how many kills hit, and how many came too late."""
    failed, seconds = sum(bool(one.failure) for one in done), sum(one.seconds for one in done)
    print(f"\n{len(done)} rounds, {failed} failed, {seconds:.0f} s\n\n{'kind':12} {'hit':>4} {'late':>5}")
    hit, late = (Counter(kind for one in done for kind in getattr(one, name)) for name in ("hit", "late"))
    for kind in dict.fromkeys(kind for one in done for kind in one.kinds):
        print(f"{kind:12} {hit[kind]:4} {late[kind]:5}")


def complete(done: Sequence[Round], kinds: Sequence[str], wanted: int) -> bool:
    """Whether no round failed and every kind was hit as often as wanted."""
    hit = Counter(kind for one in done for kind in one.hit)
    return not any(one.failure for one in done) and all(hit[kind] >= wanted for kind in kinds)


def clear(folder: Path, done: Sequence[Round]) -> None:
    """Remove everything but the data of the failed rounds."""
    kept = {one.home for one in done if one.failure}
    for home in folder.iterdir():
        if home not in kept:
            shutil.rmtree(home)
    if kept:
        print(f"the data of the failed rounds is in {folder}")
    else:
        folder.rmdir()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=[*kills.KINDS, TRAFFIC, DEVICES, LIVE])
    chosen = parser.parse_args(arguments)
    kinds = chosen.kind or [*kills.KINDS, TRAFFIC, DEVICES, LIVE]
    killed = [kind for kind in kinds if kind in kills.KINDS]
    folder, done = Path(tempfile.mkdtemp(prefix="carbonledger-soak-")), list[Round]()
    try:
        for one in rounds(partial(demonstration, folder), killed, chosen.rounds, chosen.seed):
            done.append(printed(one))
        if TRAFFIC in kinds:
            done.append(printed(sink(folder, chosen.seed)))
        if DEVICES in kinds:
            done.append(printed(edge(folder, chosen.seed)))
        if LIVE in kinds:
            done.append(printed(pipeline(folder, chosen.seed)))
        code = 0 if complete(done, kinds, chosen.rounds) else 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    table(done)
    clear(folder, done)
    return code


if __name__ == "__main__":
    sys.exit(main())
