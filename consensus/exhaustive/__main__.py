"""`python -m consensus.exhaustive`: every interleaving within the bounds; exits 1 if a property breaks."""

import argparse
import sys
import time

from consensus.exhaustive.search import Search
from consensus.exhaustive.setting import MEMBERS, Bounds


def main() -> int:
    """Search the bounds of the command line, with each member as the liar if none is named."""
    parser = argparse.ArgumentParser(prog="consensus.exhaustive", description=__doc__)
    parser.add_argument(
        "--byzantine", type=int, choices=range(MEMBERS), help="the member that lies; all in turn if left out"
    )
    parser.add_argument("--views", type=int, default=2, help="views, from 0")
    parser.add_argument("--heights", type=int, default=1, help="heights, from 1")
    parser.add_argument("--checkpoints", action="store_true", help="certify heights, so that the watermark moves")
    parser.add_argument("--votes-only", action="store_true", help="judge by the votes, and apply nothing")
    parser.add_argument("--most", type=int, default=10_000_000, help="states after which a search stops")
    given = parser.parse_args()
    liars = range(MEMBERS) if given.byzantine is None else [given.byzantine]
    bounds = [Bounds(liar, given.views, given.heights, given.checkpoints, not given.votes_only) for liar in liars]
    sound = [_is_sound(each, given.most) for each in bounds]
    return 0 if all(sound) else 1


def _is_sound(bounds: Bounds, most: int) -> bool:
    began = time.process_time()
    found = Search(bounds).run(most, lambda line: print(line, file=sys.stderr, flush=True))
    print(*found.trace, sep="\n", end="\n" if found.trace else "")
    print(
        f"{bounds}: {found.states:,} states, {found.steps:,} steps, {found.local_states:,} local states, "
        f"{found.core_runs:,} runs of the core, {time.process_time() - began:.0f} s of CPU time, "
        f"{'all within the bounds' if found.complete else 'not all within the bounds'}; "
        f"{found.violation or 'nothing is broken'}",
        flush=True,
    )
    return not found.violation


if __name__ == "__main__":
    sys.exit(main())
