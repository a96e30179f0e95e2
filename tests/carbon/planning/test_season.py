"""What a plan, its output and the year before say of the days to come. Synthetic series."""

import numpy as np
import pytest

from carbon.planning.days import first_of, months_of
from carbon.planning.forecast import forecast
from carbon.planning.plan import Plan
from carbon.planning.season import History, Output, season_of

JANUARY = first_of(2023)
EVEN = tuple(31 for _ in range(12))


def plan(emissions: tuple[int, ...] = EVEN, output: tuple[int, ...] = (0,) * 12) -> Plan:
    return Plan(2023, emissions, output)


def told(history: History, days: int, *more: object) -> float:
    read, season = season_of(history, days, *more)  # type: ignore[arg-type]
    assert len(season.past) == len(read.grams) and len(season.coming) == days
    ahead = forecast(read.grams, days, season)
    assert ahead is not None
    return ahead.total_g(days)


def test_a_planned_shutdown_is_forecast() -> None:
    """Half as much is planned for the second half of the year: its days are forecast at half of the first's."""
    halves = tuple(len(month) * (20 if number < 6 else 10) for number, month in enumerate(months_of(2023)))
    history = History(JANUARY, [800] * 181)
    assert told(history, 184, plan(halves)) == pytest.approx(184 * 400)
    assert told(history, 184) == pytest.approx(184 * 800)


def test_the_level_is_measured_whatever_the_plan_says() -> None:
    flat = tuple(len(month) for month in months_of(2023))
    for times in (1, 1_000):
        assert told(History(JANUARY, [800] * 90), 30, plan(tuple(times * g for g in flat))) == pytest.approx(24_000)


def test_planned_output_goes_before_planned_emissions() -> None:
    output = tuple(len(month) * (2 if number < 3 else 1) for number, month in enumerate(months_of(2023)))
    history = History(JANUARY, [600] * 90)
    assert told(history, 30, plan(EVEN, output)) == pytest.approx(30 * 300)
    assert season_of(history, 30, plan(EVEN, output))[1].source == "planned output"
    assert season_of(history, 30, plan())[1].source == "planned emissions"


def test_recorded_output_takes_the_place_of_what_was_planned() -> None:
    """Twice the planned output went out with 600 g a day: what is planned for April makes 300."""
    output = tuple(len(month) for month in months_of(2023))
    recorded = (Output(JANUARY, JANUARY + 90, 180),)
    assert told(History(JANUARY, [600] * 90), 30, plan(EVEN, output), recorded) == pytest.approx(30 * 300)


def test_output_beyond_the_year_and_of_other_years_changes_nothing() -> None:
    output = tuple(len(month) for month in months_of(2023))
    history = History(JANUARY, [600] * 90)
    beyond = (Output(JANUARY - 60, JANUARY - 30, 9_999), Output(first_of(2024), first_of(2024) + 5, 9_999))
    assert told(history, 30, plan(EVEN, output), beyond) == told(history, 30, plan(EVEN, output))


def test_a_plan_that_the_history_hardly_touches_is_left_aside() -> None:
    history = History(JANUARY - 60, [800] * (60 + 27))
    assert season_of(history, 30, plan())[1].source == "none"
    assert season_of(History(JANUARY - 60, [800] * 88), 30, plan())[1].source == "planned emissions"
    assert season_of(history, 30, Plan(2022, EVEN, EVEN))[1].source == "none"


def test_an_empty_plan_says_nothing() -> None:
    assert season_of(History(JANUARY, [800] * 90), 30, plan((0,) * 12))[1].source == "none"


def test_a_month_without_plan_does_not_divide_by_nothing() -> None:
    months = (0, *EVEN[1:])
    assert np.isfinite(told(History(JANUARY, [800] * 31), 59, plan(months)))


def test_the_year_before_is_followed() -> None:
    """A winter three times as high as the summer, then half a year of the same at a half: so is what comes."""
    course = [round(2_000 + 1_000 * np.cos(day / 364 * 2 * np.pi)) for day in range(364)]
    history = History(JANUARY, course + [grams // 2 for grams in course[:91]])
    assert season_of(history, 180)[1].source == "year before"
    assert told(history, 180) == pytest.approx(sum(course[91:271]) / 2, rel=0.03)
    assert told(history.since(JANUARY + 364), 180) > 1.5 * told(history, 180)


def test_the_year_before_needs_four_weeks_of_this_one() -> None:
    assert season_of(History(JANUARY, [5] * (364 + 27)), 9)[1].source == "none"
    read, season = season_of(History(JANUARY, [5] * (364 + 28)), 9)
    assert (season.source, len(read.grams), read.first) == ("year before", 28, JANUARY + 364)


def test_a_year_of_nothing_before_does_not_divide_by_nothing() -> None:
    history = History(JANUARY, [0] * 364 + [700] * 40)
    assert np.isfinite(told(history, 300))
