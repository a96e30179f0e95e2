"""The long kill rounds: `python -m tests.soak [--rounds 20] [--seed 1] [--kind broker …]`, or `make soak`.

Each round is a whole demonstration of three days in a folder of its own, with one kill -9 of one kind of process at a
moment that the seed says; it must end with the balances that pandas alone computes. At the end sixty kills of a sink
under noisy traffic. The exit code is 1 if any round failed; a failed round's data stays, to be looked at.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.broker import Broker
from tests.e2e import kills
from tests.sinks import kill as sink_kills

SINK_ROUNDS = 60


@dataclass(frozen=True)
class Round:
    """One round: what was hit, how long it took, and why it failed if it did."""

    kind: str
    seed: int
    hit: str
    seconds: float
    failure: str = ""


def demonstration(folder: Path, kind: str, seed: int) -> Round:
    """One demonstration with one kill of a kind."""
    started, data = time.monotonic(), folder / f"{kind}-{seed}"
    try:
        hit = kills.run(data, seed, [kind])
    except AssertionError as failed:
        return Round(kind, seed, "", time.monotonic() - started, str(failed))
    shutil.rmtree(data)
    return Round(kind, seed, "; ".join(map(str, hit)) or "ended first", time.monotonic() - started)


def sink(folder: Path, seed: int) -> Round:
    """A sink of its own under noisy traffic, killed again and again."""
    started, home = time.monotonic(), folder / f"traffic-{seed}"
    home.mkdir()
    try:
        with Broker(folder / f"kafka-{seed}") as broker:
            readings = sink_kills.run(broker.bootstrap, home, seed, SINK_ROUNDS)
    except AssertionError as failed:
        return Round("sink under traffic", seed, "", time.monotonic() - started, str(failed))
    return Round("sink under traffic", seed, f"{SINK_ROUNDS} kills, {readings} readings", time.monotonic() - started)


def said(done: Round) -> Round:
    """The round, printed."""
    print(f"{done.kind:20} seed {done.seed:4} {done.seconds:6.0f} s  {done.failure or done.hit}", flush=True)
    return done


def table(rounds: Sequence[Round]) -> None:
    """What became of the rounds of each kind."""
    print(f"\n{'kind':20} {'rounds':>6} {'failed':>6} {'mean s':>7}")
    for kind in dict.fromkeys(done.kind for done in rounds):
        mine = [done for done in rounds if done.kind == kind]
        failed, seconds = sum(bool(done.failure) for done in mine), sum(done.seconds for done in mine)
        print(f"{kind:20} {len(mine):6} {failed:6} {seconds / len(mine):7.0f}")


def main() -> int:
    """Run the rounds; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=[*kills.KINDS, "traffic"])
    chosen = parser.parse_args()
    kinds = chosen.kind or [*kills.KINDS, "traffic"]
    folder = Path(tempfile.mkdtemp(prefix="carbonledger-soak-"))
    seeds = range(chosen.seed, chosen.seed + chosen.rounds)
    rounds = [said(demonstration(folder, kind, seed)) for seed in seeds for kind in kinds if kind != "traffic"]
    if "traffic" in kinds:
        rounds.append(said(sink(folder, chosen.seed)))
    table(rounds)
    if any(done.failure for done in rounds):
        print(f"the data of the failed rounds is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
