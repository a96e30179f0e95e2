"""The shipped year, 2023, against figures worked by hand, and what a year refuses."""

from datetime import date
from typing import Any

import pytest

from carbon import claims
from carbon import submission as submissions
from carbon.compliance import ComplianceError
from carbon.ledger.book import Book
from carbon.ledger.history import History
from carbon.refusal import Refusal
from infra.compliance import contents, cycle, report
from infra.compliance import scenario as scenarios
from infra.compliance.cycle import NotAllowedError, Year
from infra.compliance.market import CHANNEL, market_of, seed
from infra.compliance.scenario import Scenario

TONNE, CNY = 10**6, 100
SCENARIO = scenarios.load(scenarios.shipped(2023))


@pytest.fixture(scope="module")
def year() -> Year:
    return cycle.run(SCENARIO)


def figure(year: Year, name: str) -> list[Any]:
    row = next(row for row in report.figures(year) if row["figure"] == name)
    return [row[each.id] for each in SCENARIO.enterprises]


def changed(**change: object) -> Scenario:
    return SCENARIO.model_copy(update=change)


def with_enterprise(name: str, **change: object) -> Scenario:
    """The scenario with one enterprise changed."""
    made = [each.model_copy(update=change) if each.id == name else each for each in SCENARIO.enterprises]
    return changed(enterprises=tuple(made))


@pytest.mark.parametrize(
    ("name", "tonnes"),
    [
        # 7,000,000 MWh · 0.795; 2,000,000 · 0.809; 1,500,000 · 0.3305 + 900,000 GJ · 0.0536; 1,000,000 · 0.8285 · 1.02
        ("allocated in all", ["5565000", "1618000", "543990", "845070"]),
        # 70 % of 7,200,000 · 0.795; 2,000,000 · 0.809; 1,450,000 · 0.3305 + 48,240; 845,070
        ("allocated in advance", ["4006800", "1132600", "369225.5", "591549"]),
        ("surrendered by the deadline", ["5430000", "1660000", "512000", "845070"]),
        # 1,740,000 - 60,000 - 1,618,000 - 42,000; 905,000 - 845,070
        ("missing at the deadline", ["0", "20000", "0", "59930"]),
        ("surrendered later", ["0", "20000", "0", "0"]),
        ("short at the closing", ["0", "0", "0", "59930"]),
        ("cut of the next year's allowances", ["0", "0", "0", "59930"]),
        # 5,565,000 - 62,000 - 5,430,000, below 10,000 + 1.5 · 62,000; 543,990 - 512,000 above 10,000
        ("carried on", ["73000", "0", "10000", "0"]),
        ("expired", ["0", "0", "21990", "0"]),
    ],
)
def test_tonnes_by_hand(year: Year, name: str, tonnes: list[str]):
    assert figure(year, name) == [int(float(each) * TONNE) for each in tonnes]


@pytest.mark.parametrize(
    ("name", "cny"),
    [
        # 20,000 t and 59,930 t at 102 CNY; 5 and 10 times of them at 100 CNY
        ("cost of closing it at the declared price", [0, 2_040_000, 0, 6_112_860]),
        ("least fine", [0, 10_000_000, 0, 29_965_000]),
        ("most fine", [0, 20_000_000, 0, 59_930_000]),
        ("fined", [0, 10_000_000, 0, 29_965_000]),
        # 370,000 t below the plan at 5 CNY are 1,850,000 CNY, more than the most; 8,000 of 520,000 t are below 5 %
        ("rewarded", [1_000_000, 0, 0, 0]),
    ],
)
def test_money_by_hand(year: Year, name: str, cny: list[int]):
    assert figure(year, name) == [CNY * each for each in cny]


def test_offsets_and_the_next_year_by_hand(year: Year):
    assert figure(year, "offsets that may count") == [271_500, 87_000, 25_600, 45_250]
    assert figure(year, "offsets retired") == [0, 60_000, 0, 0]
    # 1,000,000 MWh · 0.8244 · 1.02 - 59,930 t
    assert figure(year, "allocated for the next year") == [None, None, None, 780_958 * TONNE]


