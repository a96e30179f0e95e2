"""What is compared with: a windowed Gaussian and River's HalfSpaceTrees alone, each with hindsight.

Their limit is the one that gives exactly one false alarm a point-month on the same clean series, which nobody knows
beforehand, and whatever they tell in a stretch counts as found, for what they tell names no invariant.
"""

import copy

import numpy as np
from river import anomaly, preprocessing

from tests.benchmarks.kinds.bases import DAY_MS, Floats, Series
from tests.benchmarks.kinds.planting import Told

_WINDOW = 672


def _columns(series: Series, told: Told) -> list[Floats]:
    """What is watched: the values, or of a stack all channels with what was told of the flow."""
    return list(told.channels.values()) if told.channels else [told.value]


def windowed_gaussian(series: Series, told: Told) -> Floats:
    """Distance from the mean of the last 672 values in their deviations; the greatest of the channels."""
    before = list(series.channels.values()) if told.channels else [series.value]
    scores = np.zeros(len(told.value))
    for past, now in zip(before, _columns(series, told), strict=True):
        whole = np.concatenate([past[max(0, told.first - _WINDOW) : told.first], now])
        known = ~np.isnan(whole)
        filled = np.where(known, whole, 0.0)
        count, total, square = (np.concatenate([[0.0], np.cumsum(one)]) for one in (known, filled, filled**2))
        place = np.arange(len(whole) - len(now), len(whole))
        begin = np.maximum(0, place - _WINDOW)
        n = np.maximum(1, count[place] - count[begin])
        mean = (total[place] - total[begin]) / n
        deviation = np.sqrt(np.maximum(1e-12, (square[place] - square[begin]) / n - mean**2))
        scores = np.fmax(scores, np.where(n > 90, np.abs(now - mean) / deviation, 0))
    return scores


class HalfSpaceTrees:
    """River's, with the scaling that its documentation asks for, learning from all that it scores."""

    def __init__(self) -> None:
        self._model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(
            n_trees=10, height=8, window_size=250, seed=1
        )
        self.scores = list[float]()

    @classmethod
    def along(cls, series: Series, places: list[int]) -> "dict[int, HalfSpaceTrees]":
        """Models that have seen so many steps of a series; the last one has its scores of all of them."""
        model, made, begin = cls(), dict[int, HalfSpaceTrees](), 0
        names, columns = list(series.channels) or ["value"], list(series.channels.values()) or [series.value]
        rows = np.column_stack(columns).tolist()
        for place in places:
            model.scores += [model._next(names, row) for row in rows[begin:place]]
            begin = place
            made[place] = copy.deepcopy(model) if place < places[-1] else model
        return made

    def _next(self, names: list[str], row: list[float]) -> float:
        if row[0] != row[0]:
            return 0.0
        features = dict(zip(names, row, strict=True))
        score = float(self._model.score_one(features))
        self._model.learn_one(features)
        return score

    def go_on(self, told: Told) -> Floats:
        """The scores of what is told next; this model is left as it is."""
        model = HalfSpaceTrees()
        model._model = copy.deepcopy(self._model)
        names, columns = list(told.channels) or ["value"], list(told.channels.values()) or [told.value]
        return np.array([model._next(names, row) for row in np.column_stack(columns).tolist()])


def alarms(scores: Floats, limit: float, day: int) -> list[int]:
    """Steps at which an alarm begins: above the limit, after a day below it."""
    above = np.flatnonzero(scores > limit)
    if not len(above):
        return []
    return [int(above[0]), *above[1:][np.diff(above) > day].tolist()]


def limit_for(clean: list[tuple[Floats, Series]], months: float, per_month: float = 1.0) -> float:
    """The lowest limit that tells at most so many alarms in all of these clean scores."""
    values = np.unique(np.concatenate([scores for scores, _ in clean]))
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        told = sum(len(alarms(scores, float(values[middle]), series.day)) for scores, series in clean)
        low, high = (low, middle) if told <= per_month * months else (middle + 1, high)
    return float(values[high])


def months(series: Series, steps: int) -> float:
    """Steps as months of 30 days."""
    return steps * series.step_ms / DAY_MS / 30
