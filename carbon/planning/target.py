"""A subject's reduction target: the path to it, and what is left to neutrality. Integer g CO2e."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from carbon.emission import round_half_even


@dataclass(frozen=True)
class Target:
    """Years and the most that may be emitted in each, rising from the base year to the target year."""

    years: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Target":
        """The target that a submission of kind target states."""
        between = ((row["year"], row["amount_g"]) for row in content["path"])
        ends = ((content["base_year"], content["base_g"]), (content["target_year"], content["target_g"]))
        return cls((ends[0], *between, ends[1]))

    def path_g(self, year: int) -> int | None:
        """The most of a year: on a straight line between the stated years, rounded half-even, and from the last on the
        last's. None before the base year."""
        if year < self.years[0][0]:
            return None
        for (before, most), (after, then) in pairwise(self.years):
            if year < after:
                return round_half_even(most * (after - year) + then * (year - before), after - before)
        return self.years[-1][1]


@dataclass(frozen=True)
class Neutrality:
    """A year's emissions and what makes up for them, in g CO2e."""

    emissions_g: int
    reductions_g: int
    retired_g: int

    @property
    def gap_g(self) -> int:
        """What is left to neutrality: emissions less attested reductions less retired offsets; below 0 beyond it."""
        return self.emissions_g - self.reductions_g - self.retired_g
