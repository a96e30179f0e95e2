"""The regulator's view of the shipped year, from its accepted statements alone, by hand."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from carbon.compliance import ComplianceError
from carbon.refusal import Refusal
from carbon.regulator.oversight import EXTRACTS, Oversight
from carbon.regulator.statements import Statements
from infra.compliance import cycle
from infra.compliance import scenario as scenarios
from infra.compliance.cycle import Year
from infra.compliance.market import Market, market_of

TONNE, CNY = 10**6, 100
SCENARIO = scenarios.load(scenarios.shipped(2023))


@pytest.fixture(scope="module")
def year() -> Year:
    return cycle.run(SCENARIO)


def overseen(year: Year, until: date, emissions: dict[tuple[str, int], int] | None = None) -> Oversight:
    """The region on a day: what was stated until then, through a market of its own."""
    market, statements = market_of(SCENARIO), Statements(SCENARIO.utc_offset_minutes)
    for one in year.market.stated:
        if one.day <= until:
            assert market.book.apply(one.submission, market.instant(one.day))[0] is Refusal.PASS
            statements.take(one.submission, market.instant(one.day))
    return of(market, statements, until, emissions or {})


def of(market: Market, statements: Statements, day: date, emissions: dict[tuple[str, int], int]) -> Oversight:
    place = (SCENARIO.region, 2023, market.instant(day))
    return Oversight(*place, market.registry, market.book, statements, emissions)


def proposed(found: Oversight, **more: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["subject"], row["rule"]): row for row in found.proposals(allowed=SCENARIO.allowed, **more)}


def test_totals_and_ratings_by_hand(year: Year):
    found = overseen(year, date(2025, 1, 6))
    # 5,430,000 + 1,740,000 + 512,000 + 905,000 t over 2,350 + 520 + 610 + 190 million CNY
    assert (found.total.emission_g, found.total.unverified_g) == (8_587_000 * TONNE, 0)
    assert found.total.gdp_fen == 3_670_000_000 * CNY
    assert found.total.per_output["electricity", "MWh"] == 807_500
    grades = {name: rating.outcome for name, rating in found.rated("grade").items()}
    assert grades == {"river-bend": "B", "hilltop": "C", "harbour-gas": "-", "quarry": "C"}
    assert found.rated("colour")["quarry"].outcome == "red"


def test_before_the_verification_the_accounts_count(year: Year):
    emitted = {("quarry", 2023): 900_000 * TONNE, ("quarry", 2022): 5, ("elsewhere", 2022): 7}
    found = overseen(year, date(2024, 3, 1), emitted)
    (quarry,) = [each for each in found.performances if each.subject == "quarry"]
    assert (quarry.emission_g, quarry.verified, quarry.due_g) == (900_000 * TONNE, False, 900_000 * TONNE)
    # what was given in advance: 70 % of 845,070 t
    assert quarry.held_g == 591_549 * TONNE
    assert quarry.before is not None and quarry.before.emission_g == 5
    assert found.total.unverified_g == 900_000 * TONNE


def test_what_is_proposed_is_what_was_decided(year: Year):
    found = proposed(overseen(year, date(2025, 1, 5)))
    decided = [one for one in year.market.stated if one.submission.kind == "decision" and one.day == date(2025, 1, 6)]
    assert len(decided) == len(found) == 5
    for one in decided:
        row = found[one.submission.content["subject"], one.submission.content["rule"]]
        assert (row["amount_fen"], row["cut_g"]) == tuple(
            one.submission.content[name] for name in ("amount_fen", "cut_g")
        )
        assert row["records"]


def test_nothing_is_proposed_before_the_deadline_has_passed(year: Year):
    assert proposed(overseen(year, date(2024, 12, 31))) == {}
    assert proposed(overseen(year, date(2025, 1, 1)))


def test_a_refusal_is_named_and_cuts(year: Year):
    found = proposed(overseen(year, date(2025, 3, 1)), refused=["quarry"])
    assert found["quarry", "refused_correction"]["cut_g"] == 59_930 * TONNE
    assert ("quarry", "missed_surrender") not in found
    # it corrected, too late to be named for it
    assert not [rule for subject, rule in found if subject == "hilltop"]


def test_without_the_price_no_fine_is_proposed(year: Year):
    found = overseen(year, date(2025, 1, 5))
    found.statements.prices.clear()
    with pytest.raises(ValueError, match="missed_surrender of hilltop without price_fen_t"):
        proposed(found)


def test_false_data_that_an_inspection_found_by_hand(year: Year):
    found = overseen(year, date(2025, 9, 1))
    (fine,) = found.false_data({"quarry": 0})
    assert (fine["rule"], fine["amount_fen"], fine["cut_g"]) == ("false_data", 500_000 * CNY, 0)
    # 800,000 CNY gained, times 5
    assert found.false_data({"hilltop": 800_000 * CNY})[0]["amount_fen"] == 4_000_000 * CNY
    # half of 780,958 t
    (cut,) = found.false_data({"quarry": 0}, refused=["quarry"])
    assert (cut["rule"], cut["amount_fen"], cut["cut_g"]) == ("refused_false_data", 0, 390_479 * TONNE)
    with pytest.raises(ComplianceError, match="nothing is allocated to hilltop for 2024"):
        found.false_data({"hilltop": 0}, refused=["hilltop"])


def test_measures_go_by_the_grades(year: Year):
    rows = overseen(year, date(2025, 1, 6)).measures("ORANGE")
    assert [(row["subject"], row["limit_percent"]) for row in rows] == [
        ("harbour-gas", 80),
        ("hilltop", 50),
        ("quarry", 50),
        ("river-bend", 80),
    ]


def test_extracts_by_hand(year: Year):
    found = overseen(year, date(2025, 3, 1))
    fiscal = {(row["subject"], row["item"]): row for row in found.extract("fiscal", 10_000)}
    assert fiscal["quarry", "allocated for nothing"]["amount_fen"] == 84_507_000 * CNY
    assert fiscal["quarry", "fines"]["amount_fen"] == 29_965_000 * CNY
    assert fiscal["quarry", "fines"]["verified"]
    assert "allocation_benchmarks.2023.coal_unconventional.elec" in fiscal["quarry", "fines"]["from_memory"]
    # 42,000 t at 98 CNY, recorded in 2024
    sold = {
        row["subject"]: row for row in replace(found, year=2024).extract("tax", 0) if row["item"] == "allowances sold"
    }
    assert (sold["river-bend"]["amount_g"], sold["river-bend"]["amount_fen"]) == (42_000 * TONNE, 4_116_000 * CNY)
    green = {row["subject"]: row for row in found.extract("green-finance", 0)}
    assert (green["hilltop"]["g_per_unit"], green["hilltop"]["colour"]) == ("870000.0000", "red")
    for name, columns in EXTRACTS.items():
        assert all(set(row) == set(columns) for row in found.extract(name, 1))


def test_value_added_of_the_region_is_what_is_stated_of_it(year: Year):
    found = overseen(year, date(2025, 1, 6))
    found.statements.years[SCENARIO.region, 2023].gdp.update({"fen": 500 * CNY, "periods": 1})
    assert found.total.gdp_fen == 500 * CNY
    assert SCENARIO.region not in found.subjects
