"""Counters unwrapped, pure: what was consumed between two readings of a register, without false consumption.

A register counts up to its modulus and begins again at 0. It may also be set back (a restart, a service), or be another
one (a meter swapped). Only what the meter can have consumed, `most_per_hour` over the time between, is ever counted, so
a reset never counts a whole register. What can't be known is a gap with a name: no amount, and nothing interpolated. An
amount belongs to the whole interval between its readings and is not spread over it.

`amounts` makes readings of it, one a step: of steps at both of whose ends the register was read, in whatever order the
readings come. A step without one stays a gap; what was counted over more steps is seen from the register alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from streams.edge.packing import scaled
from streams.edge.sources import RawReading

HOUR_MS = 3_600_000


class Verdict(StrEnum):
    """What a reading is to the one before it. Only the first four come with an amount."""

    COUNTED = "counted"
    ROLLED_OVER = "rolled over"
    """Passed its modulus: near its top before, as little above 0 now as the meter can have consumed."""
    SWAPPED = "swapped"
    """Another meter, with the last reading of the old and the first of the new stated."""
    RETURNED = "returned"
    """Back above where it stood before one reading that was lower: counted from there, as the least it can be."""
    FIRST = "first"
    LATE = "late"
    """Not later than the last reading: the state stays."""
    OUTSIDE = "outside"
    """No value of the register: the state stays."""
    RESET = "reset"
    """Lower than before, and not by passing the modulus: set back, replaced unsaid, or misread."""
    UNSTATED_SWAP = "unstated swap"
    JUMPED = "jumped"
    """More than the meter can have consumed."""
    UNCERTAIN = "uncertain"
    """So long since the last reading that the register may have gone round once more."""


class Register(NamedTuple):
    """A register: its modulus (10^6 for six digits) and the most it can count in an hour, in its own scaled units."""

    modulus: int
    most_per_hour: int


class Seen(NamedTuple):
    """One reading that counts on: ms UTC, the register's value, the meter's serial number ("" where it has none)."""

    at: int
    value: int
    serial: str = ""


class Swap(NamedTuple):
    """What the fitter wrote down: the old meter's last value and the new one's first."""

    last: int
    first: int


class State(NamedTuple):
    """What is kept between readings: the last one, and the higher one before it where it was lower."""

    last: Seen | None = None
    before: Seen | None = None


class Consumption(NamedTuple):
    """What was consumed in (start, end], ms UTC; no amount where that can't be known, no start at the first reading."""

    start: int | None
    end: int
    amount: int | None
    verdict: Verdict


def consume(
    register: Register, state: State, seen: Seen, *, restarted: bool = False, swap: Swap | None = None
) -> tuple[State, Consumption]:
    """What a reading adds, and the state behind it. `restarted`: the device says that its register began at 0 again."""
    last = state.last
    if not 0 <= seen.value < register.modulus:
        return state, Consumption(last and last.at, seen.at, None, Verdict.OUTSIDE)
    if last is None:
        return State(seen), Consumption(None, seen.at, None, Verdict.FIRST)
    if seen.at <= last.at:
        return state, Consumption(last.at, seen.at, None, Verdict.LATE)
    if seen.serial != last.serial:
        return State(seen), _swapped(register, last, seen, swap)
    verdict, amount = (Verdict.RESET, None) if restarted else _judge(register, state, last, seen)
    start = state.before.at if verdict is Verdict.RETURNED and state.before else last.at
    suspect = last if verdict is Verdict.RESET and not restarted else None
    return State(seen, suspect), Consumption(start, seen.at, amount, verdict)


