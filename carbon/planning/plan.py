"""A subject's plan of a compliance year, and what of it is due by a day. In integer g CO2e."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carbon.emission import round_half_even
from carbon.planning.days import first_of, months_of, year_of


@dataclass(frozen=True)
class Plan:
    """Twelve months each: emissions in g CO2e, and output in units of 10^-scale of `unit`; all 0 if none is stated."""

    year: int
    emission_g: tuple[int, ...]
    output: tuple[int, ...]
    product: str = ""
    unit: str = ""
    scale: int = 0

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Plan":
        """The plan that a submission of kind plan states."""
        months = content["months"]
        emissions, outputs = (tuple(month[name] for month in months) for name in ("emission_g", "output"))
        return cls(content["year"], emissions, outputs, content["product"], content["unit"], content["scale"])

    @property
    def total_g(self) -> int:
        """The whole year's emissions."""
        return sum(self.emission_g)

    def due_g(self, day: int) -> int:
        """Planned from the year's start to the end of a day: a month's share is even over its days, rounded half-even.

        0 before the year, the whole after it.
        """
        if year_of(day) != self.year:
            return self.total_g if day >= first_of(self.year) else 0
        due = 0
        for month, planned in zip(months_of(self.year), self.emission_g, strict=True):
            if day < month.stop:
                return due + round_half_even(planned * max(day + 1 - month.start, 0), len(month))
            due += planned
        return due


@dataclass(frozen=True)
class MonthOfPlan:
    """Planned and actual of one month, g CO2e, up to the last day that is known. `actual_g` is None for one to come."""

    month: int
    planned_g: int
    actual_g: int | None


def by_month(plan: Plan, year_g: Sequence[int]) -> tuple[MonthOfPlan, ...]:
    """A plan month by month beside the days of its year that are known, from the first of January on."""
    first, rows = first_of(plan.year), []
    for number, (month, planned) in enumerate(zip(months_of(plan.year), plan.emission_g, strict=True), 1):
        known = year_g[month.start - first : month.stop - first]
        rows.append(MonthOfPlan(number, planned, sum(known) if known else None))
    return tuple(rows)
