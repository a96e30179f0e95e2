"""The structure of emissions by subject, source, gas, scope, point and month, cut where subjects changed hands; g CO2e.

It grows with points, months and days, never with records.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from carbon.calendar import DAY_MS
from carbon.emission import RULES, EmissionRule, round_half_even, rounded, told
from carbon.emission.energy import PurchasedElectricity
from carbon.ledger.beside import Amount, Basis, Beside
from carbon.ledger.moment import month
from carbon.plain import Plain
from carbon.record import posted_g
from carbon.registry import Registry
from carbon.signers import Party
from carbon.subjects import Line, Total, may_see, roll_up
from carbon.submission import Submission, reversed_by

_DAYS = 200_000
"""More days than any calendar here has: what a day and a cut are told apart by in one number."""


class Part(NamedTuple):
    """A part of a subject's emissions: by which source, of which gas and scope, at which point, in which month.

    `point` is a bill's source where there is no meter. `since` is the last instant (ms UTC) before it at which any
    subject came under another parent, 0 before the first: in one part nobody changes hands.
    """

    subject: str
    source: str
    gas: str
    scope: int
    point: str
    month: str
    since: int

    @property
    def year(self) -> str:
        """The year of its month."""
        return self.month[:4]


AXES = ("subject", "source", "gas", "scope", "unit", "point", "month", "year")
"""By what emissions can be divided."""
ELECTRICITY = PurchasedElectricity.source
HIDDEN = "not shown"
"""Stands for subjects and points that a viewer may see in their region's totals alone."""


def changes_of_hands(registry: Registry) -> tuple[int, ...]:
    """All instants at which a subject comes under another parent, rising, ms UTC."""
    return tuple(sorted({tenure.start for subject in registry.subjects.values() for tenure in subject.parents}))


@dataclass
class Structure:
    """Emissions by part, and by subject and day, up to some height."""

    offset_minutes: int
    changes: tuple[int, ...] = ()
    """The instants at which parts are cut."""
    parts: dict[Part, int] = field(default_factory=dict)
    amounts: dict[Part, dict[Basis, Amount]] = field(default_factory=dict)
    """What each part is the emission of."""
    days: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of each subject, by days since 1970-01-01 at the offset."""

    def record(self, fields: Mapping[str, Any]) -> None:
        """Take in an accepted window record."""
        rule, grams, replaced = told(fields["rule"]), fields["emission_g"], fields["replaces"]
        amount = Amount(fields["quantity"], posted_g(dict(fields)), replaced["emission_g"] if replaced else 0)
        if replaced and not grams and not amount.replaced_g:
            # by a rule that counts nothing, no quantity follows from what is replaced: the first one's stays
            amount.quantity = 0
        where = (fields["subject"], rule, fields["point"], fields["window_start"])
        self._add(*where, amount, basis_of(fields))

    def activity(self, content: Mapping[str, Any], sign: int = 1) -> None:
        """Take in activity data, whole at the first instant of their period; with -1, take them back."""
        basis, rule = basis_of_bill(content), next(r["value"] for r in content["rule"] if r["name"] == "rule")
        amount = Amount(sign * content["quantity"], sign * content["emission_g"])
        where = (content["subject"], RULES[rule], content["source"], content["start"])
        self._add(*where, amount, basis)

    def submission(self, submission: Submission) -> None:
        """Take in an accepted submission: activity data, or a reversal of some."""
        back = reversed_by(submission) if submission.kind == "reversal" else None
        if submission.kind == "activity":
            self.activity(submission.content)
        elif back is not None and back.kind == "activity":
            self.activity(back.content, -1)

    def plain(self, plain: Plain, chosen: NDArray[np.intp]) -> None:
        """Take in plain records of a block, those at the chosen places (n,)."""
        start, offset_ms = plain.start[chosen], self.offset_minutes * 60_000
        day = (start + offset_ms) // DAY_MS
        cut = np.searchsorted(np.array(self.changes, np.int64), start, side="right")
        key = (plain.point[chosen] * (len(self.changes) + 1) + cut) * _DAYS + day
        order = np.argsort(key, kind="stable")
        firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
        # plain numbers are below 2^48, a block's records below 2^15: the sums stay inside 64 bits
        columns = (plain.quantity, plain.emission) if len(firsts) else ()
        sums = (np.add.reduceat(column[chosen][order], firsts).tolist() for column in columns)
        for place, quantity, grams in zip(chosen[order[firsts]].tolist(), *sums, strict=True):
            fields = plain.points[plain.point[place]].fields
            where = (fields["subject"], told(fields["rule"]), fields["point"], int(plain.start[place]))
            self._add(*where, Amount(quantity, grams), basis_of(fields))

    def _add(
        self, subject: str, rule: type[EmissionRule] | None, point: str, at_ms: int, amount: Amount, basis: Basis
    ) -> None:
        if rule is None or not rule.gas:
            return
        grams = amount.posted_g
        day = (at_ms + self.offset_minutes * 60_000) // DAY_MS
        when = month(day * DAY_MS, 0)
        part = Part(subject, rule.source, rule.gas, rule.scope, point, when, self._since(at_ms))
        self.parts[part] = self.parts.get(part, 0) + grams
        self.amounts.setdefault(part, {}).setdefault(basis, Amount()).add(amount)
        days = self.days.setdefault(subject, {})
        days[day] = days.get(day, 0) + grams

    def _since(self, at_ms: int) -> int:
        place = bisect_right(self.changes, at_ms)
        return self.changes[place - 1] if place else 0


def basis_of(fields: Mapping[str, Any]) -> Basis:
    """What a window record's quantity is of."""
    return Basis(fields["rule"], fields["unit"], fields["scale"], fields["factors"])


