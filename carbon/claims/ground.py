"""What contents are judged by: bounds with their reasons, and the checks that several kinds share.

Each check is the refusal of one rule, PASS (which is false) when it holds: a kind's rules are checks joined by `or`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from carbon import calendar
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.subject import KINDS
from carbon.submission import Submission

MOST_G = 10**15
"""A gigatonne of CO2e: no enterprise emits as much in a year. This and all bounds here are declared."""
MOST_CREDITS = 10**9
"""Offset credits of one submission: the same in tonnes."""
MOST_FEN = 10**17
"""10^15 CNY: more than a country's product of a year."""
MOST_PRICE_FEN_T = 10**7
"""100,000 CNY a tonne: far above every market."""
MOST_ALERT_DAYS = 60
"""Measures for heavy pollution last days; two months are a mistake in a date."""
MOST_NAME, MOST_TEXT, MOST_RULES = 64, 4_000, 65_536
"""Characters of a name, of a text, and of a rule set."""
MOST_ROWS = 1_000
"""Rows of a list."""
DIGEST_BYTES = 32

_HOUR_MS = 3_600_000
# names stand in lines of the replicated state between spaces; explicit, as what Unicode calls a space changes
_NAME = re.compile(r"[^\x00-\x20\x7f-\xa0\u2028\u2029\u3000]+")


@dataclass(frozen=True)
class Ground:
    """What a content is judged by, beside itself."""

    registry: Registry
    utc_offset_minutes: int


Rule = Callable[[Submission, Ground], Refusal]


def positive(amount: int, most: int) -> Refusal:
    """An amount above 0."""
    return Refusal.NOT_POSITIVE if amount < 1 else not_negative(amount, most)


def not_negative(amount: int, most: int) -> Refusal:
    """An amount that may be 0."""
    if amount < 0:
        return Refusal.NOT_POSITIVE
    return Refusal.ABSURD if amount > most else Refusal.PASS


def all_not_negative(amounts: Iterable[int], most: int) -> Refusal:
    """Amounts that may be 0."""
    return next((found for amount in amounts if (found := not_negative(amount, most))), Refusal.PASS)


def equal(stated: int, computed: int) -> Refusal:
    """What is stated is what comes out."""
    return Refusal.PASS if stated == computed else Refusal.WRONG_AMOUNT


def name(text: str) -> Refusal:
    """A name: one word, without spaces or control characters."""
    return Refusal.PASS if len(text) <= MOST_NAME and _NAME.fullmatch(text) else Refusal.MALFORMED


def text(text: str) -> Refusal:
    """A text that says something."""
    return Refusal.PASS if len(text) <= MOST_TEXT and any(char > " " for char in text) else Refusal.MALFORMED


def one_of(term: object, terms: Iterable[object]) -> Refusal:
    """A term of a list."""
    return Refusal.PASS if term in terms else Refusal.UNKNOWN_TERM


def rising(keys: Sequence[object]) -> Refusal:
    """Keys of rows, sorted and without doubles."""
    in_order = len(keys) <= MOST_ROWS and list(keys) == sorted(set(keys))  # type: ignore[type-var]
    return Refusal.PASS if in_order else Refusal.MALFORMED


def digests(rows: Sequence[bytes]) -> Refusal:
    """Digests, sorted and without doubles."""
    return rising(rows) or (Refusal.MALFORMED if any(len(row) != DIGEST_BYTES for row in rows) else Refusal.PASS)


def years(*stated: int) -> Refusal:
    """Years that anything may be about."""
    return Refusal.PASS if all(year in calendar.YEARS for year in stated) else Refusal.WRONG_PERIOD


def days(start: int, end: int, ground: Ground) -> Refusal:
    """A period of whole days where the channel is, within one compliance year."""
    offset = ground.utc_offset_minutes
    if not (start < end and calendar.is_sane(start, offset) and calendar.is_sane(end, offset)):
        return Refusal.WRONG_PERIOD
    on_days = calendar.begins_day(start, offset) and calendar.begins_day(end, offset)
    in_year = calendar.year_of(start, offset) == calendar.year_of(end - 1, offset)
    return Refusal.PASS if on_days and in_year else Refusal.WRONG_PERIOD


def months(start: int, end: int, ground: Ground) -> Refusal:
    """A period of whole months where the channel is, within one compliance year."""
    if days(start, end, ground):
        return Refusal.WRONG_PERIOD
    offset = ground.utc_offset_minutes
    whole = calendar.begins_month(start, offset) and calendar.begins_month(end, offset)
    return Refusal.PASS if whole else Refusal.WRONG_PERIOD


def hours(start: int, end: int, most_days: int, ground: Ground) -> Refusal:
    """A period of whole hours where the channel is, of some days at most."""
    offset = ground.utc_offset_minutes
    if not (start < end <= start + most_days * calendar.DAY_MS and calendar.is_sane(start, offset)):
        return Refusal.WRONG_PERIOD
    on_hours = all((at + offset * 60_000) % _HOUR_MS == 0 for at in (start, end))
    return Refusal.PASS if on_hours else Refusal.WRONG_PERIOD


def with_an_account(subject: str, ground: Ground) -> Refusal:
    """A subject that emits: no region."""
    return Refusal.WRONG_SUBJECT if ground.registry.subjects[subject].regional else Refusal.PASS


def controlled(subject: str, ground: Ground) -> Refusal:
    """A subject of a kind that the market gives allowances."""
    kind = ground.registry.subjects[subject].kind
    return Refusal.PASS if KINDS[kind].controlled else Refusal.WRONG_SUBJECT
