"""The state half of substitution: whose turn a missing hour's tier value is, and what it must be.

A point with substitution has its hours in the replicated state (`carbon.hours`). An hour that still misses readings
when the waiting time is over is due: until its substitution is recorded, the ledger takes no further window of the
point. So nobody can leave one out, and each rests on exactly what the ledger held at its place in the point's chain.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from carbon.hours import Due, Hours
from carbon.record import SUBSTITUTING, Replaced, Tier, tier_of
from carbon.refusal import Refusal
from carbon.substitution import HOUR_MS, Substitution, mean, stated, states_stop


class Told(NamedTuple):
    """What a record says of its hour: how the point substitutes missing hours, if it does; the mean reading, None
    where this one is missing; of a substituted one the value that it is charged, and its tier; whether the plant stood
    still."""

    rule: Substitution | None
    cause: str
    value: int | None
    tier: Tier | None
    stopped: bool = False

    @classmethod
    def of(
        cls,
        rule: Substitution | None,
        cause: str,
        count: int,
        expected: int,
        quantity: int,
        tier: Tier | None,
        *,
        stopped: bool,
    ) -> "Told":
        """From a record's fields."""
        value = mean(count, expected, quantity) if tier is None else quantity // expected
        return cls(rule, cause, value, tier, stopped)

    @classmethod
    def read(cls, fields: dict[str, Any]) -> "Told | None":
        """From a payload's fields; None where it states no length of its window."""
        if fields["expected"] <= 0:
            return None
        numbers = (fields["count"], fields["expected"], fields["quantity"])
        rule, stopped = fields["rule"], states_stop(fields["rule"])
        return cls.of(stated(rule), fields["cause"], *numbers, tier_of(fields), stopped=stopped)


@dataclass
class Substitutions:
    """The hours of all points with substitution, and what their substituted hours were charged."""

    hours: dict[str, Hours] = field(default_factory=dict)
    charged: dict[str, dict[int, int]] = field(default_factory=dict)
    """Point to window start to grams, of substituted windows that can still be corrected."""
    _shown: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The lines of hours that have not changed since they were last asked for."""

    def refusal(self, point: str, start: int, told: Told, replaced: Replaced | None, horizon_ms: int) -> Refusal:
        """Judge what a record says of its hour."""
        rule = told.rule
        if rule is None:
            return Refusal.WRONG_SUBSTITUTION if told.cause in SUBSTITUTING else Refusal.PASS
        hours, charged = self.hours.get(point), self.charged.get(point, {}).get(start)
        due = None if hours is None else hours.due(rule.waits(horizon_ms))
        if replaced is None:
            return Refusal.PASS if due is None else Refusal.SUBSTITUTION_DUE
        if told.cause == "SUBSTITUTED":
            fits = hours is not None and due == start // HOUR_MS and _is(hours.charge(due, rule), told)
        elif told.cause == "MEASURED":
            fits = charged == replaced.emission_g and (told.value is not None or told.stopped)
        else:
            fits = charged is None
        return Refusal.PASS if fits else Refusal.WRONG_SUBSTITUTION

    def take(self, point: str, start: int, told: Told, grams: int | None, horizon_ms: int) -> None:
        """Take in a record that passed; `grams` is a correction's whole emission, None for a first version."""
        if told.rule is None:
            return
        hour = start // HOUR_MS
        self._shown.pop(point, None)
        if grams is None:
            self._append(point, hour, told, told.rule, told.rule.waits(horizon_ms))
        elif told.cause == "SUBSTITUTED":
            self.hours[point].settle(hour)
            self.charged.setdefault(point, {})[start] = grams
        else:
            self._drop(point, lambda other: other == start)
            if point in self.hours:
                self.hours[point].amend(hour, told.value, stopped=told.stopped)

    def _append(self, point: str, hour: int, told: Told, rule: Substitution, waits: int) -> None:
        if HOUR_MS * hour < rule.regimes[0].start:
            return
        if point not in self.hours or self.hours[point].end != hour:
            self.hours[point] = Hours.since(hour)
        self.hours[point].append(told.value, rule, waits, stopped=told.stopped)

    def close(self, closed: Mapping[str, int]) -> None:
        """Points' windows up to an end (ms UTC) are corrected no more: none of their hours is due any more either."""
        for point in closed.keys() & self.hours.keys():
            self._shown.pop(point, None)
            self.hours[point].settle(closed[point] // HOUR_MS - 1)

    def forget(self, point: str, is_past: Callable[[int], bool]) -> None:
        """Forget the charges of windows that can't be corrected any more."""
        self._drop(point, is_past)

    def _drop(self, point: str, is_gone: Callable[[int], bool]) -> None:
        if point in self.charged:
            kept = {start: grams for start, grams in self.charged.pop(point).items() if not is_gone(start)}
            self.charged |= {point: kept} if kept else {}

    def lines(self) -> Iterator[str]:
        """Their lines in the state's text."""
        for point, hours in self.hours.items():
            if point not in self._shown:
                self._shown[point] = f"hours {point} {hours}"
            yield self._shown[point]
        for point, charged in self.charged.items():
            yield from (f"substituted {point} {start} {grams}" for start, grams in charged.items())


def _is(due: Due, told: Told) -> bool:
    return told.tier is not None and due == (told.value, *told.tier)
