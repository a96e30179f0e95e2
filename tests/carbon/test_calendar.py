"""Compliance years begin at midnight where the channel is."""

from datetime import datetime, timedelta, timezone

import pytest

from carbon import calendar

CHINA = 480


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(("offset", "zone"), [(480, "+08:00"), (0, "+00:00"), (-210, "-03:30")])
def test_a_year_begins_at_local_midnight(offset: int, zone: str) -> None:
    start = ms(f"2023-01-01T00:00:00{zone}")
    assert calendar.year_start(2023, offset) == calendar.month_start(2022, 13, offset) == start
    assert (calendar.year_of(start - 1, offset), calendar.year_of(start, offset)) == (2022, 2023)


def test_months_and_days() -> None:
    zone = timezone(timedelta(minutes=CHINA))
    for day in range(366):
        moment = datetime(2024, 1, 1, tzinfo=zone) + timedelta(days=day)
        at = int(moment.timestamp() * 1000)
        assert calendar.begins_day(at, CHINA)
        assert not calendar.begins_day(at + 1, CHINA)
        assert calendar.begins_month(at, CHINA) == (moment.day == 1)
        assert calendar.begins_month(at, 0) is False


def test_what_no_calendar_of_ours_has() -> None:
    first, after = calendar.year_start(1990, CHINA), calendar.year_start(2101, CHINA)
    found = [calendar.is_sane(at, CHINA) for at in (first - 1, first, after, after + 1, 2**63 - 1, -(2**63))]
    assert found == [False, True, True, False, False, False]
