"""How good scores are: early detection in labelled windows counts, alarms outside cost, one threshold for all streams.

Of each window only the first alarm counts, by a sigmoid of its place: nearly 1 at the window's beginning, 0 at its end;
a window without an alarm costs 1. An alarm outside costs up to 0.11, less shortly behind a window. The first 15 % of a
stream (750 points at most) are not judged. 0 is a detector that says nothing, 100 one that is perfect. The form is
that of Lavin and Ahmad 2015 (Evaluating real-time anomaly detection algorithms), standard profile.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.benchmarks.anomaly.planting import PROBATION, Stream

FALSE_ALARM = 0.11
LONGEST_PROBATION = 750


class Result(NamedTuple):
    """The best score over all thresholds, the threshold, and what it caught there."""

    score: float
    threshold: float
    detected: int
    windows: int
    false_alarms: int


def judge(streams: Sequence[Stream], scores: Sequence[Sequence[float]]) -> Result:
    """The best single threshold over all streams."""
    windows = sum(len(stream.windows) for stream in streams)
    steps = [step for stream, one in zip(streams, scores, strict=True) for step in _steps(stream, one)]
    steps.sort(key=lambda step: -step[0])
    raw, detected, alarms = -float(windows), 0, 0
    best = Result(0.0, 1.1, 0, windows, 0)
    for i, (threshold, change, found, false) in enumerate(steps):
        raw, detected, alarms = raw + change, detected + found, alarms + false
        if i + 1 < len(steps) and steps[i + 1][0] == threshold:
            continue
        value = 100 * (raw + windows) / (_most() * windows + windows)
        if value > best.score:
            best = Result(value, threshold, detected, windows, alarms)
    return best


def at(streams: Sequence[Stream], scores: Sequence[Sequence[float]], threshold: float) -> float:
    """The score at a threshold that was chosen elsewhere."""
    windows = sum(len(stream.windows) for stream in streams)
    pairs = zip(streams, scores, strict=True)
    gained = sum(step[1] for stream, one in pairs for step in _steps(stream, one) if step[0] >= threshold)
    return 100 * gained / (_most() * windows + windows)


def _steps(stream: Stream, scores: Sequence[float]) -> Iterator[tuple[float, float, int, int]]:
    """What changes when the threshold falls to a score: the sum, windows detected, false alarms."""
    first = int(min(PROBATION * len(scores), LONGEST_PROBATION))
    inside = set()
    for begin, end in stream.windows:
        inside.update(range(begin, end))
        records: list[tuple[float, float]] = []
        for place in range(max(begin, first), end):
            if not records or scores[place] > records[-1][0]:
                records.append((scores[place], _sigmoid((place - end + 1) / (end - begin))))
        worth = -1.0
        for score, value in reversed(records):
            yield score, value - worth, int(worth == -1.0), 0
            worth = value
    behind = None
    ends = {end: end - begin for begin, end in stream.windows}
    for place in range(len(scores)):
        if place in ends:
            behind = (place, ends[place])
        if place >= first and place not in inside:
            far = 1.0 if behind is None else -_sigmoid((place - behind[0] + 1) / behind[1])
            yield scores[place], -FALSE_ALARM * far, 0, 1


def _sigmoid(y: float) -> float:
    return 2 / (1 + math.exp(min(5 * y, 50.0))) - 1


def _most() -> float:
    return _sigmoid(-1.0)