def test_everything_is_accepted_and_the_books_balance(year: Year):
    assert {row["verdict"] for row in report.stated(year)} == {"accepted"}
    assert {row["kind"] for row in report.stated(year)} >= {"plan", "allocation", "verification", "transfer", "closing"}
    assert report.unbalanced(year) == {"g": 0, "fen": 0, "t": 0}


def test_what_missed_the_deadline_by_the_statements_is_what_the_book_has(year: Year):
    before = changed(
        dates=SCENARIO.dates.model_copy(update={"closing": date(2025, 1, 6), "correction": date(2025, 3, 1)})
    )
    quarry = cycle.run(before)
    assert quarry.missing["quarry"] == quarry.book.held("shortfall", "quarry", 2023) == year.missing["quarry"]


def test_every_figure_from_memory_is_marked_and_names_the_rows(year: Year):
    assert year.from_memory == sorted(SCENARIO.allowed)
    for row in report.figures(year):
        assert row["from_memory"] == ([] if row["figure"] in report.UNMARKED else year.from_memory)
    for row in report.decisions(year) + report.rated(year):
        assert row["from_memory"] == year.from_memory
    assert {row["account"] for row in report.books(year) if not row["from_memory"]} >= {"verified:hilltop:2023"}


def test_without_permission_the_year_is_refused_and_the_rows_are_named():
    with pytest.raises(NotAllowedError) as refused:
        cycle.run(SCENARIO.without_permission())
    assert refused.value.rows == sorted(SCENARIO.allowed)
    with pytest.raises(NotAllowedError) as refused:
        cycle.run(changed(allowed=SCENARIO.allowed[1:]))
    assert refused.value.rows == [SCENARIO.allowed[0]]


def test_the_committee_refuses_the_same_without_permission(year: Year):
    given = next(one.submission.content for one in year.market.accepted("allocation", "quarry"))
    body = submissions.body_of("authority", 999, "allocation", {**given, "allowed": []}, bytes(16))
    payload = submissions.signed(body, {"authority": seed("authority")}, CHANNEL)
    assert claims.refusal(payload, CHANNEL, year.market.registry, 480) is Refusal.UNTRUSTED_FACTOR


def test_who_corrects_is_not_cut():
    played = cycle.run(with_enterprise("quarry", corrects=True))
    assert figure(played, "missing at the deadline")[3] == figure(played, "short at the closing")[3] == 59_930 * TONNE
    assert figure(played, "cut of the next year's allowances")[3] == 0
    assert figure(played, "allocated for the next year")[3] == 840_888 * TONNE


def test_a_cut_without_a_decision_is_refused(year: Year):
    quarry = SCENARIO.enterprises[3]
    market = market_of(SCENARIO)
    content = contents.allocation(
        *(quarry, 2024, "FINAL", quarry.output),
        factors=year.factors,
        allowed=SCENARIO.allowed,
        cut=(TONNE, b"\1" * 32),
    )
    assert market.state(date(2025, 8, 15), "allocation", content, "authority").refusal is Refusal.NO_DECISION


def test_a_decision_is_contested_by_its_reversal():
    market, history = market_of(SCENARIO), History()
    fine = {"subject": "hilltop", "year": 2023, "rule": "missed_surrender", "outcome": "a fine", "amount_fen": 500}
    fine |= {"cut_g": 0, "reasons": "a mistake", "records": []}
    made = market.state(date(2025, 1, 6), "decision", fine, "authority")
    history.take(made.submission, made.entry)
    assert market.book.held("fines", "hilltop", 2023) == 500
    content = history.reversal(made.submission.number, "it was surrendered in time")
    assert market.state(date(2025, 1, 7), "reversal", content, "authority").refusal is Refusal.PASS
    assert market.book.held("fines", "hilltop", 2023) == 0
    assert market.state(date(2025, 1, 8), "reversal", content, "authority").refusal is Refusal.NOT_REVERSIBLE


