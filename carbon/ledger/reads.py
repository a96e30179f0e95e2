"""What the ledger says of subjects at a moment: accounts, the structure of emissions, a region's totals.

One fold over what the committee accepted, in ledger order. It never looks at what comes behind the moment, so figures
as of then are the same today and in ten years.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from carbon.emission import round_half_even
from carbon.ledger.books import Account, Books
from carbon.record import posted_g
from carbon.registry import Party, Registry
from carbon.subjects import Line, Total, may_see, owners, regions, roll_up

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCOPES = {"combustion": 1, "purchased electricity": 2}
"""Scope by what a record's rule begins with (GHG Protocol, corporate standard: 1 is direct, 2 is bought energy)."""


class MomentError(ValueError):
    """A text that is neither a height nor a time."""


@dataclass(frozen=True)
class Moment:
    """Up to where the ledger is read: to a height, to a block time (ms UTC), both included, or to its end."""

    height: int | None = None
    time_ms: int | None = None

    def includes(self, height: int, time_ms: int) -> bool:
        """Whether a block of that height and time counts. Times never fall, so what is behind one doesn't either."""
        is_low = self.height is None or height <= self.height
        return is_low and (self.time_ms is None or time_ms <= self.time_ms)


def moment_of(text: str | None, offset_minutes: int) -> Moment:
    """The moment of a height or an ISO 8601 time; a day is meant to its end, at the channel's offset from UTC.

    Raises MomentError.
    """
    if text is None:
        return Moment()
    if re.fullmatch(r"\d{1,18}", text):
        return Moment(height=int(text))
    try:
        at = datetime.fromisoformat(text)
        local = at if at.tzinfo else (at - timedelta(minutes=offset_minutes)).replace(tzinfo=UTC)
        time_ms = (local - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise MomentError(f"{text!r} is neither a height such as 1200 nor a time such as 2024-06-30T12:00Z") from error
    return Moment(time_ms=time_ms + DAY_MS - 1 if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else time_ms)


class Part(NamedTuple):
    """A part of a subject's emissions: by which source, of which gas and scope, at which point, in which month.

    `since` is the last instant (ms UTC) before it at which any subject came under another parent, 0 before the first:
    in one part nobody changes hands.
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


AXES = ("subject", "source", "gas", "scope", "point", "month", "year")
"""By what emissions can be divided."""
HIDDEN = "not shown"
"""Stands for subjects and points that a viewer may see in their region's totals alone."""


def changes_of_hands(registry: Registry) -> tuple[int, ...]:
    """All instants at which a subject comes under another parent, rising, ms UTC."""
    return tuple(sorted({tenure.start for subject in registry.subjects.values() for tenure in subject.parents}))


@dataclass
class View:
    """What stands after a block: height and time (ms UTC) of it, the books, and emissions in g CO2e by part.

    `registry` is the newest that the ledger knows: whose subjects and points are looked up. It grows with points,
    months and `changes`, never with records.
    """

    registry: Registry
    offset_minutes: int
    changes: tuple[int, ...] = ()
    """The instants at which its parts are cut: `changes_of_hands` of the registry."""
    height: int = 0
    time_ms: int = 0
    books: Books = field(init=False)
    parts: dict[Part, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.books = Books(self.offset_minutes)

    def stand(self, height: int, time_ms: int) -> None:
        """Everything of the block of that height and time was taken in."""
        self.height, self.time_ms = height, time_ms

    def record(self, fields: Mapping[str, Any], height: int) -> None:
        """Take in an accepted window record of a block."""
        self.books.post(fields, height)
        start = fields["window_start"]
        part = part_of(fields, month(start, self.offset_minutes), self._since(start))
        if part is not None:
            self.parts[part] = self.parts.get(part, 0) + posted_g(dict(fields))

    def _since(self, time_ms: int) -> int:
        place = bisect_right(self.changes, time_ms)
        return self.changes[place - 1] if place else 0

    def line(self, subject: str) -> Line:
        """The line on which a subject has others below it: a region's, or that of parent companies."""
        return regions if self.registry.subjects[subject].regional else owners

    def accounts(self, subject: str) -> list[Account]:
        """The accounts of a subject, by name."""
        return [account for account in self.books if account.subject == subject]

    def emissions(self, subject: str, year: str | None = None) -> Iterator[tuple[Part, int]]:
        """The parts in g CO2e of a subject's emissions and of those below it while they were, of a year or of all."""
        line = self.line(subject)
        for part, grams in self.parts.items():
            if year in (None, part.year) and subject in line(part.subject, part.since, self.registry):
                yield part, grams

    def seen(self, parts: Iterable[tuple[Part, int]], viewer: Party | None) -> Iterator[tuple[Part, int]]:
        """The parts as a viewer may see them, None being the public: those of others without subject and point."""
        for part, grams in parts:
            is_seen = may_see(viewer, part.subject, part.since, self.registry)
            yield part if is_seen else part._replace(subject=HIDDEN, point=HIDDEN), grams


def part_of(fields: Mapping[str, Any], when: str, since: int) -> Part | None:
    """Where the emission of a window record belongs; None for one whose rule books nothing.

    All rules of a point are of CO2.
    """
    source = fields["rule"].split(":")[0]
    if source not in _SCOPES:
        return None
    return Part(fields["subject"], source, "CO2", _SCOPES[source], fields["point"], when, since)


@lru_cache(maxsize=1024)
def month(time_ms: int, offset_minutes: int) -> str:
    """The month of a time in ms UTC at an offset, as `2024-06`."""
    return f"{_EPOCH + timedelta(milliseconds=time_ms, minutes=offset_minutes):%Y-%m}"


def moment_text(time_ms: int) -> str:
    """A time in ms UTC as ISO 8601."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def totals_within(parts: Iterable[tuple[Part, int]], top: str, view: View) -> dict[str, Total]:
    """Totals of a subject and of all below it that emitted, by name; what is hidden stands under `HIDDEN`."""
    line = view.line(top)

    def up_to_top(subject: str, at_ms: int, registry: Registry) -> list[str]:
        if subject == HIDDEN:
            return [HIDDEN, top]
        way = line(subject, at_ms, registry)
        return way[: way.index(top) + 1]

    return roll_up(((part.subject, part.since, grams) for part, grams in parts), up_to_top, view.registry)


def divided(parts: Iterable[tuple[Part, int]], axes: Sequence[str]) -> list[dict[str, Any]]:
    """Emissions by some axes: a row each, `emission_g` and `share_percent` of the whole, to a tenth, half-even."""
    sums: dict[tuple[Any, ...], int] = {}
    for part, grams in parts:
        key = tuple(getattr(part, axis) for axis in axes)
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
