"""Submissions in plain words: exact or refused, and every refusal names the field and what is wanted."""

import tomllib
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import wording
from carbon.submission import ROLES, SALT_BYTES, body_of
from carbon.wording import Setting, WordingError, content_of

FACTORS = sha256(b"factors").digest()
CHINA = 480
SETTING = Setting(CHINA, FACTORS, lambda name: sha256(name.encode()).digest())

WORDS = {
    "allocation": """
        subject = "plant"
        year = 2023
        stage = "final"
        amount = "1250.5 t"
        share = "70 %"
        cut = "0 t"
        allowed = ["b.b", "a.a"]
        [[outputs]]
        unit = "1"
        electricity = "a.b"
        electricity_wh = "1.2 GWh"
        heat = "a.c"
        heat_mj = "3 GJ"
        correction = "1"
        """,
    "transfer": """
        seller = "plant"
        buyer = "mill"
        vintage = 2023
        amount = "300 tCO2e"
        price = "79.30 CNY/t"
        venue = ""
        """,
    "activity": """
        subject = "shop"
        source = "boiler"
        period = 2023-03-01
        quantity = "12.50 t"
        rule = {rule = "fuel", fuel = "x"}
        emission = "31 t"
        document = "bill.pdf"
        """,
    "plan": """
        subject = "plant"
        year = 2024
        product = "electricity"
        months = [{emission = "1 kg", output = "1.5 MWh"}, {emission = "2 kg", output = "2 MWh"}]
        """,
    "laboratory": f"""
        subject = "plant"
        source = "coal"
        period = "2023-03"
        sample = "s1"
        batch = "b1"
        carbon = "0.585 tC/t"
        ncv = "21.5 GJ/t"
        document = "{"ab" * 32}"
        """,
    "gdp": """
        subject = "region"
        period = "2023"
        amount = "1200.50 CNY"
        document = "gdp.pdf"
        """,
    "assessment": """
        subject = "plant"
        point = "boiler"
        anomaly = "anomaly/boiler/stuck/raised/1451606400000"
        verdict = "dismissed"
        reason = "the pump was serviced"
        """,
}


def said(kind: str, **changes: Any) -> dict[str, Any]:
    return content_of(kind, tomllib.loads(WORDS[kind]) | changes, SETTING)


def at(year: int, month: int, day: int = 1) -> int:
    """Midnight in China, ms UTC."""
    return int((datetime(year, month, day, tzinfo=UTC).timestamp() - CHINA * 60) * 1000)


@pytest.mark.parametrize("kind", WORDS)
def test_what_words_say_is_of_the_kinds_schema(kind: str) -> None:
    assert body_of("party", 1, kind, said(kind), bytes(SALT_BYTES))


def test_amounts_are_converted_exactly() -> None:
    allocation = said("allocation")
    assert (allocation["amount_g"], allocation["share_percent"], allocation["cut_g"]) == (1_250_500_000, 70, 0)
    assert (allocation["stage"], allocation["allowed"], allocation["decision"]) == ("FINAL", ["a.a", "b.b"], [])
    (unit,) = allocation["outputs"]
    assert (unit["electricity"], unit["electricity_wh"], unit["heat_mj"]) == ("a.b", 1_200_000_000, 3_000)
    transfer = said("transfer")
    assert (transfer["amount_g"], transfer["price_fen_t"]) == (300_000_000, 7_930)
    laboratory = said("laboratory")
    assert (laboratory["carbon_ppm"], laboratory["ncv_kj_kg"]) == (585_000, 21_500)
    assert said("gdp")["amount_fen"] == 120_050


def test_what_is_not_said_stands_for_what_it_says() -> None:
    without = tomllib.loads(WORDS["transfer"])
    del without["price"]
    assert content_of("transfer", without, SETTING)["price_fen_t"] is None
    assert said("activity")["factors"] == FACTORS
    plan = said("plan", months=[{"emission": "1 t"}] * 12)
    assert (plan["scale"], plan["unit"], plan["months"][0]) == (0, "", {"emission_g": 10**6, "output": 0})


def test_a_quantity_keeps_its_decimals_and_its_unit() -> None:
    activity, plan = said("activity"), said("plan")
    assert (activity["quantity"], activity["scale"], activity["unit"]) == (1_250, 2, "t")
    assert activity["rule"] == [{"name": "fuel", "value": "x"}, {"name": "rule", "value": "fuel"}]
    assert ([m["output"] for m in plan["months"]], plan["scale"], plan["unit"]) == ([15, 20], 1, "MWh")


def test_a_document_is_a_file_or_its_digest() -> None:
    assert said("activity")["document"] == sha256(b"bill.pdf").digest()
    assert said("laboratory")["document"] == bytes.fromhex("ab" * 32)


