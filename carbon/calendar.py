"""Days, months and compliance years at a channel's fixed UTC offset: a year is a calendar year there.

Instants are ms UTC, offsets minutes east of UTC as the genesis states them (`utc_offset_minutes`).
"""

from datetime import UTC, datetime, timedelta

YEARS = range(1990, 2101)
"""Years that anything may be about: from the base year of the Kyoto protocol, beyond every stated neutrality."""
DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def year_start(year: int, utc_offset_minutes: int) -> int:
    """The first instant of a compliance year."""
    return month_start(year, 1, utc_offset_minutes)


def month_start(year: int, month: int, utc_offset_minutes: int) -> int:
    """The first instant of a month, 1 to 12; month 13 is the next January."""
    years, months = divmod(month - 1, 12)
    days = (datetime(year + years, months + 1, 1, tzinfo=UTC) - _EPOCH).days
    return days * DAY_MS - utc_offset_minutes * 60_000


def year_of(at_ms: int, utc_offset_minutes: int) -> int:
    """The compliance year of an instant. Raises OverflowError for one that no calendar has."""
    return _local(at_ms, utc_offset_minutes).year


def begins_day(at_ms: int, utc_offset_minutes: int) -> bool:
    """Whether a day begins at an instant."""
    return (at_ms + utc_offset_minutes * 60_000) % DAY_MS == 0


def begins_month(at_ms: int, utc_offset_minutes: int) -> bool:
    """Whether a month begins at an instant. Raises OverflowError for one that no calendar has."""
    return begins_day(at_ms, utc_offset_minutes) and _local(at_ms, utc_offset_minutes).day == 1


def is_sane(at_ms: int, utc_offset_minutes: int) -> bool:
    """Whether an instant is in `YEARS`, or the first after them."""
    first, last = YEARS[0], YEARS[-1]
    return year_start(first, utc_offset_minutes) <= at_ms <= year_start(last + 1, utc_offset_minutes)


def _local(at_ms: int, utc_offset_minutes: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms, minutes=utc_offset_minutes)
