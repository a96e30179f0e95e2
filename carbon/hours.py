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
    """The hours [begin, end) of a point. Missing ones before `settled` are substituted already, or never will be."""

    begin: int
    end: int
    settled: int
    missing: list[Run] = field(default_factory=list)
    """In order of time; two of them never touch."""
    values: list[int] = field(default_factory=list)
    """The means of the newest measured hours, the oldest first."""

    @classmethod
    def since(cls, hour: int) -> "Hours":
        """No hours yet; the first will be `hour`."""
        return cls(hour, hour, hour)

    # -- what is recorded

    def append(self, value: int | None, rule: Substitution, waits: int) -> None:
        """The next hour's mean reading; None where it is missing."""
        if value is not None:
            self.values.append(value)
        elif self.missing and self.missing[-1][1] == self.end:
            self.missing[-1] = self.missing[-1][0], self.end + 1
        else:
            self.missing.append((self.end, self.end + 1))
        self.end += 1
        self._forget(rule.lookback + waits, AVAILABILITY_HOURS + waits)

    def amend(self, hour: int, value: int | None) -> None:
        """An hour was corrected. A measured one stays measured: readings are only added."""
        if value is None or not self.begin <= hour < self.end:
            return
        place = next((i for i, (first, end) in enumerate(self.missing) if first <= hour < end), None)
        newer = self._measured(hour + 1, self.end)
        if place is not None:
            first, end = self.missing[place]
            self.missing[place : place + 1] = [run for run in ((first, hour), (hour + 1, end)) if run[0] < run[1]]
            if newer <= len(self.values):
                self.values.insert(len(self.values) - newer, value)
        elif newer < len(self.values):
            self.values[len(self.values) - newer - 1] = value

    def settle(self, hour: int) -> None:
        """A due hour was substituted."""
        self.settled = hour + 1

    def _forget(self, values: int, hours: int) -> None:
        self.begin = max(self.begin, self.end - hours)
        if self.missing and self.missing[0][0] < self.begin:
            self.missing = [(max(first, self.begin), end) for first, end in self.missing if end > self.begin]
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
        gap = Gap(stop - first, self._measured(since, stop), stop - since, before, after)
        value, row, _, basis = rule.at(HOUR_MS * first).charge(gap)
        facts = (_CONTEXT, first, stop, gap.measured, gap.operating, "-" if after is None else after, *basis)
        return Due(value, row, sha256("\n".join(map(str, facts)).encode()).digest())

    def _measured(self, first: int, end: int) -> int:
        """How many of the hours [first, end) were measured."""
        return end - first - sum(max(0, min(stop, end) - max(start, first)) for start, stop in self.missing)

    def _all_measured(self) -> int:
        return self.end - self.begin - sum(end - first for first, end in self.missing)

    # -- as text

    def __str__(self) -> str:
        runs = ",".join(f"{first}-{end}" for first, end in self.missing)
        return f"{self.begin} {self.end} {self.settled} {runs or '-'} {','.join(map(str, self.values)) or '-'}"

    @classmethod
    def parse(cls, parts: Iterable[str]) -> "Hours":
        """The hours of a text's words. Raises ValueError."""
        begin, end, settled, runs, means = parts
        missing = [] if runs == "-" else [_run(run) for run in runs.split(",")]
        values = [] if means == "-" else [int(mean) for mean in means.split(",")]
        found = cls(int(begin), int(end), int(settled), missing, values)
        edges = [found.begin - 1, *_edges(missing), found.end + 1]
        if found.begin > found.end or any(later <= earlier for earlier, later in pairwise(edges)):
            raise ValueError(f"hours out of order: {begin} {end} {runs}")
        if len(values) > found._all_measured():
            raise ValueError(f"{len(values)} values of fewer measured hours")
        return found


def _run(text: str) -> Run:
    first, _, end = text.rpartition("-")
    return int(first), int(end)


def _edges(runs: Iterable[Run]) -> Iterator[int]:
    return (edge for run in runs for edge in run)
