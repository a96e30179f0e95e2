"""Plans and targets, by hand."""

import pytest

from carbon.planning.days import date_of, day_of, first_of, months_of, start_ms, year_of
from carbon.planning.plan import Plan, by_month
from carbon.planning.target import Neutrality, Target

MONTHS = (310, 280, 310, 300, 310, 300, 310, 310, 300, 310, 300, 310)
PLAN = Plan(2023, MONTHS, (0,) * 12)


def test_a_day_begins_at_the_channels_offset() -> None:
    """2022-12-31T16:00Z is midnight of the new year at +08:00."""
    first = first_of(2023)
    assert (year_of(first), date_of(first).isoformat(), year_of(first - 1)) == (2023, "2023-01-01", 2022)
    assert start_ms(first, 480) == 1_672_502_400_000
    assert [day_of(1_672_502_400_000 + more, 480) - first for more in (-1, 0, 86_399_999, 86_400_000)] == [-1, 0, 0, 1]


def test_a_year_has_its_months() -> None:
    assert [len(month) for month in months_of(2024)] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert months_of(2024)[-1].stop == first_of(2025)


def test_what_is_due_by_a_day() -> None:
    """Ten a day: January's 31 days make 310."""
    first = first_of(2023)
    assert [PLAN.due_g(first + day) for day in (-1, 0, 30, 31, 364, 365)] == [0, 10, 310, 320, 3650, 3650]
    assert PLAN.total_g == 3650


def test_a_part_of_a_month_is_rounded_half_even() -> None:
    plan = Plan(2023, (31, 1, *MONTHS[2:]), (0,) * 12)  # February: 14 of 28 days of 1 g are a half
    assert plan.due_g(first_of(2023, 2) + 13) == 31
    assert Plan(2023, (31, 3, *MONTHS[2:]), (0,) * 12).due_g(first_of(2023, 2) + 13) == 33


def test_months_beside_what_was_emitted() -> None:
    rows = by_month(PLAN, [11] * 40)
    assert [(row.month, row.planned_g, row.actual_g) for row in rows[:3]] == [
        (1, 310, 341),
        (2, 280, 99),
        (3, 310, None),
    ]
    assert len(rows) == 12


def test_a_plan_of_a_submission() -> None:
    months = [{"emission_g": g, "output": 2 * g} for g in MONTHS]
    content = {"subject": "s", "year": 2023, "months": months, "product": "steel", "scale": 0, "unit": "t"}
    assert Plan.of(content) == Plan(2023, MONTHS, tuple(2 * g for g in MONTHS), "steel", "t", 0)


def target(*path: tuple[int, int]) -> Target:
    ends = {"base_year": 2020, "base_g": 1_000, "target_year": 2030, "target_g": 500}
    return Target.of({"subject": "s", **ends, "path": [{"year": y, "amount_g": g} for y, g in path]})


def test_a_path_is_a_straight_line_where_none_is_stated() -> None:
    assert [target().path_g(year) for year in (2019, 2020, 2021, 2025, 2030, 2040)] == [None, 1000, 950, 750, 500, 500]


def test_a_stated_path_is_kept_and_filled_between() -> None:
    """2020 to 2026 takes off 300 in six years; 2026 to 2030 takes off 200 in four."""
    path = target((2026, 700))
    assert [path.path_g(year) for year in (2023, 2026, 2027, 2030)] == [850, 700, 650, 500]


def test_a_path_is_rounded_half_even() -> None:
    between = Target(((2020, 2), (2022, 3)))
    assert between.path_g(2021) == 2
    assert Target(((2020, 3), (2022, 4))).path_g(2021) == 4


@pytest.mark.parametrize(("figures", "gap"), [((1_000, 200, 300), 500), ((1_000, 700, 400), -100)])
def test_the_gap_to_neutrality(figures: tuple[int, int, int], gap: int) -> None:
    assert Neutrality(*figures).gap_g == gap