@pytest.mark.parametrize(
    ("written", "start", "end"),
    [
        ("2023", at(2023, 1), at(2024, 1)),
        (2023, at(2023, 1), at(2024, 1)),
        ("2023-12", at(2023, 12), at(2024, 1)),
        ("2023-02-28", at(2023, 2, 28), at(2023, 3, 1)),
        ("2023-01-15/2023-02-01", at(2023, 1, 15), at(2023, 2, 1)),
        ("2023-01-01T00:00+08:00/2023-01-01T16:00Z", at(2023, 1), at(2023, 1, 2)),
    ],
)
def test_periods_begin_where_the_channel_is(written: Any, start: int, end: int) -> None:
    content = said("gdp", period=written)
    assert (content["start"], content["end"]) == (start, end)


def test_a_period_may_be_two_days() -> None:
    words = tomllib.loads(WORDS["gdp"].replace('period = "2023"', "start = 2023-01-01\nend = 2023-02-01"))
    content = content_of("gdp", words, SETTING)
    assert (content["start"], content["end"]) == (at(2023, 1), at(2023, 2))


WRONG = [
    ("allocation", {"amount": "1250.5"}, "amount"),
    ("allocation", {"amount": 1250}, r"amount: 1250 of what\? .* amount_g = 1250"),
    ("allocation", {"amount": 1250.5}, "amount: .* no text"),
    ("allocation", {"amount": "0.0000005 t"}, "amount: .* finer than what is recorded"),
    ("allocation", {"amount": "5 MWh"}, "amount: .*mass"),
    ("allocation", {"amount": "5 tC"}, "amount: "),
    ("allocation", {"amount_g": 5}, "amount: is written twice"),
    ("allocation", {"year": "2023"}, "year: "),
    ("allocation", {"year": True}, "year: "),
    ("allocation", {"year": 2**31}, "year: .* beyond what is recorded"),
    ("allocation", {"amount": "1e30 t"}, "amount: .* beyond what is recorded"),
    ("allocation", {"stage": "half"}, "stage: .*PRE or FINAL"),
    ("allocation", {"subjct": "x"}, "subjct: is not known here; known are subject, year"),
    ("allocation", {"outputs": {}}, "outputs: is written as a list"),
    ("allocation", {"outputs": [5]}, r"outputs\[1\]: is written as names and values"),
    ("allocation", {"outputs": [{"unit": "1"}]}, r"outputs\[1\]\.electricity: is missing"),
    ("allocation", {"decision": ["zz"]}, "decision: "),
    ("gdp", {"period": "2023-13"}, "period: "),
    ("gdp", {"period": "soon"}, "period: "),
    ("gdp", {"start": "2023-01-01"}, "period: is written beside start or end"),
    ("activity", {"quantity": "12,5 t"}, "wanted is a number and a unit"),
    ("activity", {"document": 5}, "document: "),
    ("plan", {"months": [{"emission": "1 t", "output": "1 t"}, {"emission": "1 t", "output": "1 kg"}]}, "of one unit"),
    ("plan", {"months": [{"emission": "1 t", "output": "1 t"}, {"emission": "1 t"}]}, "wanted is a number and a unit"),
]


@pytest.mark.parametrize(("kind", "changes", "message"), WRONG)
def test_what_is_not_clear_is_refused_by_name(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WordingError, match=message):
        said(kind, **changes)


@pytest.mark.parametrize("kind", ROLES)
def test_what_is_missing_is_named_and_nothing_else_fails(kind: str) -> None:
    with pytest.raises(WordingError, match="is missing; wanted is "):
        content_of(kind, {}, SETTING)
    for name, wanted, meaning in wording.fields_of(kind):
        assert name and wanted and meaning


def test_a_kind_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(WordingError, match="allocation, transfer"):
        content_of("alocation", {}, SETTING)


@given(st.integers(0, 10**17), st.integers(0, 6))
def test_every_whole_gram_is_said_in_tonnes(grams: int, places: int) -> None:
    whole = grams // 10 ** (6 - places) * 10 ** (6 - places)
    text = f"{whole // 10**6}.{whole % 10**6:06d}"[: len(str(whole // 10**6)) + 1 + places].rstrip(".")
    assert Fraction(text) * 10**6 == whole
    assert said("allocation", amount=f"{text} t")["amount_g"] == whole


ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.sampled_from([True, -1, 1, 2**31, 2**63, 10**30]),
        st.floats(),
        st.sampled_from(["2023", "1 t", "1e9 t", "x", ""]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["unit", "output"]), inner)),
    max_leaves=4,
)


@given(st.sampled_from(sorted(WORDS)), st.data())
def test_whatever_stands_in_a_file_is_read_or_refused_by_name(kind: str, data: st.DataObject) -> None:
    words = tomllib.loads(WORDS[kind])
    names = st.sampled_from([*words, "period", "start", "end", "quantity", "months", "scale", "unit"])
    changes = {data.draw(names): data.draw(ANYTHING)}
    try:
        content = content_of(kind, words | changes, SETTING)
    except WordingError:
        return
    assert body_of("party", 1, kind, content, bytes(SALT_BYTES))