def test_what_is_handed_in_after_the_deadline_was_missing_at_it():
    late = cycle.run(changed(dates=SCENARIO.dates.model_copy(update={"surrender": date(2025, 1, 3)})))
    # all but the 60,000 offsets
    assert figure(late, "missing at the deadline")[:2] == [5_430_000 * TONNE, 1_680_000 * TONNE]
    assert (figure(late, "surrendered by the deadline")[0], figure(late, "rewarded")[0]) == (0, 0)
    assert figure(late, "short at the closing")[0] == 0


def test_older_allowances_are_handed_in_first():
    book = Book(utc_offset_minutes=480)
    for account, balance in (("allowances:mill:2022", 30), ("banked:mill:2021", 20), ("allowances:mill:2023", 100)):
        book.balances[account] = balance
    book.balances["due:mill:2023"] = -60
    content = contents.surrender("mill", 2023, book)
    assert content is not None
    assert [(line["vintage"], line["amount_g"]) for line in content["lines"]] == [(2021, 20), (2022, 30), (2023, 10)]


def test_both_halves_judge():
    market, day = market_of(SCENARIO), date(2023, 2, 1)
    plan = contents.plan(SCENARIO.enterprises[0], 2023)
    assert market.state(day, "plan", plan, "river-bend").refusal is Refusal.PASS
    assert market.state(day, "plan", plan, "hilltop").refusal is Refusal.WRONG_ROLE
    assert market.state(day, "plan", plan | {"months": []}, "river-bend").refusal is Refusal.MALFORMED
    content = contents.surrender("river-bend", 2023, market.book) or {"subject": "river-bend", "year": 2023}
    lines = {"lines": [{"vintage": 2023, "amount_g": 1}]}
    assert market.state(day, "surrender", content | lines, "river-bend").refusal is Refusal.NOT_VERIFIED


def test_what_is_refused_changes_nothing_and_is_told():
    trade = SCENARIO.trades[0].model_copy(update={"amount_t": 10**7})
    played = cycle.run(changed(trades=(trade,)))
    refused = [row for row in report.stated(played) if row["verdict"] != "accepted"]
    assert [(row["kind"], row["verdict"]) for row in refused] == [("transfer", "over_balance")]
    assert (figure(played, "sold"), figure(played, "bought")) == ([0] * 4, [0] * 4)


def test_more_offsets_than_may_count_are_refused():
    most = cycle.run(with_enterprise("hilltop", offsets_t=87_000))
    assert figure(most, "offsets retired")[1] == 87_000
    more = cycle.run(with_enterprise("hilltop", offsets_t=87_001))
    assert figure(more, "offsets retired")[1] == 0
    assert ("retirement", "over_cap") in {(row["kind"], row["verdict"]) for row in report.stated(more)}


def test_grades_and_colours_by_hand(year: Year):
    rated = {row["subject"]: row for row in report.rated(year)}
    # 8,075,000 t / 10,000,000 MWh is the reference: 0.8075
    assert [(row["t_per_mwh"], row["place"], row["grade"], row["colour"]) for row in rated.values()] == [
        ("0.7757", 1, "B", "green"),
        ("0.8700", 2, "C", "red"),
        (None, None, "-", "green"),
        ("0.9050", 3, "C", "red"),
    ]
    assert "intensity_to_peers 0.9606 (at most 1.00): green" in rated["river-bend"]["why"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"price": SCENARIO.price.model_copy(update={"month": date(2024, 12, 1)})}, "month before the deadline"),
        ({"dates": SCENARIO.dates.model_copy(update={"decision": date(2024, 12, 31)})}, "the deadline is 2024-12-31"),
    ],
)
def test_dates_that_go_against_the_deadline_are_refused(change: dict[str, object], what: str):
    with pytest.raises(ComplianceError, match=what):
        cycle.run(changed(**change))
