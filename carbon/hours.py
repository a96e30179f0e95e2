"""The hours of a point: what was measured lately and what is missing, as far as substitution looks back.

Hours are numbered from 1970-01-01T00Z. A year and the waiting time are kept: of each hour whether it was measured, and
the values of the newest measured ones. The aggregator and every member keep the same, from a point's records alone.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from carbon.substitution import AVAILABILITY_HOURS, HOUR_MS, Gap, Substitution

Run = tuple[int, int]
"""Hours [first, end)."""
_CONTEXT = "carbonledger/substitution/v1"


class Due(NamedTuple):
    """A missing hour's charge: the value, the factor row of its tier (empty without one), and the boundary, a digest of
    what it rests on."""

    value: int
    row: str
    boundary: bytes


@dataclass
class Hours:
    """The hours [begin, end) of a point. Missing ones before `settled` are substituted already, or never will be.

    Those in which the plant stood still are neither missing nor measured, and no operating hours.
    """

    begin: int
    end: int
    settled: int
    missing: list[Run] = field(default_factory=list)
    """In order of time; two of them never touch."""
    values: list[int] = field(default_factory=list)
    """The means of the newest measured hours, the oldest first."""
    stopped: list[Run] = field(default_factory=list)
    """In order of time, like `missing`."""

    @classmethod
    def since(cls, hour: int) -> "Hours":
        """No hours yet; the first will be `hour`."""
        return cls(hour, hour, hour)

    # -- what is recorded

    def append(self, value: int | None, rule: Substitution, waits: int, *, stopped: bool = False) -> None:
        """The next hour's mean reading; None where it is missing, or the plant stood still."""
        if value is not None:
            self.values.append(value)
        else:
            _add(self.stopped if stopped else self.missing, self.end)
        self.end += 1
        self._forget(rule.lookback + waits, AVAILABILITY_HOURS + waits)

    def amend(self, hour: int, value: int | None, *, stopped: bool = False) -> None:
        """An hour was corrected. A measured one stays measured: readings are only added."""
        if not self.begin <= hour < self.end:
            return
        if value is None:
            if stopped and _remove(self.missing, hour):
                _add(self.stopped, hour)
            return
        newer = self._measured(hour + 1, self.end)
        if _remove(self.missing, hour) or _remove(self.stopped, hour):
            if newer <= len(self.values):
                self.values.insert(len(self.values) - newer, value)
        elif newer < len(self.values):
            self.values[len(self.values) - newer - 1] = value

    def settle(self, hour: int) -> None:
        """A due hour was substituted."""
        self.settled = hour + 1

    def _forget(self, values: int, hours: int) -> None:
        self.begin = max(self.begin, self.end - hours)
        self.missing, self.stopped = _since(self.missing, self.begin), _since(self.stopped, self.begin)
        surplus = len(self.values) - min(values, self._all_measured())
        if surplus > 0:
            del self.values[:surplus]

    # -- what is due

    def due(self, waits: int) -> int | None:
        """The oldest missing hour that has waited so many hours since its end."""
        found = (max(first, self.settled) for first, end in self.missing if end > self.settled)
        hour = next(found, None)
        return hour if hour is not None and hour + 1 + waits <= self.end else None

    def charge(self, hour: int, rule: Substitution) -> Due:
        """What a missing hour is charged, by what is known of its gap now."""
        first, stop = self.missing[bisect_right(self.missing, hour, key=lambda run: run[0]) - 1]
        since = max(self.begin, stop - AVAILABILITY_HOURS)
        newer, behind = self._measured(first, self.end), self._measured(stop, self.end)
        before = self.values[: max(0, len(self.values) - newer)]
        after = self.values[-behind] if 0 < behind <= len(self.values) else None
        operating = stop - since - _within(self.stopped, since, stop)
        gap = Gap(stop - first, self._measured(since, stop), operating, before, after)
        value, row, _, basis = rule.at(HOUR_MS * first).charge(gap)
        facts = (_CONTEXT, first, stop, gap.measured, gap.operating, "-" if after is None else after, *basis)
        return Due(value, row, sha256("\n".join(map(str, facts)).encode()).digest())

    def _measured(self, first: int, end: int) -> int:
        """How many of the hours [first, end) were measured."""
        return end - first - _within(self.missing, first, end) - _within(self.stopped, first, end)

    def _all_measured(self) -> int:
        return self._measured(self.begin, self.end)

    # -- as text

    def __str__(self) -> str:
        words = [_text(self.missing), ",".join(map(str, self.values)) or "-"]
        if self.stopped:
            words.append(_text(self.stopped))
        return " ".join([f"{self.begin} {self.end} {self.settled}", *words])

    @classmethod
    def parse(cls, parts: Iterable[str]) -> "Hours":
        """The hours of a text's words. Raises ValueError."""
        begin, end, settled, runs, means, *stops = parts
        values = [] if means == "-" else [int(mean) for mean in means.split(",")]
        stopped = [_run(run) for text in stops for run in text.split(",")]
        found = cls(int(begin), int(end), int(settled), _runs(runs), values, stopped)
        for each in (found.missing, stopped):
            edges = [found.begin - 1, *_edges(each), found.end + 1]
            if found.begin > found.end or any(later <= earlier for earlier, later in pairwise(edges)):
                raise ValueError(f"hours out of order: {begin} {end} {runs} {stops}")
        if len(stops) > 1 or any(_within(stopped, *run) for run in found.missing):
            raise ValueError(f"hours that are missing and not: {runs} {stops}")
        if len(values) > found._all_measured():
            raise ValueError(f"{len(values)} values of fewer measured hours")
        return found


def _add(runs: list[Run], hour: int) -> None:
    """Take an hour that is in none of the runs into them, which stay in order and apart."""
    place = bisect_right(runs, (hour, hour))
    first, end = hour, hour + 1
    if place < len(runs) and runs[place][0] == end:
        end = runs.pop(place)[1]
    if place and runs[place - 1][1] == hour:
        place -= 1
        first = runs.pop(place)[0]
    runs.insert(place, (first, end))


def _remove(runs: list[Run], hour: int) -> bool:
    """Take an hour out of the runs; whether it was in one."""
    for place, (first, end) in enumerate(runs):
        if first <= hour < end:
            runs[place : place + 1] = [run for run in ((first, hour), (hour + 1, end)) if run[0] < run[1]]
            return True
    return False


def _since(runs: list[Run], hour: int) -> list[Run]:
    if not runs or runs[0][0] >= hour:
        return runs
    return [(max(first, hour), end) for first, end in runs if end > hour]


def _within(runs: list[Run], first: int, end: int) -> int:
    """How many hours of the runs lie in [first, end)."""
    return sum(max(0, min(stop, end) - max(start, first)) for start, stop in runs)


def _text(runs: list[Run]) -> str:
    return ",".join(f"{first}-{end}" for first, end in runs) or "-"


def _runs(text: str) -> list[Run]:
    return [] if text == "-" else [_run(run) for run in text.split(",")]


def _run(text: str) -> Run:
    first, _, end = text.rpartition("-")
    return int(first), int(end)


def _edges(runs: Iterable[Run]) -> Iterator[int]:
    return (edge for run in runs for edge in run)
