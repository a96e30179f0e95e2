"""What the demonstration's parties state: of everybody who emits, in amounts that add up to what is declared."""

from collections import Counter

import pytest

from carbon import calendar
from infra.demo import parameters, stated
from infra.demo.parameters import Parameters, ScenarioError
from infra.demo.stated import Statement
from schemas import codec

OFFSET = 60


@pytest.fixture(scope="module")
def declared() -> Parameters:
    return parameters.load()


def of(declared: Parameters, kind: str, subject: str, days: int | None = None) -> Statement:
    found = stated.statements(declared, OFFSET, days)
    (one,) = [each for each in found if each.kind == kind and each.content["subject"] == subject]
    return one


def test_everybody_who_emits_has_all_four_and_the_region_value_added(declared: Parameters) -> None:
    found = Counter((each.kind, each.content["subject"]) for each in stated.statements(declared, OFFSET, 7))
    kinds = ("allocation", "plan", "output", "gdp")
    wanted = {(kind, subject) for kind in kinds for subject in declared.emitters()} | {("gdp", "region-demo")}
    assert found == Counter(wanted)


def test_contents_are_of_their_schemas(declared: Parameters) -> None:
    for each in stated.statements(declared, OFFSET, None):
        codec.encode_bare(f"submission-{each.kind}", each.content)


def test_a_plans_months_add_up_to_the_year(declared: Parameters) -> None:
    """8,800,000 t in 366 days: January has 31 of them, February 29."""
    months = of(declared, "plan", "coal-north").content["months"]
    assert len(months) == 12
    assert sum(month["emission_g"] for month in months) == 8_800_000 * 10**6
    assert sum(month["output"] for month in months) == 8_450_000 * 10**3
    assert months[0]["emission_g"] == round(8_800_000 * 10**6 * 31 / 366)
    assert months[1]["emission_g"] == 8_800_000 * 10**6 * 60 // 366 - months[0]["emission_g"] + 1


def test_output_is_of_the_days_that_are_replayed(declared: Parameters) -> None:
    year, week = of(declared, "output", "bakeries").content, of(declared, "output", "bakeries", 7).content
    assert (year["start"], year["quantity"], year["unit"]) == (calendar.year_start(2016, OFFSET), 7_600_000, "t")
    assert year["end"] == calendar.year_start(2017, OFFSET)
    assert (week["end"] - week["start"], week["quantity"]) == (7 * calendar.DAY_MS, round(7_600_000 * 7 / 366))


@pytest.mark.parametrize(("days", "months", "of_366"), [(2, 1, 31), (31, 1, 31), (32, 2, 60), (None, 12, 366)])
def test_value_added_is_of_whole_months(declared: Parameters, days: int | None, months: int, of_366: int) -> None:
    content = of(declared, "gdp", "bakeries", days).content
    assert content["end"] == calendar.month_start(2016, months + 1, OFFSET)
    assert content["amount_fen"] == round(95_000_000 * 100 * of_366 / 366)


def test_nobody_is_left_out(declared: Parameters) -> None:
    less = declared.submissions.model_copy(update={"stated": declared.submissions.stated[1:]})
    with pytest.raises(ScenarioError, match="every plant and enterprise"):
        parameters.check(declared.model_copy(update={"submissions": less}))
