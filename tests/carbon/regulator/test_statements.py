"""Statements are folded into the regulator's figures, and reversals take them back."""

import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from carbon import rules
from carbon import submission as submissions
from carbon.calendar import DAY_MS
from carbon.ledger.history import History
from carbon.planning import days
from carbon.registry import canonical_json
from carbon.regulator.statements import Statements, YearStated
from carbon.submission import Submission

CHINA = 480
NOW = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp() * 1000)
JANUARY, END = (int(datetime(year, 12, 31, 16, tzinfo=UTC).timestamp() * 1000) for year in (2022, 2023))
YEAR = {"subject": "mill", "year": 2023}
PERIOD = {"subject": "mill", "start": JANUARY, "end": END, "document": bytes(32)}
OUTPUT = PERIOD | {"product": "steel", "quantity": 25, "scale": 1, "unit": "t"}
GDP = PERIOD | {"amount_fen": 400}
MONTHS = [{"emission_g": 7, "output": 0}] * 12
PLAN = YEAR | {"months": MONTHS, "product": "", "scale": 0, "unit": ""}
VERIFICATION = YEAR | {"emissions_g": 90, "sources": [], "document": bytes(32)}
DECISION = YEAR | {"rule": "missed_surrender", "outcome": "a fine", "amount_fen": 500, "cut_g": 0, "reasons": "short"}
DECISION |= {"records": []}
SALE = {"seller": "mill", "buyer": "plant", "vintage": 2023, "amount_g": 3_000_000, "price_fen_t": 9_850, "venue": ""}
ROW = "allocation_benchmarks.2023.gas.elec"
UNIT = {"unit": "1", "electricity": ROW, "electricity_wh": 1, "heat": ROW, "heat_mj": 0, "correction": "1"}
ALLOCATION = YEAR | {"stage": "PRE", "amount_g": 70, "outputs": [UNIT], "share_percent": 70, "cut_g": 0, "decision": []}
ALLOCATION |= {"allowed": [ROW, "ets_rules.deadline_2023"]}


class Author:
    """States things, and takes them back."""

    def __init__(self) -> None:
        self.found, self.history, self.number = Statements(CHINA), History(), 0

    def state(self, kind: str, content: dict[str, Any]) -> Submission:
        self.number += 1
        body = submissions.body_of("party", self.number, kind, content, bytes(16))
        made = submissions.read(submissions.signed(body, {"party": bytes(32)}, bytes(32)))
        self.history.take(made, ())
        self.found.take(made, NOW)
        return made

    def take_back(self, made: Submission) -> None:
        self.state("reversal", self.history.reversal(made.number, "a mistake"))


@pytest.fixture
def author() -> Author:
    return Author()


def test_every_figure_by_hand(author: Author):
    for kind, content in (("output", OUTPUT), ("output", OUTPUT | {"quantity": 5}), ("gdp", GDP), ("plan", PLAN)):
        author.state(kind, content)
    author.state("decision", DECISION)
    found = author.found.performance("mill", 2023, 80, sector="metal", held_g=1, due_g=2)
    # 2.5 t and 0.5 t; twelve months of 7 g
    assert (found.outputs, found.gdp_fen, found.planned_g) == ({("steel", "t"): 3}, 400, 84)
    assert (found.emission_g, found.verified, found.missed_surrenders, found.false_data) == (80, False, 1, 0)
    assert (found.sector, found.held_g, found.due_g, found.before) == ("metal", 1, 2, None)
    author.state("verification", VERIFICATION)
    found = author.found.performance("mill", 2023, 80)
    assert (found.emission_g, found.verified) == (90, True)


def test_a_plan_counts_as_far_as_the_year_is_recorded(author: Author):
    author.state("plan", PLAN | {"months": [{"emission_g": 31 * month, "output": 0} for month in range(1, 13)]})
    first = days.first_of(2023)
    planned = [author.found.performance("mill", 2023, 80, until=first + day).planned_g for day in (0, 30, 45)]
    # January is 31 g, 1 g a day; 15 of the 28 days of February's 62 g are 33.2 g
    assert planned == [1, 31, 64]
    bill = PERIOD | {"source": "gas", "quantity": 1, "scale": 0, "unit": "m3", "rule": [], "factors": bytes(32)}
    bill |= {"emission_g": 5, "allowed": [], "end": JANUARY + 59 * DAY_MS}
    author.state("activity", bill)
    assert author.found.performance("mill", 2023, 80, until=first).planned_g == 93
    author.state("verification", VERIFICATION)
    assert author.found.performance("mill", 2023, 80, until=first).planned_g == 31 * 78


