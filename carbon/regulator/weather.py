"""Heavy-pollution weather: who limits or stops what, and whether the meters show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from carbon.emission import round_half_even
from carbon.regulator.figures import Performance
from carbon.rules.weather import Weather

UNGRADED = "-"
"""Stands for a grade that isn't known."""


def measures(
    level: str, performances: Iterable[Performance], grades: Mapping[str, str], rules: Weather
) -> list[dict[str, Any]]:
    """The measures of an alert, as in schema submission-weather, one a subject, sorted.

    `level` is YELLOW, ORANGE or RED. A subject without a known grade is limited like the grade `rules.otherwise`.
    """
    rows = [_measure(level, each, grades.get(each.subject, UNGRADED), rules) for each in performances]
    return sorted(rows, key=lambda row: str(row["subject"]))


def _measure(level: str, performance: Performance, grade: str, rules: Weather) -> dict[str, Any]:
    row = {"subject": performance.subject, "grade": grade}
    if performance.sector in rules.exempt:
        return row | {"limit_percent": 100, "reason": f"{performance.sector}: {rules.exempt[performance.sector]}"}
    known = (level, grade) in rules.limits
    limit = rules.limits[level, grade if known else rules.otherwise]
    by = f"grade {grade}" if known else f"no known grade, so as grade {rules.otherwise}"
    return row | {"limit_percent": limit.percent, "reason": f"{level}, {by}: {limit.reason}"}


@dataclass(frozen=True)
class Usual:
    """What a subject's meters showed in a time to compare with: g CO2e in so many ms."""

    emission_g: int
    duration_ms: int

    def during(self, duration_ms: int, percent: int = 100) -> int:
        """So much of it for another time, g CO2e, rounded half-even. Raises ZeroDivisionError for no time."""
        return round_half_even(self.emission_g * duration_ms * percent, self.duration_ms * 100)


@dataclass(frozen=True)
class Kept:
    """Whether a subject did what it had to, as its meters show it; g CO2e."""

    subject: str
    limit_percent: int
    usual_g: int | None
    most_g: int | None
    actual_g: int | None

    @property
    def kept(self) -> bool | None:
        """None where no meter tells."""
        return None if self.most_g is None or self.actual_g is None else self.actual_g <= self.most_g

    @property
    def percent(self) -> Fraction | None:
        """Of what is usual."""
        return Fraction(100 * self.actual_g, self.usual_g) if self.actual_g is not None and self.usual_g else None


def compare(content: Mapping[str, Any], usual: Mapping[str, Usual], actual: Mapping[str, int]) -> list[Kept]:
    """The measures of a recorded alert (schema submission-weather) against what was emitted in its time."""
    duration_ms = content["end"] - content["start"]
    return [_kept(row["subject"], row["limit_percent"], duration_ms, usual, actual) for row in content["measures"]]


def _kept(subject: str, percent: int, duration_ms: int, usual: Mapping[str, Usual], actual: Mapping[str, int]) -> Kept:
    if subject not in usual:
        return Kept(subject, percent, None, None, actual.get(subject))
    before = usual[subject]
    most = before.during(duration_ms, percent)
    return Kept(subject, percent, before.during(duration_ms), most, actual.get(subject))
