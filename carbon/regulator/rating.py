"""Grades and colours: the worst outcome of a scale's criteria, with the figures that made it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from carbon.regulator.figures import Performance, decimal, figures, peers
from carbon.rules.scale import Band, Criterion, Scale


@dataclass(frozen=True)
class Finding:
    """What one criterion says; neither figure nor outcome where the figure is not known."""

    figure: str
    value: Fraction | None
    outcome: str | None
    bounds: str
    reason: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.figure}: not known"
        return f"{self.figure} {decimal(self.value)} ({self.bounds}): {self.outcome}. {self.reason}"


@dataclass(frozen=True)
class Rating:
    """A subject's place on a scale, and every finding, those that decided first."""

    subject: str
    outcome: str
    findings: tuple[Finding, ...]

    @property
    def deciding(self) -> tuple[Finding, ...]:
        """The findings that made the outcome; those that are known where there were too few."""
        made = tuple(finding for finding in self.findings if finding.outcome == self.outcome)
        return made or tuple(finding for finding in self.findings if finding.outcome is not None)

    @property
    def reasons(self) -> str:
        """The outcome in words."""
        return "; ".join(map(str, self.deciding)) or "no figure is known"


def rate(subject: str, known: Mapping[str, Fraction], scale: Scale) -> Rating:
    """Place a subject on a scale by its figures: the worst outcome counts, `unknown` where too little is known.

    Without a required figure nothing speaks for a subject, but what speaks against it counts.
    """
    required = {criterion.figure for criterion in scale.criteria if criterion.required}
    findings = [_finding(criterion, known.get(criterion.figure)) for criterion in scale.criteria]
    places = [scale.outcomes.index(finding.outcome) for finding in findings if finding.outcome is not None]
    enough = len(places) >= scale.least_known and (required <= known.keys() or max(places) > 0)
    outcome = scale.outcomes[max(places)] if enough else scale.unknown
    return Rating(subject, outcome, tuple(sorted(findings, key=lambda finding: finding.outcome != outcome)))


def ratings(performances: Iterable[Performance], scale: Scale) -> dict[str, Rating]:
    """The ratings of subjects that are each other's peers, by subject."""
    subjects = list(performances)
    references = peers(subjects)
    return {each.subject: rate(each.subject, figures(each, references), scale) for each in subjects}


def _finding(criterion: Criterion, value: Fraction | None) -> Finding:
    if value is None:
        return Finding(criterion.figure, None, None, "", criterion.reason)
    place = next(place for place, band in enumerate(criterion.bands) if band.holds(value))
    bounds = _bounds(criterion.bands, place)
    return Finding(criterion.figure, value, criterion.bands[place].outcome, bounds, criterion.reason)


def _bounds(bands: tuple[Band, ...], place: int) -> str:
    """Between which bounds a figure lies that is in the band at `place`."""
    words = []
    if place:
        before = bands[place - 1]
        words.append(
            f"above {_number(before.at_most)}" if before.at_most is not None else f"below {_number(before.at_least)}"
        )
    band = bands[place]
    if band.at_most is not None:
        words.append(f"at most {_number(band.at_most)}")
    if band.at_least is not None:
        words.append(f"at least {_number(band.at_least)}")
    return ", ".join(words) or "no bound"


def _number(value: Fraction | None) -> str:
    assert value is not None
    return decimal(value, 2) if value.denominator <= 100 else decimal(value, 9).rstrip("0")
