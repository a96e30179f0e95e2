"""Substitution of missing hours by availability tiers, in integers: what a point is charged while it is blind.

An hour's value is its mean reading in the point's scaled integers; an hour with too few readings is missing.
The worse a point's availability, and the longer the gap, the higher the tier's value (40 CFR 75.33, HJ 75). A gap is
substituted once it has ended, from the measured hours alone: a substituted hour is never a basis of another.

Our own choices where the sources at hand are silent: availability is taken at the gap's last hour, the gap included;
percentiles are by nearest rank; without an hour before the gap, or a tier for the availability (HJ 75 below 75 %), the
value is the highest that is possible.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import NamedTuple

from carbon.emission import round_half_even
from carbon.factors import FactorSet

HOUR_MS = 3_600_000
AVAILABILITY_HOURS = 8_760
"""Operating hours over which availability is counted (40 CFR 75.32, from memory)."""
LEAST_MINUTES = 45
"""Valid minutes of a measured hour (HJ 212-2017, D.2.2, equation 24)."""
TABLE = "cems_constants"


class SubstitutionError(ValueError):
    """A tier set that is unknown, or a gap before the first one."""


class Method(Enum):
    """How a tier's value is found; see `_value`."""

    AROUND = "around"
    PERCENTILE = "percentile"
    MAXIMUM = "maximum"
    POTENTIAL = "potential"


@dataclass(frozen=True)
class Tier:
    """One tier: for an availability of at least `least` tenths of a percent, and gaps of at most `most_hours`.

    `row` names the factor row that it is from; `lookback` is in measured hours, `percentile` in percent.
    """

    row: str
    least: int
    most_hours: int | None
    method: Method
    lookback: int = 0
    percentile: int = 0


@dataclass(frozen=True)
class TierSet:
    """Tiers, the best availability and the shortest gaps first. Hours before the gap by more than `age_hours` are no
    basis."""

    name: str
    tiers: tuple[Tier, ...]
    age_hours: int | None

    def tier(self, measured: int, hours: int, gap: int) -> Tier | None:
        """The tier for `measured` of `hours` operating hours, and a gap of so many."""
        for tier in self.tiers:
            if 1000 * measured >= tier.least * hours and (tier.most_hours is None or gap <= tier.most_hours):
                return tier
        return None


_PART75 = (
    Tier("part75.sub.pma_ge95_le24h", 950, 24, Method.AROUND),
    Tier("part75.sub.pma_ge95_gt24h", 950, None, Method.PERCENTILE, 720, 90),
    Tier("part75.sub.pma_90_95_le8h", 900, 8, Method.AROUND),
    Tier("part75.sub.pma_90_95_gt8h", 900, None, Method.PERCENTILE, 720, 95),
    Tier("part75.sub.pma_80_90", 800, None, Method.MAXIMUM, 720),
    Tier("part75.sub.pma_lt80", 0, None, Method.POTENTIAL),
)
_HJ75 = (
    Tier("hj75.sub.alpha_ge90_le24h", 900, 24, Method.MAXIMUM, 180),
    Tier("hj75.sub.alpha_ge90_gt24h", 900, None, Method.MAXIMUM, 720),
    Tier("hj75.sub.alpha_75_90", 750, None, Method.MAXIMUM, 2160),
)
_SETS = {"part75": TierSet("part75", _PART75, 3 * 8_760), "hj75": TierSet("hj75", _HJ75, None)}


def tier_set(name: str, factors: FactorSet, allowed: Collection[str] = ()) -> TierSet:
    """The set `part75` or `hj75`. Raises SubstitutionError, and FactorError for a row of confidence D that `allowed`
    doesn't name (as `table.row`)."""
    if name not in _SETS:
        raise SubstitutionError(f"no tier set {name!r}: there are {', '.join(_SETS)}")
    for tier in _SETS[name].tiers:
        factors.trusted(f"{TABLE}.{tier.row}", allowed)
    return _SETS[name]


class Hour(NamedTuple):
    """An operating hour: its start, ms UTC, and its mean reading; None where that is missing."""

    start: int
    value: int | None


def hour(start: int, count: int, expected: int, quantity: int) -> Hour:
    """The hour of a window with `count` of `expected` readings, whose sum is `quantity`; the mean is half-even."""
    measured = count > 0 and 60 * count >= LEAST_MINUTES * expected
    return Hour(start, round_half_even(quantity, count) if measured else None)


class Substituted(NamedTuple):
    """A missing hour's value, the factor row of its tier if there is one, and the method: POTENTIAL where the tier has
    no basis."""

    start: int
    value: int
    row: str | None
    method: Method


@dataclass(frozen=True)
class Regime:
    """From `start` on (ms UTC) a point is substituted by `tiers`. `potential` is the highest mean reading that is
    possible (maximum potential concentration)."""

    start: int
    tiers: TierSet
    potential: int


def substitute(hours: Sequence[Hour], regimes: Sequence[Regime]) -> list[Substituted]:
    """The values of all gaps that have ended, by the regime at each gap's first hour. `hours` are operating hours in
    order of time.

    Raises SubstitutionError when a gap begins before the first regime.
    """
    found = []
    for first, end in _gaps(hours):
        regime = _at(regimes, hours[first].start)
        charge = _charge(hours, first, end, regime)
        found += [Substituted(one.start, *charge) for one in hours[first:end]]
    return found


def _gaps(hours: Sequence[Hour]) -> Iterator[tuple[int, int]]:
    """[first, end) of every run of missing hours with a measured one behind it."""
    first = None
    for place, one in enumerate(hours):
        if one.value is None:
            first = place if first is None else first
        elif first is not None:
            yield first, place
            first = None


def _at(regimes: Sequence[Regime], time: int) -> Regime:
    begun = [regime for regime in regimes if regime.start <= time]
    if not begun:
        raise SubstitutionError(f"no tier set for a gap at {time}")
    return max(begun, key=lambda regime: regime.start)


def _charge(hours: Sequence[Hour], first: int, end: int, regime: Regime) -> tuple[int, str | None, Method]:
    looked = hours[max(0, end - AVAILABILITY_HOURS) : end]
    measured = sum(one.value is not None for one in looked)
    tier = regime.tiers.tier(measured, len(looked), end - first)
    before = _before(hours, first, regime.tiers.age_hours)
    basis = list(islice(before, max(1, tier.lookback))) if tier is not None else []
    if tier is None or tier.method is Method.POTENTIAL or not basis:
        return regime.potential, None if tier is None else tier.row, Method.POTENTIAL
    after = hours[end].value
    assert after is not None
    return _value(tier, basis, after), tier.row, tier.method


def _before(hours: Sequence[Hour], first: int, age_hours: int | None) -> Iterator[int]:
    """The measured values before a gap that begins at place `first`, the newest first."""
    oldest = None if age_hours is None else hours[first].start - age_hours * HOUR_MS
    for place in range(first - 1, -1, -1):
        one = hours[place]
        if oldest is not None and one.start < oldest:
            return
        if one.value is not None:
            yield one.value


def _value(tier: Tier, basis: Sequence[int], after: int) -> int:
    """A tier's value, from the measured values before the gap, the newest first, and the one behind it."""
    around = round_half_even(basis[0] + after, 2)
    match tier.method:
        case Method.AROUND:
            return around
        case Method.PERCENTILE:
            return max(around, sorted(basis)[-(-len(basis) * tier.percentile // 100) - 1])
        case _:
            return max(basis)
