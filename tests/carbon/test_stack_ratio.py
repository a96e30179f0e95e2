"""The tracked ratio on series that are made up: ratios of a plausible level and scatter, not of any plant."""

from math import exp, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon.stack_ratio import Day, Limits, Tracked, track
from carbon.stack_ratio import days as days_of

DAY = 86_400_000
CALCULATED = 10**10
BEHIND = 100
"""The day from which a made-up series is another."""


def days(ratios: list[float], hours: int = 24) -> list[Day]:
    return [Day(DAY * i, round(ratio * CALCULATED), CALCULATED, hours) for i, ratio in enumerate(ratios)]


def made_up(seed: int, count: int = 260, step: float = 1.0, drift: float = 0.0, likeness: float = 0.3) -> list[Day]:
    """A level of 0.82 with 2 % of scatter, each day like the one before by `likeness`; from BEHIND on times `step`, and
    less by `drift` each day."""
    random, off, ratios = Random(seed), 0.0, list[float]()
    for day in range(count):
        off = likeness * off + sqrt(1 - likeness**2) * random.gauss(0, 0.02)
        ratios.append(0.82 * exp(off) * (1.0 if day < BEHIND else step * (1 - drift * (day - BEHIND))))
    return days(ratios)


def changes(series: list[Day], limits: Limits = Limits()) -> list[Tracked]:
    return [one for one in track(series, limits) if one.change is not None]


def hour(at: int, count: int, quantity: int, grams: int = 0) -> dict[str, int]:
    return {"window_start": 3_600_000 * at, "count": count, "expected": 60, "quantity": quantity, "emission_g": grams}


def test_days_are_of_the_hours_that_the_stack_saw_at_the_plants_own_clock():
    # hours 14 to 17 UTC are 22, 23, 0 and 1 o'clock eight hours further east; 50 minutes of 1 kg are an hour of 60 kg
    stack = [hour(14, 60, 60_000_000), hour(15, 44, 44_000_000), hour(16, 50, 50_000_000), hour(17, 60, 60_000_000)]
    fuel = [hour(at, 60, 0, 70_000) for at in range(13, 17)] + [hour(at, 60, 0, 10_000) for at in range(13, 17)]
    east = 16 * 3_600_000
    assert days_of(stack, fuel, 480) == [Day(east - DAY, 60_000, 80_000, 1), Day(east, 120_000, 80_000, 2)]
    assert days_of(stack[::-1], fuel[::-1], 480) == days_of(stack, fuel, 480)
    assert days_of(stack, [], 0) == [Day(0, 180_000, 0, 3)]
    quarters = [hour(14, 1, 0, 20_000) | {"window_start": 14 * 3_600_000 + 900_000 * q} for q in range(4)]
    assert days_of(stack[:1], quarters, 0) == [Day(0, 60_000, 80_000, 1)]


def test_by_hand():
    # two days a deviation of 0.02 apart about ln 0.8 set the level; then −2.565 a day less 0.75 passes 8 on the fifth
    level = [0.8 * exp(0.02 / sqrt(2)), 0.8 * exp(-0.02 / sqrt(2))]
    found = list(track(days([*level, *[0.76] * 6]), Limits(days=2)))
    assert [one.level is None for one in found] == [True, True] + [False] * 6
    assert found[2].level == pytest.approx(0.8)
    assert [one.change is not None for one in found] == [False] * 6 + [True, False]
    told = found[6].change
    assert (told.since, told.before, told.after) == (2 * DAY, pytest.approx(0.8), pytest.approx(0.76))


@pytest.mark.parametrize("level", [0.7, 0.95, 1.3])
def test_a_steady_level_tells_nothing_wherever_it_is(level: float):
    assert changes(days([level] * 200)) == []
    assert changes(days([level] * 100 + [level * 0.9995] * 100)) == [], "hardly varying is no deviation of nothing"


def test_a_made_up_year_is_seldom_taken_for_a_change_and_a_step_nearly_always():
    quiet = [bool(changes(made_up(seed, 425, likeness=0.0))) for seed in range(40)]
    assert sum(quiet) <= 2
    for step in (0.95, 1.05):
        told = [
            next((one for one in changes(made_up(s, step=step)) if one.start >= BEHIND * DAY), None) for s in range(40)
        ]
        assert sum(one is not None for one in told) >= 38
        late = sorted(one.start // DAY - BEHIND + 1 for one in told if one is not None)
        assert late[len(late) // 2] <= 7
        off = sorted(abs(one.change.since // DAY - BEHIND) for one in told if one is not None)
        assert off[len(off) // 2] <= 3 and off[-1] <= 30
        for one in told:
            if one is not None:
                assert (one.change.after < one.change.before) is (step < 1)


def test_a_drift_tells_too():
    found = changes(made_up(7, drift=0.001))
    assert found and BEHIND * DAY < found[0].start < (BEHIND + 60) * DAY


def test_a_wild_day_tells_nothing():
    ratios = [0.82 * (1.01 if day % 2 else 0.99) for day in range(200)]
    for wild in (0.01, 50.0):
        ratios[120] = ratios[150] = wild
        assert changes(days(ratios)) == []


def test_days_that_cannot_be_compared_are_left_out():
    good, bad = days([0.82] * 3), [Day(0, 5, 5, 19), Day(0, 0, 5, 24), Day(0, 5, 0, 24), Day(0, -5, 5, 24)]
    assert [one.start for one in track([*bad, *good])] == [day.start for day in good]
    assert len(list(track(days([0.82], hours=20)))) == 1


def test_after_a_change_the_new_level_is_the_one():
    ratios = [0.82 * (1.01 if day % 2 else 0.99) * (1.0 if day < 100 else 0.9) for day in range(300)]
    (told,) = changes(days(ratios))
    assert told.change.since == 100 * DAY
    assert list(track(days(ratios)))[-1].level == pytest.approx(0.82 * 0.9, rel=0.01)


def test_a_change_longer_than_a_level_takes_sets_the_next_at_once():
    slow = [0.82 * (1.01 if day % 2 else 0.99) * (1.0 if day < 60 else 0.991) for day in range(300)]
    found = list(track(days(slow), Limits(days=10, slack=0.5, limit=40.0)))
    place = next(i for i, one in enumerate(found) if one.change is not None)
    assert found[place + 1].level == pytest.approx(found[place].change.after)


@given(st.integers(0, 9), st.sampled_from([0.5, 2.0]))
@settings(max_examples=10)
def test_only_the_ratio_matters_and_its_level_does_not(seed: int, times: float):
    series = made_up(seed, step=0.95)
    told = [(one.start, one.change.since) for one in changes(series)]
    both = [day._replace(measured_g=2 * day.measured_g, calculated_g=2 * day.calculated_g) for day in series]
    assert changes(both) == changes(series)
    level = [day._replace(measured_g=round(times * day.measured_g)) for day in series]
    assert [(one.start, one.change.since) for one in changes(level)] == told
