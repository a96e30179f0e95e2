"""Substitution of missing hours by availability tiers, in integers: what a point is charged while it is blind.

An hour's value is its mean reading in the point's scaled integers; an hour with too few readings is missing.
The worse a point's availability, and the longer the gap, the higher the tier's value (40 CFR 75.33, HJ 75). It rests
on measured hours alone: a substituted hour is never a basis of another.

Our own choices where the sources at hand are silent: availability is taken at the gap's last hour that is known, the
gap included; percentiles are by nearest rank; without an hour before the gap, or a tier for the availability (HJ 75
below 75 %), the value is the highest that is possible; while the gap has no end, the hour before stands for the one
behind.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import NamedTuple

from carbon.emission import round_half_even
from carbon.factors import FactorSet
from carbon.validity import is_valid_hour

HOUR_MS = 3_600_000
AVAILABILITY_HOURS = 8_760
"""Operating hours over which availability is counted (40 CFR 75.32, from memory). All that a value rests on lies within
them: a tier of 75 % or more has 6,570 measured hours there."""
AFTER_HOURS = 48
"""How long an hour waits for late readings, where the point doesn't say."""
LEAST_AFTER_HOURS = 24
"""The longest gap that a tier tells from longer ones: who waits so long has seen the end of any shorter one."""
TABLE = "cems_constants"


class SubstitutionError(ValueError):
    """A tier set that is unknown."""


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
    """Tiers, the best availability and the shortest gaps first."""

    name: str
    tiers: tuple[Tier, ...]

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
_SETS = {"part75": TierSet("part75", _PART75), "hj75": TierSet("hj75", _HJ75)}


def tier_set(name: str, factors: FactorSet, allowed: Collection[str] = ()) -> TierSet:
    """The set `part75` or `hj75`. Raises SubstitutionError, and FactorError for a row of confidence D that `allowed`
    doesn't name (as `table.row`)."""
    if name not in _SETS:
        raise SubstitutionError(f"no tier set {name!r}: there are {', '.join(_SETS)}")
    for tier in _SETS[name].tiers:
        factors.trusted(f"{TABLE}.{tier.row}", allowed)
    return _SETS[name]


def mean(count: int, expected: int, quantity: int) -> int | None:
    """The mean reading, half-even, of an hour's `count` of `expected` readings with sum `quantity`; None: missing."""
    return round_half_even(quantity, count) if is_valid_hour(count, expected) else None


def is_stop(count: int, stopped: int, expected: int) -> bool:
    """Whether an hour that counts too few readings says of enough further times that the plant stood still (flag F,
    HJ 212-2017 table 8): then nothing is missing, and it is no operating hour."""
    return not is_valid_hour(count, expected) and is_valid_hour(count + stopped, expected)


class Gap(NamedTuple):
    """A gap as far as it is known: its hours, and how many of the operating hours up to its last were measured.

    `before` are the measured values before it, the newest last; `after` is the one behind it, None while it is open.
    """

    hours: int
    measured: int
    operating: int
    before: Sequence[int]
    after: int | None


class Charge(NamedTuple):
    """An hour's value, the factor row of its tier (empty without one), the method (POTENTIAL where the tier has no
    basis), and the measured values before the gap that it rests on, the newest last."""

    value: int
    row: str
    method: Method
    basis: Sequence[int]


@dataclass(frozen=True)
class Regime:
    """From `start` on (ms UTC) a point is substituted by `tiers`. `potential` is the highest mean reading that is
    possible (maximum potential concentration)."""

    start: int
    tiers: TierSet
    potential: int

    def charge(self, gap: Gap) -> Charge:
        """What an hour of a gap is charged."""
        tier = self.tiers.tier(gap.measured, gap.operating, gap.hours)
        row = "" if tier is None else tier.row
        if tier is None or tier.method is Method.POTENTIAL or not gap.before:
            return Charge(self.potential, row, Method.POTENTIAL, ())
        basis = gap.before[-max(1, tier.lookback) :]
        after = basis[-1] if gap.after is None else gap.after
        return Charge(_value(tier, basis, after), row, tier.method, basis)


def _value(tier: Tier, basis: Sequence[int], after: int) -> int:
    """A tier's value, from the measured values before the gap, the newest last, and the one behind it."""
    around = round_half_even(basis[-1] + after, 2)
    match tier.method:
        case Method.AROUND:
            return around
        case Method.PERCENTILE:
            return max(around, sorted(basis)[-(-len(basis) * tier.percentile // 100) - 1])
        case _:
            return max(basis)


@dataclass(frozen=True)
class Substitution:
    """How a point's missing hours are substituted: `after_hours` past their end, by the regime of their gap's first.

    Its text stands in the rule of every record of the point, so that who reads the ledger needs no registry.
    """

    regimes: tuple[Regime, ...]
    """In order of time, one at least."""
    after_hours: int = AFTER_HOURS

    def __str__(self) -> str:
        sets = ", ".join(f"{one.tiers.name} from {one.start} up to {one.potential}" for one in self.regimes)
        return f" · missing hours after {self.after_hours} h: {sets}"

    @property
    def lookback(self) -> int:
        """Measured hours before a gap that a tier may look at."""
        return max(tier.lookback for regime in self.regimes for tier in regime.tiers.tiers)

    def waits(self, horizon_ms: int) -> int:
        """Hours after its end at which an hour is substituted: no later than it can be corrected."""
        return min(self.after_hours, horizon_ms // HOUR_MS)

    def at(self, time: int) -> Regime:
        """The regime of a gap whose first hour starts at `time`."""
        return next((regime for regime in reversed(self.regimes) if regime.start <= time), self.regimes[0])


_TIER = " · tier "
_STOPPED = " · stopped"
_REGIME = rf"({'|'.join(_SETS)}) from (-?\d{{1,18}}) up to (-?\d{{1,19}})"
_STATED = re.compile(
    rf" · missing hours after (\d{{1,5}}) h: ({_REGIME}(?:, {_REGIME})*)(?:{_TIER}.*|{_STOPPED})?", re.ASCII
)


@cache
def _stated(text: str) -> Substitution | None:
    found = _STATED.fullmatch(text)
    if found is None:
        return None
    sets = re.findall(_REGIME, found[2], re.ASCII)
    regimes = tuple(Regime(int(start), _SETS[name], int(potential)) for name, start, potential in sets)
    return Substitution(regimes, int(found[1]))


def stated(rule: str) -> Substitution | None:
    """The substitution that a record's rule states; None for one that states none."""
    place = rule.find(" · missing hours after ")
    return None if place < 0 else _stated(rule[place:])


def with_tier(rule: str, row: str) -> str:
    """The rule of a substituted hour's record: the point's, and the tier."""
    return f"{rule}{_TIER}{row or 'none'}"


def of_point(rule: str) -> str:
    """The rule of the point, of a record's that may be a substituted hour's or one of a plant that stood still."""
    return rule.partition(_TIER)[0].removesuffix(_STOPPED)


def with_stop(rule: str) -> str:
    """The rule of the record of an hour in which the plant stood still."""
    return f"{rule}{_STOPPED}"


def states_stop(rule: str) -> bool:
    """Whether a record's rule states that."""
    return rule.endswith(_STOPPED)


def tier_row(rule: str) -> str:
    """The row of the tier that such a rule states; empty where there was none."""
    row = rule.rpartition(_TIER)[2]
    return "" if row == "none" else row
