"""What stands after some height: balances, and the facts that the next submission is judged by.

It grows with accounts, years and parties, never with submissions, and is part of the replicated state.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from carbon import calendar
from carbon.emission import round_half_even
from carbon.ledger import ranges
from carbon.ledger.chart import CLASSES, account, parse, word
from carbon.ledger.past import Past
from carbon.ledger.ranges import Ranges
from carbon.refusal import Refusal

GRAMS_PER_CREDIT = 1_000_000
OFFSET_SHARE = 20
"""One part in so many of the need may be met by credits: 5 % (factor row ets_rules.ccer_offset_cap)."""
BANKED_G, BANKED_HALVES_OF_NET_SALES = 10_000_000_000, 3
"""What may be carried on: 10,000 t and 1.5 times net sales (factor row ets_rules.banking_cap_2019_2024)."""
MOST_RANGES = {"issued": 10_000}
"""Ranges of one set; what would break it into more is refused."""
MOST_RANGES_ELSE = 1_000
I64_MAX = 2**63 - 1
MOST_POSTED = I64_MAX // 2
"""Debits or credits of an account by submissions; the rest is for window records."""

Key = tuple[str, ...]
"""What a set of ranges is of: its name, and whom and what it is about."""


class Refused(Exception):
    """A submission that a rule refuses."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.label)
        self.reason = reason


class Fact(NamedTuple):
    """What stands from now on under a key of one of the book's tables; None or no ranges: nothing."""

    table: str
    key: Hashable
    value: object


class Allocated(NamedTuple):
    """What a subject was given for a year: in advance, if anything was, g CO2e; and whether that is settled."""

    pre_g: int | None
    final: bool


class Cut(NamedTuple):
    """What a decision takes off the next year's allowances, g CO2e; who decided it, and whether it was taken off."""

    commitment: bytes
    cut_g: int
    party: str
    number: int
    used: bool

    def words(self) -> str:
        """As words of a line."""
        return f"{self.commitment.hex()} {self.cut_g} {word(self.party)} {self.number} {int(self.used)}"


