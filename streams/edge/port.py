"""A port of a gateway: an online forecaster (River) on the point's steps, and the controller of its sampling."""

from collections.abc import Callable
from typing import Protocol

from river.time_series import HoltWinters

from streams.edge.sampling import Rule, State, first, sampled

MAX_FILL = 96
"""Steps that a forecaster is led across; behind a longer gap it begins again."""
_WARM = 3


class Forecaster(Protocol):
    """What River's models of time series are to a port."""

    def learn_one(self, y: float) -> None:
        """Learn the value one step further."""

    def forecast(self, horizon: int) -> list[float]:
        """The values of the next `horizon` steps."""


def trend() -> Forecaster:
    """Level and trend, smoothed: as good as any of those measured in docs/sampling.md and among the cheapest."""
    model: Forecaster = HoltWinters(alpha=0.8, beta=0.1)  # type: ignore[no-untyped-call]
    return model


class Port:
    """One port: a forecaster on the point's steps beside the controller's state. After a restart both learn anew."""

    def __init__(self, rule: Rule, forecaster: Callable[[], Forecaster] = trend) -> None:
        self.rule = rule
        self.state: State | None = None
        self._new = forecaster
        self._begin()

    def _begin(self) -> None:
        self._model = self._new()
        self._value = 0.0
        self._learned = 0

    def sample(self, at: int, value: float, now: int, *, full: bool = False) -> int:
        """Take a sample at `at`, ms UTC; returns when the next is due."""
        state = self.state
        if state is None:
            self.state = first(self.rule, at, value)
        else:
            steps = max(1, (at - state.at) // self.rule.step)
            self.state = sampled(self.rule, state, at, value, self._expected(steps), now, full=full)
            self._lead(value, steps)
        self._learn(value)
        return self.state.due

    def _expected(self, steps: int) -> float:
        """What a sample `steps` after the last should be: the last one, until the model has seen enough to say."""
        if self._learned < _WARM or steps > MAX_FILL:
            return self._value
        return float(self._model.forecast(horizon=steps)[-1])

    def _lead(self, value: float, steps: int) -> None:
        """Lead the model over the steps that were not sampled by a straight line, which nobody else ever sees."""
        if steps > MAX_FILL:
            self._begin()
            return
        rise = (value - self._value) / steps
        for step in range(1, steps):
            self._model.learn_one(self._value + rise * step)

    def _learn(self, value: float) -> None:
        self._model.learn_one(value)
        self._value = value
        self._learned += 1
