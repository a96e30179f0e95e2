"""How often a port is read: seldom where it does as expected, at once as fast as it may where it does not.

Pure: times are given. A forecaster (`port.py`) says what a sample should be; the square of what it missed
by, a step of time, is averaged for every hour of the day and over the last few samples; their geometric mean is σ²,
which did best of those tried. Between samples k steps apart a signal that wanders by σ a
step deviates from the straight line by a variance of σ²k³/12, so for a given error of the day's total the fewest
samples are taken with k in proportion to σ^(-2/3); `tolerance` sets the proportion, in parts of the signal's level. A
sample that misses by more than SURPRISE σ, in the wandering's own √k, brings the fastest interval at once; from there
intervals at most double.

Samples fall on multiples of the point's step, and never further apart than its regulation's bounds say (HJ 212-2017
D.2: 5 s for CEMS). The day's total of a sampled signal is the trapezoid's; of a register it is the difference, exact.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

DAY_MS = 86_400_000
HOURS = 24
SURPRISE = 4.0
UNNOTICED = 0.001
"""Parts of the level that no forecast need be right to: meters are not either."""

_HOUR_WEIGHT = 0.1
_RECENT_WEIGHT = 0.3
_LEVEL_WEIGHT = 0.01


class Bounds(NamedTuple):
    """The shortest and the longest time between two samples, in ms."""

    fastest: int
    slowest: int

    def within(self, other: "Bounds") -> bool:
        """Whether every interval that these allow is allowed by `other`."""
        return other.fastest <= self.fastest <= self.slowest <= other.slowest


@dataclass(frozen=True)
class Rule:
    """How one point may be sampled: its step in ms, its regulation's bounds, the operator's in them, how exactly."""

    step: int
    regulatory: Bounds
    bounds: Bounds
    tolerance: float = 0.4

    def __post_init__(self) -> None:
        edges = (*self.regulatory, *self.bounds)
        if self.step <= 0 or any(edge <= 0 or edge % self.step for edge in edges):
            raise ValueError(f"intervals of {edges} ms are no multiples of a step of {self.step} ms")
        if not self.bounds.within(self.regulatory) or self.tolerance < 0:
            raise ValueError(f"bounds of {tuple(self.bounds)} ms are not within {tuple(self.regulatory)}")

    def narrowed(self, bounds: Bounds) -> "Rule":
        """The rule with other bounds of the operator's; both the same is a fixed frequency. Raises ValueError."""
        return replace(self, bounds=bounds)


class State(NamedTuple):
    """What is known of one port: the last sample's time, the interval and when the next is due (ms, ms UTC).

    `variance` is what forecasts missed by, squared, a step: of each hour of the day, None before its first; `recent`
    of the last few samples. `level` is the signal's mean size.
    """

    at: int
    interval: int
    due: int
    level: float = 0.0
    recent: float | None = None
    variance: tuple[float | None, ...] = (None,) * HOURS


def first(rule: Rule, at: int, value: float) -> State:
    """The state behind a port's first sample."""
    return State(at, rule.bounds.fastest, _due(rule, at, rule.bounds.fastest, at), abs(value))


def sampled(rule: Rule, state: State, at: int, value: float, expected: float, now: int, *, full: bool = False) -> State:
    """The state behind a sample, and in it when the next is due. `full` asks for as few as the bounds allow.

    `at` is the sample's time, later than the last; `now` may be later still: what was due by then is due at the
    next step.
    """
    assert at > state.at
    steps = max(1, (at - state.at) // rule.step)
    missed = (value - expected) ** 2 / steps
    known = state.variance[_hour(at)]
    usual = state.recent if known is None else known
    state = _learned(state, _hour(at), missed, abs(value), steps)
    if usual is None or missed > max(SURPRISE**2 * usual, (UNNOTICED * state.level) ** 2):
        interval = rule.bounds.fastest
    else:
        interval = min(2 * state.interval, _best(rule, state, at))
    interval = rule.bounds.slowest if full else max(rule.bounds.fastest, min(interval, rule.bounds.slowest))
    return state._replace(at=at, interval=interval, due=_due(rule, at, interval, now))


def _learned(state: State, hour: int, missed: float, size: float, steps: int) -> State:
    recent = missed if state.recent is None else _towards(state.recent, missed, _RECENT_WEIGHT)
    known = state.variance[hour]
    here = missed if known is None else _towards(known, missed, _HOUR_WEIGHT)
    variance = (*state.variance[:hour], here, *state.variance[hour + 1 :])
    level = _towards(state.level, size, 1 - (1 - _LEVEL_WEIGHT) ** steps)
    return state._replace(level=level, recent=recent, variance=variance)


def _towards(mean: float, value: float, weight: float) -> float:
    return mean + weight * (value - mean)


def _best(rule: Rule, state: State, at: int) -> int:
    """The interval for the hour that comes, in ms, a multiple of the step."""
    ahead = state.variance[_hour(at + rule.step)]
    recent = state.recent or 0.0
    sigma: float = ((recent if ahead is None else ahead) * recent) ** 0.25
    longest = rule.bounds.slowest // rule.step
    if not sigma:
        return longest * rule.step
    steps: float = (rule.tolerance * state.level / sigma) ** (2 / 3)
    return round(min(steps, longest)) * rule.step


def _hour(at: int) -> int:
    return at % DAY_MS * HOURS // DAY_MS


def _due(rule: Rule, at: int, interval: int, now: int) -> int:
    """The last multiple of the step within the interval, or where that has passed the first one from `now` on."""
    return max((at + interval) // rule.step, -(-now // rule.step)) * rule.step
