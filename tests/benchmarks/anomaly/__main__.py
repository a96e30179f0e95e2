"""Candidates and our detector on made-up streams of tuned and held-out families.

    python -m tests.benchmarks.anomaly [--seed 11] [--each 2]

The threshold is one for all streams: the best of the tuned families; "best" chooses it anew for the held-out ones.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks.anomaly.candidates import ALONE, Candidate, Scores, ours, said_once
from tests.benchmarks.anomaly.families import HELD, TUNED
from tests.benchmarks.anomaly.planting import Stream, streams
from tests.benchmarks.anomaly.scoring import at, judge


def run(candidate: Candidate, many: Sequence[Stream]) -> tuple[list[Scores], float]:
    """Scores of all streams, and values a second of CPU time."""
    began = time.process_time()
    scores = [candidate(one.times, one.values) for one in many]
    return scores, sum(map(len, scores)) / (time.process_time() - began)


def line(name: str, tuned: Sequence[Stream], held: Sequence[Stream], scores: list[list[Scores]], rate: float) -> str:
    best, other = judge(tuned, scores[0]), judge(held, scores[1])
    caught = f"{other.detected} of {other.windows}, {other.false_alarms} false"
    there = at(held, scores[1], best.threshold)
    return f"| {name} | {best.score:.1f} | {there:.1f} | {other.score:.1f} | {caught} | {rate:,.0f} |"


def lines(seed: int, each: int) -> Iterator[str]:
    tuned, held = streams(TUNED, each, seed), streams(HELD, each, seed)
    yield "| detector | tuned | held out, same threshold | held out, best | windows found, false alarms | values/s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, candidate in [("ours", ours), *ALONE.items()]:
        (first, rate), (second, _) = run(candidate, tuned), run(candidate, held)
        yield line(name, tuned, held, [first, second], rate)
        if candidate is not ours:
            once = [[said_once(one) for one in scores] for scores in (first, second)]
            yield line(f"{name}, said once", tuned, held, once, rate)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--each", type=int, default=2)
    chosen = parser.parse_args()
    for row in lines(chosen.seed, chosen.each):
        print(row, flush=True)


if __name__ == "__main__":
    main()