def test_the_year_before_is_beside_it(author: Author):
    author.state("output", OUTPUT)
    before = author.found.performance("mill", 2024, 70, 80).before
    assert before is not None and before.outputs == {("steel", "t"): Fraction(5, 2)} and before.emission_g == 80


def test_a_decision_counts_for_two_years(author: Author):
    author.state("decision", DECISION)
    assert [author.found.performance("mill", year, 0).missed_surrenders for year in (2022, 2023, 2024, 2025)] == [
        0,
        1,
        1,
        0,
    ]


def test_nothing_stated_is_nothing_known(author: Author):
    found = author.found.performance("mill", 2023, 80)
    assert (found.outputs, found.gdp_fen, found.planned_g, found.verified) == ({}, None, None, False)
    assert not author.found.years


def test_the_accounts_of_a_year_by_hand(author: Author):
    for kind, content in (("allocation", ALLOCATION), ("decision", DECISION), ("transfer", SALE)):
        author.state(kind, content)
    author.state("decision", DECISION | {"amount_fen": -40, "rule": "reduction"})
    found = author.found.accounts("mill", 2023)
    assert (found.allocated_g, found.fines_fen, found.rewards_fen, found.sold_g) == (70, 500, 40, 0)
    assert found.from_memory == (ROW,) and found.accounts[0] == "allowances:mill:2023"
    # a sale counts in the year in which it is recorded: 3 t at 98.50 CNY
    assert (author.found.accounts("mill", 2024).sold_g, author.found.accounts("mill", 2024).sold_fen) == (
        3 * 10**6,
        29_550,
    )
    assert author.found.accounts("plant", 2024).bought_fen == 29_550
    other = UNIT | {"heat": "allocation_benchmarks.2019_2020.gas.heat"}
    final = ALLOCATION | {"stage": "FINAL", "amount_g": 100, "outputs": [other]}
    author.state("allocation", final)
    found = author.found.accounts("mill", 2023)
    assert (found.allocated_g, found.from_memory) == (100, (ROW,))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("output", OUTPUT),
        ("gdp", GDP),
        ("verification", VERIFICATION),
        ("allocation", ALLOCATION),
        ("allocation", ALLOCATION | {"stage": "FINAL"}),
        ("decision", DECISION),
        ("decision", DECISION | {"amount_fen": -40}),
        ("transfer", SALE),
    ],
)
def test_what_is_taken_back_was_never_stated(author: Author, kind: str, content: dict[str, Any]):
    made = author.state(kind, content)
    assert any(stated != YearStated() for stated in author.found.years.values())
    author.take_back(made)
    for subject, year in list(author.found.years):
        assert author.found.performance(subject, year, 0) == Author().found.performance(subject, year, 0)
        assert author.found.accounts(subject, year) == Author().found.accounts(subject, year)


def test_a_rule_set_takes_the_place_of_the_one_that_ships(author: Author):
    raw = json.loads(rules.shipped_json("colour")) | {"least_known": 1}
    author.state("ruleset", {"name": "colour", "rules": canonical_json(raw).decode()})
    author.state("ruleset", {"name": "others", "rules": "{}\n"})
    assert author.found.rules["colour"].least_known == 1
    assert author.found.rules["grade"] == rules.shipped("grade") and set(author.found.rules) == set(rules.NAMES)


def test_what_a_decision_may_rest_on_is_the_last_of_a_kind(author: Author):
    author.state("verification", VERIFICATION)
    first = author.state("surrender", YEAR | {"lines": []})
    last = author.state("surrender", YEAR | {"lines": []})
    stated = author.found.years["mill", 2023]
    assert set(stated.records) == {"verification", "surrender"}
    assert stated.records["surrender"] == last.commitment != first.commitment
    assert stated.surrendered_ms == NOW
    author.take_back(last)
    assert "surrender" not in stated.records


def test_the_newest_price_and_alert_count(author: Author):
    alert = {"region": "north", "level": "RED", "start": JANUARY, "end": END, "measures": []}
    for level, price in (("RED", 9_000), ("YELLOW", 9_850)):
        author.state("weather", alert | {"level": level})
        author.state("price", {"year": 2024, "month": 11, "price_fen_t": price})
    assert author.found.prices == {(2024, 11): 9_850}
    assert author.found.alerts["north"]["level"] == "YELLOW"
