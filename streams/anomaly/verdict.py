"""What people's verdicts on earlier alarms make of a detector's limit.

What was dismissed is usual up to a quarter more; never up to what was confirmed, and never up to the end of the
statistic's scale, so that something greater is always told.
"""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

REMEMBERED = 16
"""Alarms of one detector that a verdict may still be on."""
WIDER, CLOSER = 1.25, 0.8


class Past(NamedTuple):
    """An alarm that was raised at `at`, ms UTC: its greatest statistic before the first verdict on it, and the last
    verdict."""

    at: int
    peak: float
    confirmed: bool | None = None


def usual(past: Iterable[Past], most: float) -> float:
    """Up to where a statistic that is at most `most` is nothing, by the verdicts; 0 where none was dismissed."""
    dismissed, confirmed = [0.0], [most]
    for one in past:
        if one.confirmed is not None:
            (confirmed if one.confirmed else dismissed).append(one.peak)
    least = min(confirmed)
    return min(WIDER * max(dismissed), inf if least == inf else CLOSER * least)
