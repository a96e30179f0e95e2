"""The back-test itself, on synthetic series whose scores can be told by hand."""

import pytest

from carbon.planning import rules
from carbon.planning.backtest import ENOUGH_PERCENT, METHODS, SHORT_PERCENT, Case, cases, level_scores, score, warned
from carbon.planning.forecast import NAIVE, RETURNING, SEASONAL_NAIVE
from tests.carbon.planning.series import weekly

SHORT = rules.default().rules[0]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_constant_year_is_forecast_without_error(method: object) -> None:
    found = score(cases([1_000_000] * 365, method))  # type: ignore[arg-type]
    assert found.forecasts == 43  # days 56, 63, … 350
    assert found.dates == sum(365 * percent / 100 > origin for percent in SHORT_PERCENT for origin in range(56, 352, 7))
    assert (found.year_error, found.date_error, found.date_error_90) == pytest.approx((0, 0, 0), abs=1e-9)
    assert (found.inner_held, found.outer_held, found.date_held) == (100, 100, 100)
    assert found.inner_width > 0


def test_a_forecast_never_sees_what_comes() -> None:
    """With another future all forecasts from before it stay."""
    one, other = weekly(365, noise=0.3), weekly(365, noise=0.3)[:200] + [0] * 165
    for method in METHODS:
        told = [[case.forecast for case in cases(grams, method)] for grams in (one, other)]
        assert told[0][:21] == told[1][:21] and told[0][22:] != told[1][22:]


def test_a_level_that_doubles_is_an_error_of_half() -> None:
    """Synthetic: 100 a day, and from day 57 on 200: the first forecast says half of what comes."""
    first = cases([100] * 56 + [200] * 308, NAIVE)[0]
    assert (first.forecast, first.actual) == pytest.approx((30_800, 61_600))
    assert score([first]).year_error == pytest.approx(100 * 30_800 / 67_200)
    assert score([first]).inner_held == 0


def test_dates_beyond_the_year_count_as_the_day_after_it() -> None:
    first = cases([100] * 56 + [200] * 308, NAIVE)[0]
    # 80, 90 and 97 % of 67,200, less 5,600, at 200 a day; at 100 a day they would last beyond the 308 days
    assert [date[:2] for date in first.dates] == [(241, 309), (275, 309), (298, 309)]
    assert score([first]).date_error == pytest.approx((68 + 34 + 11) / 3)


def test_weekdays_tell_the_methods_apart() -> None:
    grams = weekly(364, weekend=0.0)
    naive, seasonal = (score(cases(grams, method)) for method in (NAIVE, SEASONAL_NAIVE))
    assert seasonal.date_error < naive.date_error
    assert score(cases(grams, RETURNING)).date_error == pytest.approx(seasonal.date_error)


def test_scores_are_shares() -> None:
    good = Case(10.0, 10, 100, (9.0, 11.0), (8.0, 12.0), ((5, 7, 4, 6),))
    bad = Case(30.0, 10, 100, (25.0, 35.0), (5.0, 40.0), ((5, 15, 12, 18),))
    found = score([good, bad])
    assert (found.year_error, found.inner_held, found.outer_held) == (10, 50, 100)
    assert found.inner_width == pytest.approx(6)
    assert (found.dates, found.date_error, found.date_held) == (2, 6, 50)
    assert found.date_error_90 == pytest.approx(9.2)


def test_levels_of_a_constant_year() -> None:
    some = warned([1_000_000] * 365, rules.default())
    assert [case.ran_out for case in some] == [True] * len(SHORT_PERCENT) + [False] * len(ENOUGH_PERCENT)
    assert some[0].taken == {"notice": [90], "warning": [60], "critical": [30], "used up": [0]}
    rows = {row.level: row for row in level_scores(some, SHORT)}
    assert (rows["notice"].ran_out, rows["notice"].warned, rows["notice"].days_before) == (3, 3, 90)
    assert (rows["notice"].lasted, rows["notice"].false, rows["used up"].false) == (2, 0, 0)
    assert all(row.again == 0 for row in rows.values())


def test_a_level_that_is_passed_over_counts_as_taken() -> None:
    """Synthetic: a jump of the level near the end takes the allowances from enough to short at once."""
    some = warned([1_000_000] * 300 + [9_000_000] * 65, rules.default())
    first = level_scores(some[:1], SHORT)
    assert [row.warned for row in first] == [1, 1, 1, 1]
    assert some[0].taken["notice"] == []
