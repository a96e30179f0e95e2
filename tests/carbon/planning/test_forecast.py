"""Forecasts and their intervals, on synthetic series."""

import numpy as np
import pytest

from carbon.planning import forecast as module
from carbon.planning.forecast import (
    LEAST_DAYS,
    MOST_DAYS,
    NAIVE,
    RETURNING,
    SEASONAL_NAIVE,
    Exhaustion,
    Forecast,
    Method,
    Season,
    forecast,
)
from tests.carbon.planning.series import weekly


def made(history: list[int], days: int, season: Season | None = None, method: Method = RETURNING) -> Forecast:
    told = forecast(history, days, season, method)
    assert told is not None
    return told


@pytest.mark.parametrize("method", [RETURNING, NAIVE, SEASONAL_NAIVE], ids=lambda m: m.name)
@pytest.mark.parametrize("length", [28, 59, 200, 366])
def test_a_constant_series_goes_on(method: Method, length: int) -> None:
    told = made([700] * length, 30, method=method)
    assert told.mean_g == pytest.approx(700 * np.arange(1, 31))


@pytest.mark.parametrize("length", [70, 73, 76])
@pytest.mark.parametrize("weekend", [0.0, 0.5])
@pytest.mark.parametrize("method", [RETURNING, SEASONAL_NAIVE], ids=lambda m: m.name)
def test_weekdays_keep_their_places(length: int, weekend: float, method: Method) -> None:
    """Whatever the weekday on which the history ends, the quiet days, or closed ones, come where they are due."""
    whole = weekly(length + 14, weekend=weekend)
    told = made(whole[:length], 14, method=method)
    assert np.diff(told.mean_g, prepend=0) == pytest.approx(whole[length:])


def test_the_naive_ones_are_what_they_are_called() -> None:
    history = [*range(1, 57)]
    assert np.diff(made(history, 3, method=NAIVE).mean_g, prepend=0) == pytest.approx([sum(range(29, 57)) / 28] * 3)
    again = np.diff(made(history, 9, method=SEASONAL_NAIVE).mean_g, prepend=0)
    assert again == pytest.approx([50, 51, 52, 53, 54, 55, 56, 50, 51])


def test_the_level_returns_to_the_mean_by_half_in_its_half_life() -> None:
    """24 weeks of 100, two of 200: the mean is 2800 / 26, and after 120 days half of the difference is left."""
    daily = np.diff(made([100] * 168 + [200] * 14, 121).mean_g)
    mean = (24 * 100 + 2 * 200) / 26
    assert daily[-2] == pytest.approx(mean + (200 - mean) * 0.5 ** (120 / 120))


def test_too_short_a_history_gives_none() -> None:
    assert forecast([5] * (LEAST_DAYS - 1), 10) is None
    assert forecast([5] * LEAST_DAYS, 10) is not None


def test_days_older_than_a_year_count_no_more() -> None:
    recent = weekly(MOST_DAYS, noise=0.2)
    assert made([10**12] * 14 + recent, 20).mean_g == pytest.approx(made(recent, 20).mean_g)


def test_what_never_emitted_is_forecast_at_nothing() -> None:
    told = made([0] * 100, 50)
    assert not told.mean_g.any() and not told.deviation_g.any()
    assert (told.probability(1, 50), told.probability(0, 50)) == (0.0, 1.0)


def test_without_a_past_the_declared_error_holds() -> None:
    told = made([1000] * 28, 28)
    assert told.deviation_g[-1] == pytest.approx(module.PRIOR_ERROR * 28_000)


def test_the_interval_narrows_with_a_quiet_past_and_widens_with_a_wild_one() -> None:
    def share(noise: float) -> float:
        told = made(weekly(182, noise=noise, weekend=1.0), 28)
        return float(told.deviation_g[-1] / told.mean_g[-1])

    assert share(0.0) == pytest.approx(module.PRIOR_ERROR / 5.75**0.5)  # 19 origins a week apart weigh 4.75
    assert share(0.0) < share(0.5) < share(3.0)


def test_intervals_lie_in_each_other_and_grow() -> None:
    told = made(weekly(120, noise=0.4), 200)
    (low95, high95), (low80, high80) = told.interval(95), told.interval(80)
    for path in (low95, low80, told.mean_g, high80, high95):
        assert (np.diff(path) >= 0).all() and path[0] >= 0
    assert (low95 <= low80).all() and (low80 < told.mean_g).all() and (high80 < high95).all()


def test_a_balance_runs_out_when_the_path_reaches_it() -> None:
    told = made([1000] * 56, 100)
    runs_out = told.exhaustion(50_000, 80)
    assert runs_out.expected == 50
    assert runs_out.early is not None and runs_out.late is not None and runs_out.early < 50 < runs_out.late
    assert told.exhaustion(50_001, 80).expected == 51
    assert told.exhaustion(0, 80) == told.exhaustion(-1, 80) == Exhaustion(0, 0, 0)
    assert told.exhaustion(10**9, 95) == Exhaustion(None, None, None)


def test_the_probability_is_half_where_the_path_is_and_rises_with_the_days() -> None:
    told = made([1000] * 56, 100)
    assert told.probability(50_000, 50) == pytest.approx(0.5)
    chances = [told.probability(50_000, days) for days in (0, 20, 40, 60, 100, 300)]
    assert chances == sorted(chances) and chances[0] == 0 and chances[-1] == chances[-2] > 0.99


def test_the_probability_and_the_interval_say_the_same() -> None:
    told = made(weekly(140, noise=0.3), 100)
    high = told.interval(80)[1]
    assert told.probability(round(high[59]), 60) == pytest.approx(0.1, abs=1e-4)


def test_a_season_is_taken_out_of_the_past_and_put_into_what_comes() -> None:
    """Synthetic: summer is double, and the season says so; the history holds winter alone."""
    season = Season("stated", np.ones(56), np.full(30, 2.0))
    assert made([500] * 56, 30, season).mean_g[-1] == pytest.approx(30_000)
    past = Season("stated", np.full(56, 2.0), np.ones(30))
    assert made([500] * 56, 30, past).mean_g[-1] == pytest.approx(30 * 250)


def test_the_interval_holds_what_it_promises_on_noise_that_it_was_not_made_for() -> None:
    """Synthetic: 60 series whose level walks. Of their forecasts of 90 days about four in five hold."""
    held = 0
    for seed in range(60):
        walk = np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, 272)))
        series = [round(1_000_000 * x) for x in walk]
        low, high = made(series[:182], 90).interval(80)
        held += low[-1] <= sum(series[182:]) <= high[-1]
    assert 30 <= held <= 58
