"""The figures of HJ 212-2017, D.2.2, are those of the factor table, and hold at their boundaries."""

import numpy as np
import pytest

from carbon import factors
from carbon.substitution import mean
from carbon.validity import LEAST_HOURS, LEAST_MINUTES, is_valid_day, is_valid_hour, sparse

ROWS = factors.load()


def test_the_figures_are_the_factor_tables():
    assert ROWS.row("cems_constants.min_minutes_per_hour").value == str(LEAST_MINUTES)
    assert ROWS.row("cems_constants.min_hours_per_day").value == str(LEAST_HOURS)


@pytest.mark.parametrize(
    ("count", "expected", "valid"),
    [(45, 60, True), (44, 60, False), (540, 720, True), (539, 720, False), (3, 4, True), (2, 4, False), (0, 60, False)],
)
def test_an_hour_is_valid_with_three_quarters_of_it_and_missing_without(count: int, expected: int, valid: bool):
    assert is_valid_hour(count, expected) is valid
    assert (mean(count, expected, 7 * count) == 7) is valid, "what is not valid is substituted"


@pytest.mark.parametrize("instants", [0, 11, 12, 13, 60])
def test_a_minute_is_valid_with_twelve_instants_of_its_own(instants: int):
    own = np.arange(instants) * 1000
    neighbours = np.array([-1, 60_000]), np.arange(12) * 5_000 + 120_000
    at = np.concatenate([own, *neighbours])
    assert sparse(at, 12).tolist() == [instants < 12] * instants + [True] * 2 + [False] * 12


def test_a_day_is_valid_with_twenty_hours():
    assert (is_valid_day(20), is_valid_day(19)) == (True, False)
