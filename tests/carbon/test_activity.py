"""Activity data: the emission is the rule's, the factors are the registry's, and what is metered is not filed."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from carbon import factors, registry
from carbon.emission import round_half_even, rule_from
from carbon.refusal import Refusal
from tests.contents import POINTS, REGISTRY, SUBJECTS, judged, month
from tests.small import RULE, registry_bytes

DIESEL = {"rule": "fuel", "fuel": "fuel_defaults.ndrc_other.diesel", "per": "t"}
MEE_DIESEL = {"rule": "fuel", "fuel": "fuel_defaults.mee_power.diesel", "per": "t"}
MEE_ROWS = [f"fuel_defaults.mee_power.diesel.{part}" for part in ("carbon_per_heat", "ncv", "oxidation")]
GRID = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
BIOMASS = {"rule": "biogenic", "carbon": "0.4", "ncv": "15", "oxidation": "fuel_defaults.ndrc_other.diesel.oxidation"}


def rule(fields: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(fields.items())]


def filed(fields: Mapping[str, str], grams: int, **changes: Any) -> Refusal:
    return judged("activity", {"rule": rule(fields), "emission_g": grams, **changes})


def grams(fields: Mapping[str, str], allowed: list[str], tonnes: int) -> int:
    coefficient = rule_from(fields).coefficient(REGISTRY.factors, allowed) * tonnes
    return round_half_even(coefficient.numerator, coefficient.denominator)


def test_electricity_by_hand() -> None:
    # 1,000 kWh · 0.5306 kg/kWh
    assert filed(GRID, 530_600) is Refusal.PASS
    assert filed(GRID, 530_599) is filed(GRID, 530_601) is Refusal.WRONG_AMOUNT
    # 2.5 Wh · 0.5306 g/Wh is 1.3265 g
    assert filed(GRID, 1, quantity=25, scale=4, unit="kWh") is Refusal.PASS


def test_diesel_by_hand() -> None:
    parts = (("ncv", "GJ/t"), ("carbon_per_heat", "tC/GJ"), ("oxidation", "1"))
    ncv, carbon, oxidation = (REGISTRY.factors.value(f"{DIESEL['fuel']}.{part}", unit) for part, unit in parts)
    exact = 2 * ncv * carbon * oxidation * Fraction(44, 12) * 1_000_000
    assert filed(DIESEL, round(exact), quantity=2, unit="t") is Refusal.PASS
    assert filed(DIESEL, round(exact), quantity=2_000_000, unit="kg", scale=3) is Refusal.PASS
    assert filed(DIESEL, round(exact) + 1, quantity=2, unit="t") is Refusal.WRONG_AMOUNT


def test_rows_from_memory_are_allowed_one_by_one() -> None:
    amount = grams(MEE_DIESEL, MEE_ROWS, 2)
    assert filed(MEE_DIESEL, amount, quantity=2, unit="t", allowed=MEE_ROWS) is Refusal.PASS
    for left_out in range(3):
        allowed = MEE_ROWS[:left_out] + MEE_ROWS[left_out + 1 :]
        assert filed(MEE_DIESEL, amount, quantity=2, unit="t", allowed=allowed) is Refusal.UNTRUSTED_FACTOR


def test_biomass_counts_as_nothing() -> None:
    assert filed(BIOMASS, 0, unit="t") is Refusal.PASS
    assert filed(BIOMASS, 1, unit="t") is Refusal.WRONG_AMOUNT


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        (Refusal.WRONG_FACTORS, {"factors": bytes(32)}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({"rule": "none"})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({"rule": "guess"})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({"factor": GRID["factor"]})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({**GRID, "more": "1"})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({**DIESEL, "per": "barrel"})}),
        (Refusal.UNKNOWN_TERM, {"rule": []}),
        (Refusal.UNKNOWN_FACTOR, {"rule": rule({**GRID, "factor": "grid_factors.CN.national.1999"})}),
        (Refusal.UNKNOWN_FACTOR, {"rule": rule({**GRID, "factor": "gwp.GWP100.CH4.AR5"})}),
        (Refusal.MALFORMED, {"rule": rule({**BIOMASS, "carbon": "much"}), "unit": "t"}),
        (Refusal.MALFORMED, {"rule": rule({**BIOMASS, "carbon": "-0.1"}), "unit": "t"}),
        (Refusal.WRONG_UNIT, {"unit": "Nm3"}),
    ],
)
def test_what_is_no_rule_of_the_model(wanted: Refusal, changes: dict[str, Any]) -> None:
    assert judged("activity", changes) is wanted


DAY = 86_400_000
COMBUSTION = {**RULE, "rule": "combustion"}


def works(source: str, fields: Mapping[str, str] = COMBUSTION, **changes: Any) -> Refusal:
    amount = round_half_even(*(rule_from(fields).coefficient(REGISTRY.factors) * 1_000_000).as_integer_ratio())
    return filed(fields, amount, subject="works", source=source, **changes)


def test_a_source_that_a_point_meters_is_not_filed_from_its_start_on() -> None:
    # the point begins an hour into March
    before = {"start": month(2), "end": month(3)}
    with_march = {"start": month(2), "end": month(3) + DAY}
    assert works("plant-0-1", **before) is Refusal.PASS
    assert works("plant-0-1", **with_march) is Refusal.METERED
    assert works("kiln-1", **before) is Refusal.PASS
    assert works("kiln-1", **with_march) is Refusal.METERED


def test_what_else_of_a_metered_unit_may_be_filed() -> None:
    assert works("kiln-1", GRID) is Refusal.PASS
    assert works("plant-0-1", GRID) is Refusal.METERED
    assert works("kiln-2") is Refusal.PASS
    # what checks other points books nothing
    assert works("plant-0-2") is works("mill-1") is Refusal.PASS
    # another subject's point
    assert judged("activity", {"source": "plant-0-1"}) is Refusal.PASS


def test_a_month_in_which_the_subject_is_sold_is_filed_in_two() -> None:
    sale = month(3) + 10 * DAY
    sold = [
        entry | ({"parents": [{"start": sale, "parent": "elsewhere"}]} if entry["id"] == "shop" else {})
        for entry in SUBJECTS
    ]
    known = registry.parse(registry_bytes(subjects=sold, more=POINTS), factors.load())
    assert judged("activity", {}, known) is Refusal.WRONG_PERIOD
    assert judged("activity", {"end": sale}, known) is judged("activity", {"start": sale}, known) is Refusal.PASS
