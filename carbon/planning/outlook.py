"""A subject's outlook at the end of a day: the year's end, the available balance, the plan and the target."""

from dataclasses import dataclass

from carbon.planning.days import first_of, year_of
from carbon.planning.forecast import Exhaustion, Forecast, forecast
from carbon.planning.plan import Plan
from carbon.planning.rules import Rule
from carbon.planning.season import History, Output, season_of
from carbon.planning.target import Neutrality, Target

INNER, OUTER = 80, 95
"""Probabilities of the two intervals, in percent."""


@dataclass(frozen=True)
class Stated:
    """What the books hold of a subject, in g CO2e: figures and facts that its submissions stated.

    `held_g` is None where no allowances were ever given: then there is no balance that could be short.
    """

    held_g: int | None = None
    """Allowances held."""
    obligation_g: int = 0
    """Emitted and not yet surrendered, of all years."""
    reductions_g: int = 0
    """Attested in the year."""
    retired_g: int = 0
    """Offsets retired for the year."""
    plan: Plan | None = None
    outputs: tuple[Output, ...] = ()
    target: Target | None = None

    @property
    def available_g(self) -> int | None:
        """Allowances held, less all that was emitted and not yet surrendered; below 0 when that is more."""
        return None if self.held_g is None else self.held_g - self.obligation_g


@dataclass(frozen=True)
class Outlook:
    """Where a subject stands at the end of `day`, and where it is going. g CO2e."""

    subject: str
    day: int
    emitted_g: int
    """Of the year, up to the day's end."""
    stated: Stated
    forecast: Forecast | None
    """Of the rest of the year; None while the history is too short, and at the year's end."""
    silent: int = 0
    """Sources that have told nothing for a week, whose emissions are missing."""

    @property
    def year(self) -> int:
        """The compliance year."""
        return year_of(self.day)

    @property
    def days_left(self) -> int:
        """Days of the year after this one."""
        return first_of(self.year + 1) - 1 - self.day

    def year_end_g(self) -> int | None:
        """The year's emissions as forecast."""
        if self.days_left == 0:
            return self.emitted_g
        return None if self.forecast is None else self.emitted_g + round(self.forecast.total_g(self.days_left))

    def year_end_interval_g(self, percent: int) -> tuple[int, int] | None:
        """What the year's emissions lie between with this probability."""
        if self.forecast is None:
            return None
        low, high = self.forecast.interval(percent)
        return self.emitted_g + round(float(low[-1])), self.emitted_g + round(float(high[-1]))

    def exhaustion(self) -> Exhaustion | None:
        """Days from `day` until the available balance is used up, 80 % likely; None without a balance or a forecast."""
        available = self.stated.available_g
        return None if available is None or self.forecast is None else self.forecast.exhaustion(available, INNER)

    @property
    def path_g(self) -> int | None:
        """The most that the subject's target leaves for the year."""
        return None if self.stated.target is None else self.stated.target.path_g(self.year)

    @property
    def neutrality(self) -> Neutrality:
        """The gap to neutrality of the year so far."""
        return Neutrality(self.emitted_g, self.stated.reductions_g, self.stated.retired_g)

    def budget_g(self, rule: Rule) -> int | None:
        """What is left of the budget that a rule watches."""
        if rule.kind == "balance_short":
            return self.stated.available_g
        plan = self.stated.plan
        if plan is None or plan.year != self.year:
            return None
        return plan.total_g * (100 + rule.margin_percent) // 100 - self.emitted_g

    def probability(self, budget_g: int, lead_days: int | None) -> float:
        """That a budget is used up within so many days, at most the rest of the year."""
        if self.forecast is None:
            return float(budget_g <= 0)
        return self.forecast.probability(budget_g, self.days_left if lead_days is None else lead_days)


def look(subject: str, history: History, stated: Stated, silent: int = 0) -> Outlook:
    """The outlook after the last day of a history."""
    day = history.day
    left = first_of(year_of(day) + 1) - 1 - day
    read, season = season_of(history, left, stated.plan, stated.outputs)
    emitted = sum(history.since(first_of(year_of(day))).grams)
    return Outlook(subject, day, emitted, stated, forecast(read.grams, left, season) if left else None, silent)
