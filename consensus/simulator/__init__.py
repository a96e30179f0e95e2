"""A committee in one process under a seeded scheduler, with faults, liars and checkers. A run is a seed."""

import time
from collections.abc import Callable

from consensus.simulator.world import Outcome, Scenario, drawn, play, run

__all__ = ["Outcome", "Scenario", "drawn", "play", "run", "simulate"]

REPORT_EVERY = 100


def simulate(first: int, last: int, report: Callable[[str], None]) -> list[int]:
    """Run seeds `first` to `last`, both included; report failures and progress as lines; the seeds that failed."""
    failed = []
    began = time.monotonic()
    for seed in range(first, last + 1):
        outcome = run(seed)
        if outcome.failure:
            failed.append(seed)
            report(f"seed {seed} fails after {outcome.now} ms: {outcome.failure}")
        done = seed - first + 1
        if done % REPORT_EVERY == 0 or seed == last:
            rate = done / max(time.monotonic() - began, 1e-9)
            report(f"{done} seeds, {rate:.1f} a second, {len(failed)} failed")
    return failed
