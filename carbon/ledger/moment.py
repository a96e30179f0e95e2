"""Moments of the ledger: up to where it is read, and months and times as text."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from carbon.calendar import DAY_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


@lru_cache(maxsize=1024)
def month(time_ms: int, offset_minutes: int) -> str:
    """The month of a time in ms UTC at an offset, as `2024-06`."""
    return f"{_EPOCH + timedelta(milliseconds=time_ms, minutes=offset_minutes):%Y-%m}"


def moment_text(time_ms: int) -> str:
    """A time in ms UTC as ISO 8601."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
