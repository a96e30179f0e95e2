"""Many seeds on all cores; a seed that fails is shown with the smallest scenario that still fails, and its end."""

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from itertools import islice
from typing import Any

from consensus.simulator.world import Outcome, Scenario, drawn, play

CHUNK = 25
"""Seeds that one process takes at a time."""
YOUNG = 20_000
"""New objects after which a process looks for garbage: a run leaves little of it until it ends."""
TRACE_LINES = 40
"""How much of the end of a failing run is shown."""


def simulate(
    first: int,
    last: int,
    report: Callable[[str], None],
    jobs: int | None = None,
    scenarios: Callable[[int], Scenario] = drawn,
) -> list[int]:
    """Run seeds `first` to `last`, both included, on `jobs` cores; report failures and progress as lines.

    `scenarios` gives what a seed stands for. Gives the seeds that failed.
    """
    failed: list[int] = []
    done, cpu_seconds, began = 0, 0.0, time.monotonic()
    chunks = [range(start, min(start + CHUNK, last + 1)) for start in range(first, last + 1, CHUNK)]
    for number, (outcomes, seconds) in enumerate(_spread(chunks, jobs or os.cpu_count() or 1, scenarios), 1):
        done, cpu_seconds = done + len(outcomes), cpu_seconds + seconds
        for outcome in outcomes:
            if outcome.failure:
                failed.append(outcome.seed)
                for line in explained(scenarios(outcome.seed)):
                    report(line)
        if number % 8 == 0 or number == len(chunks):
            rate, per_core = done / (time.monotonic() - began), done / cpu_seconds
            report(f"{done} seeds, {rate:.1f} a second, {per_core:.1f} a second of one core, {len(failed)} failed")
    return failed


def _spread(
    chunks: list[range], jobs: int, scenarios: Callable[[int], Scenario]
) -> Iterator[tuple[list[Outcome], float]]:
    """The outcomes of each chunk and the CPU seconds that they took, in the order of the chunks."""
    if jobs == 1:
        yield from (_chunk(chunk, scenarios) for chunk in chunks)
        return
    with ProcessPoolExecutor(jobs, initializer=gc.set_threshold, initargs=(YOUNG,)) as pool:
        waiting = iter(chunks)
        running = deque(pool.submit(_chunk, chunk, scenarios) for chunk in islice(waiting, 2 * jobs))
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(_chunk, chunk, scenarios) for chunk in islice(waiting, 1))


def _chunk(seeds: range, scenarios: Callable[[int], Scenario]) -> tuple[list[Outcome], float]:
    began = time.process_time()
    outcomes = [play(scenarios(seed)) for seed in seeds]
    return outcomes, time.process_time() - began


def explained(scenario: Scenario) -> list[str]:
    """What fails, the smallest scenario in which something still does, and the end of its trace."""
    failure = play(scenario).failure
    small = shrunken(scenario)
    lines: deque[str] = deque(maxlen=TRACE_LINES)
    outcome = play(small, lines.append)
    head = [f"seed {scenario.seed} fails: {failure}", f"smallest: {small}", f"which fails: {outcome.failure}"]
    return head + [f"  {line}" for line in lines]


def shrunken(scenario: Scenario) -> Scenario:
    """The scenario with whatever can be left out left out, as long as it fails."""
    found = True
    while found:
        found = False
        for simpler in _simpler(scenario):
            if play(simpler).failure:
                scenario, found = simpler, True
                break
    return scenario


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario with one thing less: a kind of fault left out, one liar less, half of the rest."""
    for field in fields(scenario):
        value = getattr(scenario, field.name)
        if field.name in ("seed", "members", "cached") or not value or (field.name, value) < ("faults_until", 400):
            continue
        lesser: list[Any] = [value[:-1]] if isinstance(value, tuple) else [type(value)(0)]
        if isinstance(value, int) and value > 1:
            lesser = [value // 2] if field.name == "faults_until" else [0, value // 2, value - 1]
        yield from (replace(scenario, **{field.name: less}) for less in lesser)
