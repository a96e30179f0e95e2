"""A scale of outcomes, best first, and the criteria that place a subject on it: colours, grades.

Each criterion looks at one figure and finds an outcome for it; the worst of them is the subject's.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from carbon.rules.fields import RuleError, decimal, distinct, fields_of, known

FIGURES = {
    "intensity_to_peers": "emission per output, to that of all with the same product",
    "intensity_to_year_before": "emission per output, to the subject's own in the year before",
    "emission_to_plan": "emission, to what was planned for the same time",
    "cover": "allowances held, to what is still to be surrendered",
    "substituted": "share of the emission that was substituted for missing hours",
    "missed_surrenders": "surrenders missed or short in the years looked at",
    "false_data": "decisions on false data in the years looked at",
}
"""What a criterion may look at; all are plain ratios or counts."""


@dataclass(frozen=True)
class Band:
    """An outcome, and how far its figure may go; the last band of a criterion has no bound."""

    outcome: str
    at_most: Fraction | None
    at_least: Fraction | None

    def holds(self, value: Fraction) -> bool:
        """Whether the figure is within."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is None or value >= self.at_least

    @classmethod
    def read(cls, raw: Any, outcomes: tuple[str, ...]) -> "Band":
        """Of a table. Raises RuleError."""
        row = fields_of(raw, {"outcome": str}, {"at_most": str, "at_least": str})
        bounds = [None if row[name] is None else decimal(row[name]) for name in ("at_most", "at_least")]
        return cls(known(row["outcome"], outcomes, "outcome"), *bounds)


@dataclass(frozen=True)
class Criterion:
    """One figure, its bands, best first, and why it counts. Without a required one nothing speaks for a subject."""

    figure: str
    reason: str
    bands: tuple[Band, ...]
    required: bool

    @classmethod
    def read(cls, raw: Any, outcomes: tuple[str, ...]) -> "Criterion":
        """Of a table. Raises RuleError."""
        row = fields_of(raw, {"figure": str, "reason": str, "bands": list}, {"required": bool})
        bands = tuple(Band.read(band, outcomes) for band in row["bands"])
        figure = known(row["figure"], FIGURES, "figure")
        _check_order(figure, bands, outcomes)
        return cls(figure, row["reason"], bands, bool(row["required"]))


def _check_order(figure: str, bands: tuple[Band, ...], outcomes: tuple[str, ...]) -> None:
    """Bands go from the best outcome to a worse one, all but the last with a bound, and all of one direction."""
    *bounded, last = bands or (None,)
    if last is None or last.at_most is not None or last.at_least is not None:
        raise RuleError(f"{figure}: the last band has no bound")
    places = [outcomes.index(band.outcome) for band in bands]
    upper = [band.at_most for band in bounded if band is not None and band.at_most is not None]
    lower = [band.at_least for band in bounded if band is not None and band.at_least is not None]
    if len(upper) + len(lower) != len(bounded) or (upper and lower):
        raise RuleError(f"{figure}: each band but the last has at_most, or each at_least")
    if places != sorted(set(places)) or upper != sorted(set(upper)) or lower != sorted(set(lower), reverse=True):
        raise RuleError(f"{figure}: its bands go from the best outcome to the worst")


@dataclass(frozen=True)
class Scale:
    """Outcomes, best first; what stands for a subject of whom fewer than `least_known` figures are known."""

    standing: str
    outcomes: tuple[str, ...]
    unknown: str
    least_known: int
    criteria: tuple[Criterion, ...]

    @classmethod
    def read(cls, raw: Any) -> "Scale":
        """Of a table. Raises RuleError."""
        row = fields_of(raw, {"standing": str, "outcomes": list, "unknown": str, "least_known": int, "criteria": list})
        outcomes = tuple(row["outcomes"])
        if any(type(name) is not str for name in outcomes) or row["unknown"] in outcomes:
            raise RuleError("outcomes are names, and unknown is another one")
        distinct(outcomes, "outcome")
        criteria = tuple(Criterion.read(criterion, outcomes) for criterion in row["criteria"])
        distinct((criterion.figure for criterion in criteria), "figure")
        if not 1 <= row["least_known"] <= len(criteria):
            raise RuleError(f"least_known is from 1 to the {len(criteria)} criteria")
        return cls(row["standing"], outcomes, row["unknown"], row["least_known"], criteria)
