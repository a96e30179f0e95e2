"""Validity of hours and days of a CEMS, by how much of them was measured (HJ 212-2017, D.2.2).

A minute is valid with 12 instants, an hour with 45 valid minutes, a day with 20 valid hours. A record knows how many of
the expected readings its window counts, so an hour's minutes are that share of 60: of minute values exactly the rule,
and of readings every five seconds too, where instants of other minutes aren't counted.
By hand: 540 of 720 readings of five seconds are 45 minutes, a valid hour; 539 are not.
"""

import numpy as np
from numpy.typing import NDArray

from carbon.emission import round_half_even

MINUTE_MS = 60_000

LEAST_MINUTES = 45
"""Valid minutes of a valid hour (D.2.2, equation 24; `cems_constants.min_minutes_per_hour`)."""
LEAST_HOURS = 20
"""Valid hours of a valid day (D.2.2, equation 25; `cems_constants.min_hours_per_day`)."""


def sparse(at: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Which of some instants (n,), ms UTC, lie in a minute of fewer than so many of them (D.2.2)."""
    _, minute, count = np.unique(at // MINUTE_MS, return_inverse=True, return_counts=True)
    few: NDArray[np.bool_] = (count < least)[minute]
    return few


def is_valid_hour(count: int, expected: int) -> bool:
    """Whether an hour counts readings enough of those expected."""
    return count > 0 and 60 * count >= LEAST_MINUTES * expected


def whole_hour(quantity: int, count: int, expected: int, ratio: tuple[int, int]) -> int:
    """A valid hour's quantity times a ratio, as the mean of its readings for the whole hour (equation 24), rounded
    half-even once: 50 of 60 minutes with 1,000 kg are 1,200 kg."""
    return round_half_even(quantity * expected * ratio[0], count * ratio[1])


def is_valid_day(valid_hours: int) -> bool:
    """Whether a day has valid hours enough."""
    return valid_hours >= LEAST_HOURS