def _judge(register: Register, state: State, last: Seen, seen: Seen) -> tuple[Verdict, int | None]:
    if (before := state.before) and before.value <= seen.value:
        amount = seen.value - before.value
        if amount <= _most(register, before, seen) < register.modulus:
            return Verdict.RETURNED, amount
    most = _most(register, last, seen)
    if most >= register.modulus:
        return Verdict.UNCERTAIN, None
    if seen.value >= last.value:
        amount = seen.value - last.value
        return (Verdict.COUNTED, amount) if amount <= most else (Verdict.JUMPED, None)
    amount = seen.value + register.modulus - last.value
    return (Verdict.ROLLED_OVER, amount) if amount <= most else (Verdict.RESET, None)


def _most(register: Register, last: Seen, seen: Seen) -> int:
    """The most that can have been consumed between two readings; one unit more for where within a unit they fell."""
    return register.most_per_hour * (seen.at - last.at) // HOUR_MS + 1


def _swapped(register: Register, last: Seen, seen: Seen, swap: Swap | None) -> Consumption:
    if swap is None:
        return Consumption(last.at, seen.at, None, Verdict.UNSTATED_SWAP)
    amount = (swap.last - last.value) % register.modulus + (seen.value - swap.first) % register.modulus
    if amount > _most(register, last, seen):
        return Consumption(last.at, seen.at, None, Verdict.JUMPED)
    return Consumption(last.at, seen.at, amount, Verdict.SWAPPED)


REMEMBERED_STEPS = 1_024
"""How many steps behind its latest reading a register's readings are known: what comes later still makes gaps."""


class Counted(NamedTuple):
    """A point that is a register, due every `step_ms`, and the point `amount` whose readings are what it counts.

    Both have `scale` decimal places.
    """

    amount: str
    register: Register
    step_ms: int
    scale: int


class Read(NamedTuple):
    """A register's value, in its scaled unit, and how far back its readings are still of use; times in ms UTC."""

    point: str
    at: int
    value: int
    oldest: int


def amounts(
    counters: Mapping[str, Counted],
    readings: Iterable[RawReading],
    known: Callable[[str, int], int | None],
    latest: int,
) -> tuple[list[RawReading], list[Read], Counter[str]]:
    """What the registers among `readings` have counted, as readings at the start of their step; and what is known then.

    `known` gives a register's value at a time, of readings before. The first value of a time counts. No reading off
    its steps, later than `latest` or with another flag than N is counted from. The counts are of verdicts.
    """
    fresh: dict[tuple[str, int], Read] = {}
    found, verdicts = list[RawReading](), Counter[str]()

    def value(point: str, at: int) -> int | None:
        read = fresh.get((point, at))
        return known(point, at) if read is None else read.value

    for reading in readings:
        counted = counters.get(reading.point)
        number = None if counted is None else scaled(reading.value, counted.scale)
        if counted is None or number is None or not _counts(counted, reading, number, latest):
            continue
        point, at, step = reading.point, reading.at, counted.step_ms
        if value(point, at) is not None:
            continue
        fresh[point, at] = Read(point, at, number, at - REMEMBERED_STEPS * step)
        for end in (at, at + step):
            past = [value(point, end - steps * step) for steps in (2, 1, 0)]
            if past[1] is not None and past[2] is not None:
                verdict, amount = _step(counted.register, past[0], past[1], past[2], step)
                verdicts[verdict] += 1
                if amount is not None:
                    found.append(RawReading(counted.amount, end - step, Decimal(amount).scaleb(-counted.scale)))
    return found, list(fresh.values()), verdicts


def _counts(counted: Counted, reading: RawReading, number: int, latest: int) -> bool:
    due = reading.at % counted.step_ms == 0 and reading.at <= latest
    return due and reading.flag == "N" and 0 <= number < counted.register.modulus


def _step(register: Register, before: int | None, last: int, now: int, step: int) -> tuple[Verdict, int | None]:
    """What was counted in the step between the last two of three readings, one step apart; the first may be missing."""
    state = State() if before is None else State(Seen(0, before))
    state, _ = consume(register, state, Seen(step, last))
    _, consumption = consume(register, state, Seen(2 * step, now))
    return consumption.verdict, consumption.amount if consumption.start == step else None
