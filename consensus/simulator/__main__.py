"""`python -m consensus.simulator --seeds 0..999`: exits 1 if a seed fails."""

import argparse
import sys

from consensus.simulator import simulate


def main() -> int:
    """Run the seeds of the command line."""
    parser = argparse.ArgumentParser(prog="consensus.simulator", description=__doc__)
    parser.add_argument("--seeds", default="0..99", help="first..last, both included, or one seed")
    first, _, last = parser.parse_args().seeds.partition("..")
    return 1 if simulate(int(first), int(last or first), lambda line: print(line, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main())
