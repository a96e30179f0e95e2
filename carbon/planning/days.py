"""Days and compliance years at the channel's fixed UTC offset. A day is a number: days since 1970-01-01 there."""

from datetime import date

from carbon.calendar import DAY_MS

_EPOCH = date(1970, 1, 1).toordinal()


def day_of(ms: int, offset_minutes: int) -> int:
    """The day that holds a moment, ms UTC."""
    return (ms + offset_minutes * 60_000) // DAY_MS


def start_ms(day: int, offset_minutes: int) -> int:
    """The first instant of a day, ms UTC."""
    return day * DAY_MS - offset_minutes * 60_000


def date_of(day: int) -> date:
    """The date of a day."""
    return date.fromordinal(_EPOCH + day)


def year_of(day: int) -> int:
    """The compliance year of a day: a calendar year."""
    return date_of(day).year


def first_of(year: int, month: int = 1) -> int:
    """The first day of a month; month 13 is January of the next year."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1).toordinal() - _EPOCH


def months_of(year: int) -> tuple[range, ...]:
    """The days of each month, January first."""
    return tuple(range(first_of(year, month), first_of(year, month + 1)) for month in range(1, 13))