def basis_of_bill(content: Mapping[str, Any]) -> Basis:
    """What the quantity of activity data is of."""
    stated = tuple((row["name"], row["value"]) for row in content["rule"])
    return Basis(stated, content["unit"], content["scale"], content["factors"])


class Emitted(NamedTuple):
    """What a part emits, g CO2e, and what stands beside it."""

    grams: int
    beside: Beside


Parts = Iterable[tuple[Part, int]]
"""Parts in g CO2e."""
Of = TypeVar("Of")


def seen(parts: Iterable[tuple[Part, Of]], viewer: Party | None, registry: Registry) -> list[tuple[Part, Of]]:
    """The parts as a viewer may see them, None being the public: those of others without subject and point."""
    return [(part if may_see(viewer, part.subject, part.since, registry) else _hidden(part), of) for part, of in parts]


def _hidden(part: Part) -> Part:
    return part._replace(subject=HIDDEN, point=HIDDEN)


def totals_within(parts: Parts, top: str, line: Line, registry: Registry) -> dict[str, Total]:
    """Totals of a subject and of all below it that emitted, by name; what is hidden stands under `HIDDEN`."""

    def up_to_top(subject: str, at_ms: int, registry: Registry) -> list[str]:
        if subject == HIDDEN:
            return [HIDDEN, top]
        way = line(subject, at_ms, registry)
        return way[: way.index(top) + 1]

    return roll_up(((part.subject, part.since, grams) for part, grams in parts), up_to_top, registry)


@dataclass
class _Sum:
    grams: int = 0
    coal: Fraction | None = Fraction(0)
    location: int | None = None
    market: Fraction | None = None
    rest: int = 0
    """Of electricity that no market-based factor is declared of."""

    def add(self, part: Part, emitted: Emitted) -> None:
        grams, beside = emitted
        self.grams += grams
        known = self.coal is not None and beside.standard_coal is not None
        self.coal = self.coal + beside.standard_coal if known else None  # type: ignore[operator]
        if part.source != ELECTRICITY:
            return
        self.location = (self.location or 0) + grams
        if beside.market is None:
            self.rest += grams
        else:
            self.market = (self.market or 0) + beside.market

    def row(self) -> dict[str, Any]:
        return {
            "standard_coal_tce": None if self.coal is None else rounded(self.coal) / 10**6,
            "location_based_g": self.location,
            "market_based_g": None if self.market is None else rounded(self.market + self.rest),
        }


def divided(parts: Iterable[tuple[Part, Emitted]], axes: Sequence[str], registry: Registry) -> list[dict[str, Any]]:
    """Emissions by some axes: a row each, `emission_g` and `share_percent` of the whole, to a tenth, half-even.

    Beside them, added to nothing: `standard_coal_tce`, to a gram; of purchased electricity `location_based_g`, which is
    in the emission, and `market_based_g`. The latter is None where nobody declares one; what has none beside what has
    one counts location-based in it (GHG Protocol Scope 2 Guidance, table 6.3). The unit is that in which the registry
    lists the point, None for one in no unit.
    """
    sums: dict[tuple[Any, ...], _Sum] = {}
    known = (unit for subject in registry.subjects.values() for unit in subject.units)
    units = {point: unit.id for unit in known for point in unit.points}
    for part, emitted in parts:
        key = tuple(units.get(part.point) if axis == "unit" else getattr(part, axis) for axis in axes)
        sums.setdefault(key, _Sum()).add(part, emitted)
    whole = sum(one.grams for one in sums.values())
    rows = sorted(sums.items(), key=lambda item: tuple(map(str, item[0])))
    return [
        dict(zip(axes, key, strict=True))
        | {"emission_g": one.grams, "share_percent": share(one.grams, whole)}
        | one.row()
        for key, one in rows
    ]


def share(part: int, whole: int) -> float | None:
    """A part in percent of a whole, to a tenth, half-even; None of nothing."""
    return round_half_even(1000 * part, whole) / 10 if whole > 0 else None
