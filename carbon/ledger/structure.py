"""The structure of emissions by subject, source, gas, scope, point and month, cut where subjects changed hands; g CO2e.

It grows with points, months and days, never with records.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbon.calendar import DAY_MS
from carbon.emission import RULES, EmissionRule, round_half_even, told
from carbon.ledger.moment import month
from carbon.plain import Plain
from carbon.record import posted_g
from carbon.registry import Registry
from carbon.signers import Party
from carbon.subjects import Line, Total, may_see, roll_up

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
    days: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of each subject, by days since 1970-01-01 at the offset."""

    def record(self, fields: Mapping[str, Any]) -> None:
        """Take in an accepted window record."""
        rule = told(fields["rule"])
        self._add(fields["subject"], rule, fields["point"], fields["window_start"], posted_g(dict(fields)))

    def activity(self, content: Mapping[str, Any], sign: int = 1) -> None:
        """Take in activity data, whole at the first instant of their period; with -1, take them back."""
        rule = next(RULES[row["value"]] for row in content["rule"] if row["name"] == "rule")
        self._add(content["subject"], rule, content["source"], content["start"], sign * content["emission_g"])

    def plain(self, plain: Plain, chosen: NDArray[np.intp]) -> None:
        """Take in plain records of a block, those at the chosen places (n,)."""
        start, offset_ms = plain.start[chosen], self.offset_minutes * 60_000
        day = (start + offset_ms) // DAY_MS
        cut = np.searchsorted(np.array(self.changes, np.int64), start, side="right")
        key = (plain.point[chosen] * (len(self.changes) + 1) + cut) * _DAYS + day
        order = np.argsort(key, kind="stable")
        firsts = np.flatnonzero(np.diff(key[order], prepend=-1))
        # plain emissions are below 2^48, a block's records below 2^15: the sums stay inside 64 bits
        grams = np.add.reduceat(plain.emission[chosen][order], firsts).tolist() if len(firsts) else []
        for place, sum_ in zip(chosen[order[firsts]].tolist(), grams, strict=True):
            fields = plain.points[plain.point[place]].fields
            self._add(fields["subject"], told(fields["rule"]), fields["point"], int(plain.start[place]), sum_)

    def _add(self, subject: str, rule: type[EmissionRule] | None, point: str, at_ms: int, grams: int) -> None:
        if rule is None or not rule.gas:
            return
        day = (at_ms + self.offset_minutes * 60_000) // DAY_MS
        when = month(day * DAY_MS, 0)
        part = Part(subject, rule.source, rule.gas, rule.scope, point, when, self._since(at_ms))
        self.parts[part] = self.parts.get(part, 0) + grams
        days = self.days.setdefault(subject, {})
        days[day] = days.get(day, 0) + grams

    def _since(self, at_ms: int) -> int:
        place = bisect_right(self.changes, at_ms)
        return self.changes[place - 1] if place else 0


Parts = Iterable[tuple[Part, int]]
"""Parts in g CO2e."""


def seen(parts: Parts, viewer: Party | None, registry: Registry) -> list[tuple[Part, int]]:
    """The parts as a viewer may see them, None being the public: those of others without subject and point."""
    return [
        (part if may_see(viewer, part.subject, part.since, registry) else _hidden(part), grams) for part, grams in parts
    ]


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


def divided(parts: Parts, axes: Sequence[str], registry: Registry) -> list[dict[str, Any]]:
    """Emissions by some axes: a row each, `emission_g` and `share_percent` of the whole, to a tenth, half-even.

    The unit is that in which the registry lists the point, None for one in no unit.
    """
    sums: dict[tuple[Any, ...], int] = {}
    known = (unit for subject in registry.subjects.values() for unit in subject.units)
    units = {point: unit.id for unit in known for point in unit.points}
    for part, grams in parts:
        key = tuple(units.get(part.point) if axis == "unit" else getattr(part, axis) for axis in axes)
        sums[key] = sums.get(key, 0) + grams
    whole = sum(sums.values())
    rows = sorted(sums.items(), key=lambda item: tuple(map(str, item[0])))
    return [
        dict(zip(axes, key, strict=True)) | {"emission_g": grams, "share_percent": share(grams, whole)}
        for key, grams in rows
    ]


def share(part: int, whole: int) -> float | None:
    """A part in percent of a whole, to a tenth, half-even; None of nothing."""
    return round_half_even(1000 * part, whole) / 10 if whole > 0 else None