@dataclass
class Standing:
    """Balances and facts after some height."""

    utc_offset_minutes: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    """The last submission of each party."""
    balances: dict[str, int] = field(default_factory=dict)
    """Debits less credits of each account that submissions posted to."""
    credits: dict[str, int] = field(default_factory=dict)
    """All credits of each of them: what goes to and fro must stay inside 64 bits too, for whoever adds it up."""
    ranges: dict[Key, Ranges] = field(default_factory=dict)
    """Serial numbers by scheme that are issued and retired, and held by a subject; instants that periods cover, ms."""
    allocated: dict[tuple[str, int], Allocated] = field(default_factory=dict)
    verified: set[tuple[str, int]] = field(default_factory=set)
    """Subject and year."""
    closed: dict[str, int] = field(default_factory=dict)
    """The last year of each subject that is closed, and with it all before."""
    cuts: dict[tuple[str, int], Cut] = field(default_factory=dict)
    """By subject and the year that it is for."""
    past: dict[str, Past] = field(default_factory=dict)

    def year(self, at_ms: int) -> int:
        """The compliance year of an instant."""
        return calendar.year_of(at_ms, self.utc_offset_minutes)

    def held(self, kind: str, subject: str, *parts: object) -> int:
        """What an account holds, on the side on which it grows."""
        return CLASSES[kind].grows * self.balances.get(account(kind, subject, *parts), 0)

    def holdings(self, subject: str, year: int) -> dict[int, tuple[int, int]]:
        """Allowances of vintages up to a year, by vintage, the oldest first: banked and not, g CO2e."""
        vintages = range(calendar.YEARS[0], year + 1)
        held = {v: (self.held("banked", subject, v), self.held("allowances", subject, v)) for v in vintages}
        return {vintage: both for vintage, both in held.items() if any(both)}

    def is_closed(self, subject: str, year: int) -> bool:
        """Whether a subject's year is closed."""
        return year <= self.closed.get(subject, year - 1)

    def require_open(self, subject: str, year: int) -> None:
        """Raises Refused for a year that is closed."""
        if self.is_closed(subject, year):
            raise Refused(Refusal.YEAR_CLOSED)

    def credited(self, subject: str, year: int) -> int:
        """Credits that count towards a year's need, as many whole ones as their cap allows, g CO2e."""
        most = self.held("due", subject, year) // (OFFSET_SHARE * GRAMS_PER_CREDIT)
        return GRAMS_PER_CREDIT * min(self.held("retired", subject, year, "compliance"), most)

    def open_need(self, subject: str, year: int) -> int:
        """What is still to be surrendered for a year, g CO2e."""
        due, surrendered = self.held("due", subject, year), self.held("surrendered", subject, year)
        return max(0, due - surrendered - self.credited(subject, year))

    def net_sold(self, subject: str, year: int) -> int:
        """Allowances of vintages up to a year that a subject sold more than it bought, g CO2e."""
        return max(0, sum(self.held("traded", subject, vintage) for vintage in range(calendar.YEARS[0], year + 1)))

    def banking_cap(self, subject: str, year: int) -> int:
        """The most that a subject may carry on from a year, g CO2e (allocation plan 2023-2024)."""
        return BANKED_G + round_half_even(BANKED_HALVES_OF_NET_SALES * self.net_sold(subject, year), 2)

    def emission_accounts(self, subject: str, year: int, source: str) -> tuple[str, str]:
        """What an emission debits and credits; that of a closed year is a correction in the next open one."""
        kind = "corrections" if self.is_closed(subject, year) else "emissions"
        year = max(year, self.closed.get(subject, year - 1) + 1)
        return account(kind, subject, year, source), account("obligation", subject, year)

    def covering(self, key: Key, first: int, end: int) -> Ranges:
        """A set of ranges with one more. Raises Refused where it overlaps or would be one too many."""
        if ranges.overlaps(self.ranges.get(key, ()), first, end):
            raise Refused(Refusal.OVERLAPS)
        return bounded(key, ranges.added(self.ranges.get(key, ()), first, end))

    def uncovering(self, key: Key, first: int, end: int) -> Ranges:
        """A set of ranges without one that is in it. Raises Refused."""
        if not ranges.covers(self.ranges.get(key, ()), first, end):
            raise Refused(Refusal.NOT_REVERSIBLE)
        return bounded(key, ranges.without(self.ranges[key], first, end))

    def put(self, facts: Iterable[Fact]) -> None:
        """Take in facts. Nothing is looked at here that could be wrong: it was, before the first was made."""
        for table, key, value in facts:
            kept = getattr(self, table)
            if isinstance(kept, set):
                (kept.discard if value is None else kept.add)(key)
            elif value in (None, ()):
                kept.pop(key, None)
            else:
                kept[key] = value

    def lines(self) -> list[str]:
        """What stands as lines of the state's canonical text; each begins with `book `."""
        lines = [f"book number {word(party)} {number}" for party, number in self.numbers.items()]
        lines += [f"book account {name} {net} {self.credits.get(name, 0)}" for name, net in self.balances.items()]
        lines += [f"book ranges {':'.join(map(word, key))} {ranges.text(some)}" for key, some in self.ranges.items()]
        lines += [
            f"book allocated {word(subject)} {year} {'-' if given.pre_g is None else given.pre_g} {int(given.final)}"
            for (subject, year), given in self.allocated.items()
        ]
        lines += [f"book verified {word(subject)} {year}" for subject, year in self.verified]
        lines += [f"book closed {word(subject)} {year}" for subject, year in self.closed.items()]
        lines += [f"book cut {word(subject)} {year} {cut.words()}" for (subject, year), cut in self.cuts.items()]
        return lines + [
            f"book past {word(party)} {past.size} {','.join(peak.hex() for peak in past.peaks)}"
            for party, past in self.past.items()
        ]

    def read_line(self, words: list[str]) -> None:
        """Take in a line that `lines` made, without its `book`, as words. Raises ValueError."""
        match words:
            case ["number", party, number]:
                self.numbers[unquote(party)] = int(number)
            case ["account", name, balance, credited]:
                parse(name)
                self.balances[name], self.credits[name] = int(balance), int(credited)
            case ["ranges", key, some]:
                self.ranges[tuple(map(unquote, key.split(":")))] = ranges.parse(some)
            case ["allocated", subject, year, pre_g, final]:
                given = Allocated(None if pre_g == "-" else int(pre_g), final == "1")
                self.allocated[unquote(subject), int(year)] = given
            case ["verified", subject, year]:
                self.verified.add((unquote(subject), int(year)))
            case ["closed", subject, year]:
                self.closed[unquote(subject)] = int(year)
            case ["cut", subject, year, commitment, cut_g, party, number, used]:
                cut = Cut(bytes.fromhex(commitment), int(cut_g), unquote(party), int(number), used == "1")
                self.cuts[unquote(subject), int(year)] = cut
            case ["past", party, size, peaks]:
                self.past[unquote(party)] = _past(int(size), peaks)
            case _:
                raise ValueError(f"not a line of a book: {words!r}")


def _past(size: int, words: str) -> Past:
    peaks = tuple(bytes.fromhex(peak) for peak in words.split(","))
    if len(peaks) != size.bit_count() or any(len(peak) != 32 for peak in peaks):
        raise ValueError(f"not the past of {size} submissions: {words!r}")
    return Past(size, peaks)


def bounded(key: Key, some: Ranges) -> Ranges:
    """Ranges that are few enough. Raises Refused."""
    if len(some) > MOST_RANGES.get(key[0], MOST_RANGES_ELSE):
        raise Refused(Refusal.FRAGMENTED)
    return some
