"""Moments of the ledger: heights and times, and what lies up to them."""

import pytest

from carbon.ledger.moment import Moment, MomentError, moment_of, moment_text, month
from tests.small import HOUR, START


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, Moment()),
        ("1200", Moment(height=1200)),
        ("1970-01-02", Moment(time_ms=2 * 86_400_000 - 3_600_000 - 1)),
        ("1970-01-02T00:00", Moment(time_ms=86_400_000 - 3_600_000)),
        ("1970-01-02T00:00Z", Moment(time_ms=86_400_000)),
        ("1970-01-02T00:00:00.250+01:00", Moment(time_ms=86_400_000 - 3_600_000 + 250)),
    ],
)
def test_a_moment_is_a_height_or_a_time_and_a_day_is_meant_to_its_end(text: str | None, moment: Moment) -> None:
    assert moment_of(text, 60) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "-3", "2024-13-01", "0001-01-01T00:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(MomentError, match="neither a height"):
        moment_of(text, 60)


def test_a_moment_includes_the_block_of_its_height_and_time() -> None:
    assert Moment().includes(9, 9)
    assert [Moment(height=2).includes(height, 0) for height in (1, 2, 3)] == [True, True, False]
    assert [Moment(time_ms=2).includes(1, time) for time in (1, 2, 3)] == [True, True, False]


def test_a_month_is_that_of_the_channels_offset() -> None:
    eve = START - HOUR
    assert (month(eve, 0), month(eve, 60), month(START, -1)) == ("2015-12", "2016-01", "2015-12")


def test_a_time_is_written_to_the_millisecond() -> None:
    assert moment_text(3_007) == "1970-01-01T00:00:03.007Z"
