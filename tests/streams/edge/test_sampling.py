"""Sampling: bounds that always hold, a step that is seen at the next sample, few samples of what is predictable."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.edge.port import MAX_FILL, Port
from streams.edge.sampling import Bounds, Rule, first, sampled

STEP = 1_000
CEMS = Bounds(STEP, 5 * STEP)
WIDE = Bounds(STEP, 64 * STEP)
T = 1_600_000_000_000


def rule(bounds: Bounds = CEMS, tolerance: float = 0.3) -> Rule:
    return Rule(STEP, bounds, bounds, tolerance)


VALUE = st.floats(-1e12, 1e12) | st.integers(-3, 3).map(float)


@settings(max_examples=50)
@given(
    st.integers(1, 8),
    st.integers(0, 30),
    st.floats(0, 10),
    st.lists(st.tuples(VALUE, VALUE, st.booleans()), min_size=1, max_size=25),
)
def test_bounds_are_never_violated(
    fastest: int, more: int, tolerance: float, samples: list[tuple[float, float, bool]]
) -> None:
    bounds = Bounds(fastest * STEP, (fastest + more) * STEP)
    state = first(rule(bounds, tolerance), T, samples[0][0])
    assert state.due - T == bounds.fastest
    for value, expected, full in samples:
        at = state.due
        state = sampled(rule(bounds, tolerance), state, at, value, expected, at, full=full)
        assert bounds.fastest <= state.due - at <= bounds.slowest and state.due % STEP == 0
        assert not full or state.due - at == bounds.slowest


@given(st.integers(0, STEP - 1), st.integers(0, 20 * STEP))
def test_what_comes_late_is_followed_at_the_next_step(off: int, late: int) -> None:
    at = T + off
    state = sampled(rule(), first(rule(), T - 5 * STEP, 1.0), at, 1.0, 1.0, at + late)
    assert state.due % STEP == 0 and state.due > at
    assert state.due <= at + CEMS.slowest or state.due < at + late + STEP, "the bound, or as soon as can be"
    assert state.due >= at + late


def settled(one: Port, at: int = T, value: float = 100.0, samples: int = 40) -> int:
    """Feed a steady value until the port is read as seldom as it may be."""
    rng = random.Random(1)
    for _ in range(samples):
        at = one.sample(at, value + rng.gauss(0, 0.01), at)
    assert one.state is not None and one.state.interval == one.rule.bounds.slowest
    return at


def test_a_step_is_seen_at_the_next_sample_and_sampled_fast_from_there() -> None:
    one = Port(rule(WIDE))
    at = settled(one)
    assert one.sample(at, 150.0, at) == at + WIDE.fastest
    assert one.state is not None and one.state.interval == WIDE.fastest


def test_a_port_that_can_not_be_foreseen_is_read_fast() -> None:
    one, at, rng = Port(rule(WIDE)), T, random.Random(2)
    samples = 0
    while at < T + 3_000 * STEP:
        at, samples = one.sample(at, rng.choice([0.0, 100.0, 1_000.0]), at), samples + 1
    assert samples > 2_000


def test_a_smooth_signal_is_read_seldom_and_its_total_kept() -> None:
    one, at, places = Port(rule(WIDE)), T, [0]
    signal = [100 + 20 * math.sin(n / 600) for n in range(20_000)]
    while (place := (at - T) // STEP) < len(signal):
        places.append(place)
        at = one.sample(at, signal[place], at)
    total = sum((signal[a] + signal[b]) / 2 * (b - a) for a, b in pairwise(places))
    assert len(places) < len(signal) / 2
    assert abs(total / sum(signal[: places[-1]]) - 1) < 0.005


def test_intervals_at_most_double() -> None:
    one, at, before = Port(rule(WIDE)), T, STEP
    for _ in range(30):
        due = one.sample(at, 100.0, at)
        assert due - at <= 2 * before
        at, before = due, due - at
    assert before == WIDE.slowest, "what does not change at all is read as seldom as it may be"


def test_a_full_store_slows_down_even_what_steps() -> None:
    one = Port(rule(WIDE))
    at = settled(one)
    assert one.sample(at, 900.0, at, full=True) == at + WIDE.slowest


def test_a_commanded_frequency_is_kept_to() -> None:
    one, rng, at = Port(rule(CEMS).narrowed(Bounds(3 * STEP, 3 * STEP))), random.Random(3), T
    for _ in range(20):
        due = one.sample(at, rng.random(), at)
        assert due - at == 3 * STEP
        at = due


@pytest.mark.parametrize(
    "bounds", [Bounds(0, STEP), Bounds(STEP, 6 * STEP), Bounds(3 * STEP, 2 * STEP), Bounds(STEP, 1_500)]
)
def test_bounds_outside_the_regulation_are_refused(bounds: Bounds) -> None:
    with pytest.raises(ValueError):
        rule().narrowed(bounds)


@pytest.mark.parametrize("step", [0, -STEP, 7])
def test_a_step_that_does_not_fit_is_refused(step: int) -> None:
    with pytest.raises(ValueError):
        Rule(step, CEMS, CEMS)
    with pytest.raises(ValueError):
        Rule(STEP, CEMS, CEMS, tolerance=-0.1)


def test_behind_a_long_gap_the_forecaster_begins_again() -> None:
    class Counted:
        learned = 0

        def learn_one(self, y: float) -> None:
            self.learned += 1

        def forecast(self, horizon: int) -> list[float]:
            return [0.0] * horizon

    made = list[Counted]()

    def new() -> Counted:
        made.append(Counted())
        return made[-1]

    one = Port(rule(WIDE), new)
    one.sample(T, 1.0, T)
    one.sample(T + MAX_FILL * STEP, 1.0, T + MAX_FILL * STEP)
    assert [model.learned for model in made] == [1 + MAX_FILL], "the steps between are filled for the model alone"
    one.sample(T + 10_000_000 * STEP, 1.0, T + 10_000_000 * STEP)
    assert [model.learned for model in made] == [1 + MAX_FILL, 1]


def test_a_straight_line_is_no_surprise() -> None:
    one, at = Port(rule(WIDE)), T
    for _ in range(160):
        at = one.sample(at, 182.40766578755574 * (at - T) / STEP, at)
    assert at > T + 2 * 3_600_000, "through three hours of the day"
    assert one.state is not None and one.state.interval == WIDE.slowest
