"""Every kind of fraud and fault, planted in six weeks of a made-up stack, is told with the invariant that it breaks."""

from functools import cache

import numpy as np
import pytest

from tests.benchmarks.kinds import bases, watching
from tests.benchmarks.kinds.bases import CHANNELS, STEP_MS, Series
from tests.benchmarks.kinds.planting import KINDS, Kind, plant

DAYS, FIRST = 60, 48 * 96


@cache
def series() -> Series:
    channels = {name: np.round(of * CHANNELS[name]) for name, of in bases.plant_channels(4, DAYS).items()}
    lag = np.full(DAYS * 96, 1_500)
    lag[::3] += 700
    return Series("stack", "CEMS", STEP_MS, channels["flow"], lag, None, channels)


@cache
def warm() -> watching.Warm:
    return watching.warm(series(), [FIRST], 21 * 96)


def test_a_clean_stack_is_told_of_at_most_as_often_as_was_set() -> None:
    """39 days at one a month: chance makes five one time in a hundred. The mean of many is the bench's."""
    assert len(warm().alarms) < 5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name != "swap"], ids=lambda kind: kind.name)
def test_a_kind_is_told_as_what_it_breaks(kind: Kind) -> None:
    s = kind.severities[-1]
    told = plant(kind, s, series(), FIRST, FIRST + 8 * 96, FIRST + 9 * 96, np.random.default_rng(3))
    found = watching.first_told(series(), warm().states[FIRST], told, kind)
    assert found is not None
    step, alarm = found
    assert alarm.score > 1 and alarm.since <= alarm.at and alarm.figures["statistic"] > alarm.figures["limit"]
    assert step < 8 * 96
