"""`make scenarios`: every scenario, one after the other, and a table of what each cost.

    python -m tests.scenarios [--only NAME …] [--seed N] [--long]

Exit code 1 if any failed (its data stays, to be looked at), 130 on Ctrl-C.
"""

import argparse
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.scenarios.catalogue import SCENARIOS, Outcome, play

HEAD = f"{'scenario':20} {'blocks':>6} {'records':>7} {'lost':>4} {'longest gap s':>13} {'recovered in s':>14}"


def line(done: Outcome) -> str:
    """An outcome as a row of the table."""
    times = f"{done.longest_gap:13.1f} {done.recovered:14.1f}"
    return f"{done.name:20} {done.blocks:6} {done.records:7} {done.lost:4} {times}"


def main() -> int:
    """Play the scenarios; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=SCENARIOS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="longer faults, and more of them")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="carbonledger-scenarios-"))
    print(HEAD, flush=True)
    try:
        passed = [_passes(folder / name, chosen.seed, long=chosen.long) for name in chosen.only or SCENARIOS]
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    if not all(passed):
        return 1
    shutil.rmtree(folder)
    return 0


def _passes(data: Path, seed: int, *, long: bool) -> bool:
    """Play the scenario that a folder is named after; whether it passed."""
    try:
        print(line(play(data.name, data, seed, long=long)), flush=True)
    except Exception:
        print(f"{data.name:20} FAILED, seed {seed}, data in {data}\n{traceback.format_exc(limit=-2)}", flush=True)
        return False
    shutil.rmtree(data)
    return True


if __name__ == "__main__":
    sys.exit(main())
