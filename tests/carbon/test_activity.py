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

CEMS = {"rule": "cems_mass", "basis": "dry", "flow": "flow", "flow_basis": "dry"}
DIESEL = {"rule": "fuel", "fuel": "fuel_defaults.ndrc_other.diesel", "per": "t"}
MEE_DIESEL = {"rule": "fuel", "fuel": "fuel_defaults.mee_power.diesel", "per": "t"}
MEE_ROWS = [f"fuel_defaults.mee_power.diesel.{part}" for part in ("carbon_per_heat", "ncv", "oxidation")]
GRID = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
COMBUSTION = {**RULE, "rule": "combustion"}
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
        (Refusal.UNKNOWN_TERM, {"rule": rule(CEMS)}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({"factor": GRID["factor"]})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({**GRID, "more": "1"})}),
        (Refusal.UNKNOWN_TERM, {"rule": rule({**DIESEL, "per": "barrel"})}),
        (Refusal.UNKNOWN_TERM, {"rule": []}),
        (Refusal.UNKNOWN_FACTOR, {"rule": rule({**GRID, "factor": "grid_factors.CN.national.1999"})}),
        (Refusal.UNKNOWN_FACTOR, {"rule": rule({**GRID, "factor": "gwp.GWP100.CH4.AR5"})}),
        (Refusal.MALFORMED, {"rule": rule({**BIOMASS, "carbon": "much"}), "unit": "t"}),
        (Refusal.WRONG_UNIT, {"unit": "Nm3"}),
    ],
)
def test_what_is_no_rule_of_the_model(wanted: Refusal, changes: dict[str, Any]) -> None:
    assert judged("activity", changes) is wanted


def measured(carbon: str, ncv: str) -> dict[str, str]:
    return {"rule": "measured_carbon", "carbon": carbon, "ncv": ncv, "oxidation": RULE["oxidation"]}


MARKET = GRID | {
    "contracted": "0.5",
    "residual": "grid_factors.CN.national_excl_traded_nonfossil.2023",
}


@pytest.mark.parametrize(
    ("within", "beyond", "unit"),
    [
        ({**COMBUSTION, "heat_rate": "3.6"}, {**COMBUSTION, "heat_rate": "3.599"}, "Wh"),
        ({**COMBUSTION, "heat_rate": "50"}, {**COMBUSTION, "heat_rate": "50.1"}, "Wh"),
        (measured("0.6", "60"), measured("0.6", "60.001"), "t"),
        (measured("0.1", "1"), measured("0.09", "0.999"), "t"),
        (measured("1", "10"), measured("1", "9.999"), "t"),
        (measured("0.05", "10"), measured("0.04999", "10"), "t"),
        (measured("0.5", "20"), measured("-0.5", "20"), "t"),
        ({**MARKET, "contract": "0"}, {**MARKET, "contract": "2.01"}, "Wh"),
    ],
)
def test_a_declared_number_is_one_that_the_thing_can_have(
    within: dict[str, str], beyond: dict[str, str], unit: str
) -> None:
    amount = round_half_even(*(rule_from(within).coefficient(REGISTRY.factors) * 1_000).as_integer_ratio())
    assert filed(within, amount, unit=unit) is Refusal.PASS
    assert filed(beyond, amount, unit=unit) is Refusal.ABSURD


DAY = 86_400_000


def works(source: str, fields: Mapping[str, str] = COMBUSTION, **changes: Any) -> Refusal:
    amount = round_half_even(*(rule_from(fields).coefficient(REGISTRY.factors) * 1_000_000).as_integer_ratio())
    return filed(fields, amount, subject="works", source=source, **changes)


def test_what_a_point_meters_is_not_filed_from_its_start_on() -> None:
    # the point begins with March
    before = {"start": month(2), "end": month(3)}
    with_march = {"start": month(2), "end": month(3) + DAY}
    for source in ("plant-0-1", "kiln-1", "boiler"):
        assert works(source, **before) is Refusal.PASS
        assert works(source, **with_march) is Refusal.METERED


def test_a_registered_unit_that_no_point_meters_files_its_bills() -> None:
    # its point books nothing
    assert works("mill-1") is Refusal.PASS


def test_what_else_a_metered_subject_uses_is_filed() -> None:
    for source in ("kiln-1", "grid", "plant-0-2"):
        assert works(source, GRID) is Refusal.PASS
    assert works("plant-0-1", GRID) is Refusal.METERED


def test_another_subjects_points_are_not_in_the_way() -> None:
    assert judged("activity", {"source": "plant-0-1"}) is Refusal.PASS


@pytest.mark.parametrize(("booked", "burnt"), [("yes", Refusal.METERED), ("no", Refusal.PASS)])
def test_a_booked_stack_meters_what_its_unit_burns(booked: str, burnt: Refusal) -> None:
    flow = {"subject": "works", "unit": "Nm3/h", "emission": {"rule": "none"}}
    stack = {"unit": "mg/Nm3", "max": 400_000, "emission": CEMS | {"flow": "plant-0-2", "booked": booked}}
    points = POINTS | {"plant-0-1": POINTS["plant-0-1"] | stack, "plant-0-2": flow}
    known = registry.parse(registry_bytes(subjects=SUBJECTS, more=points), factors.load())
    coal, power = (grams(fields, [], 10**6) for fields in (COMBUSTION, GRID))
    kiln = {"subject": "works", "source": "kiln-1"}
    assert judged("activity", {"rule": rule(COMBUSTION), "emission_g": coal, **kiln}, known) is burnt
    assert judged("activity", {"rule": rule(GRID), "emission_g": power, **kiln}, known) is Refusal.PASS


def test_a_stack_meters_all_that_goes_up_it() -> None:
    stack = {"unit": "mg/Nm3", "subject": "shop", "start": month(3), "max": 10**5}
    flow = {**stack, "unit": "Nm3/h", "emission": {"rule": "none"}}
    points = {"plant-0-1": {**stack, "emission": {**CEMS, "flow": "plant-0-2"}}, "plant-0-2": flow}
    subjects = [{**entry, "units": []} for entry in SUBJECTS]
    known = registry.parse(registry_bytes(subjects=subjects, more=points), factors.load())
    diesel = {"rule": rule(DIESEL), "emission_g": grams(DIESEL, [], 1_000), "unit": "t"}
    assert judged("activity", diesel, known) is Refusal.METERED
    assert judged("activity", {}, known) is Refusal.PASS


def test_a_month_in_which_the_subject_is_sold_is_filed_in_two() -> None:
    sale = month(3) + 10 * DAY
    sold = [
        entry | ({"parents": [{"start": sale, "parent": "elsewhere"}]} if entry["id"] == "shop" else {})
        for entry in SUBJECTS
    ]
    known = registry.parse(registry_bytes(subjects=sold, more=POINTS), factors.load())
    assert judged("activity", {}, known) is Refusal.WRONG_PERIOD
    assert judged("activity", {"end": sale}, known) is judged("activity", {"start": sale}, known) is Refusal.PASS
