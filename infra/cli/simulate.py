"""`carbonledger simulate`: many seeds of the committee's simulator."""

from typing import Annotated

import typer

CHECK_FAILED = 1


def simulate(seeds: Annotated[str, typer.Option(help="First and last seed, as A..B.")] = "0..1000") -> None:
    """Run the committee under faults, a seed at a time on each core; a failing seed replays exactly.

    Whole committees in one process: real signatures, crashes, loss, reordering, partitions, members that lie. Of a
    seed that fails, the smallest scenario that still fails is printed, with the end of its trace.

    \b
      carbonledger simulate --seeds 0..10000
      carbonledger simulate --seeds 4711..4711
    """
    from consensus.simulator import simulate as run

    first, mark, last = seeds.partition("..")
    if not mark or not first.isdecimal() or not last.isdecimal():
        raise typer.BadParameter("seeds are A..B, for example 0..1000")
    if run(int(first), int(last), print):
        raise typer.Exit(CHECK_FAILED)
