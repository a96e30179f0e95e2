"""A registry file is taken whole or refused with a sentence; what it need not say it doesn't."""

from fractions import Fraction
from hashlib import sha256
from typing import Any

import pytest

from carbon import factors, registry
from carbon.registry import RegistryError
from carbon.signers import Gateway
from tests.small import registry_bytes

NONE = {"rule": "none"}
CLINKER = {"rule": "process", "factor": "process_emissions.cement_clinker_mee_2024"}
REGISTER = {"rate": 10, "counter": 1000, "max": 999, "emission": NONE}
GAS = {"unit": "%", "emission": NONE}
DRY = {"partner": "plant-0-1", "co2_max": "18.7", "tolerance": "0.02"}
WET = {"partner": "plant-0-1", "pressure_pa": 95_000, "tolerance": "0.02"}


def parsed(own: dict[str, Any], partner: dict[str, Any] | None = None, **changes: Any) -> registry.Point:
    data = registry_bytes(2, more={"plant-0-0": own, "plant-0-1": partner or {}}, **changes)
    return registry.parse(data, factors.load()).points["plant-0-0"]


def test_a_file_without_the_newer_fields_is_what_it_was() -> None:
    data = registry_bytes()
    found = registry.parse(data, factors.load())
    assert found.digest == sha256(data).digest()
    assert found.digest.hex() == "c0c8aebb495096071f599803d43dcbe5d2a6d1b88afa9ca153c43676b0439bf1"
    point = found.points["plant-0-0"]
    assert (point.time, point.rising, point.rate, point.counter, point.checks) == ("step", False, None, None, ())


def test_what_a_point_can_say() -> None:
    point = parsed({"time": "start", "rising": True, "rate": 7})
    assert (point.time, point.rising, point.rate) == ("start", True, 7)
    assert parsed(REGISTER).counter == 1000
    assert parsed({"emission": NONE, "max": 2**56}).most == parsed({"time": "instant", "emission": NONE}).most // 2
    assert parsed({**GAS, "dry_gas": DRY}, GAS).checks
    assert parsed({**GAS, "saturation": WET}, {**GAS, "unit": "°C"}).checks


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"time": "sometimes"}, "time is one of step, instant, start"),
        ({"rising": 1}, "rising true or false"),
        ({"rate": 0}, "is an integer from 1"),
        ({"rate": "5"}, "is an integer from 1"),
        ({"rate": True}, "is an integer from 1"),
        ({"rate": 2**62}, "overflows"),
        ({**REGISTER, "rate": None}, "is an integer from 1"),
        ({**REGISTER, "counter": 999}, "not below the counter's modulus"),
        ({**REGISTER, "counter": 1000.0}, "not below the counter's modulus"),
        ({**REGISTER, "min": -1}, "not below the counter's modulus"),
        ({**REGISTER, "counter": 2**62}, "overflows"),
        ({**REGISTER, "rate": 250}, "once around"),
        ({"rate": 10, "counter": 1000, "max": 999}, "no quantities to add up"),
        ({"time": "instant"}, "at an instant is no quantity"),
        ({"time": "instant", "emission": NONE, "max": 2**56}, "overflows or is empty"),
        ({"unit": "%"}, "takes Wh: Wh is energy, not a pure number"),
        ({"unit": "kg"}, "takes Wh: Wh is energy, not mass"),
        ({"unit": "furlong"}, "not in the table of units"),
        ({"emission": {"rule": "process", "factor": "process_emissions.CaCO3"}}, "takes t: t is mass, not energy"),
        ({"unit": "t", "emission": CLINKER}, "allow it by name"),
        ({"emission": {"rule": "heat"}}, r"no rule 'heat' of the fields \[\]"),
        ({"untrusted": []}, "untrusted"),
        ({"surprise": 1}, "surprise"),
        ({**GAS, "dry_gas": {**DRY, "partner": "plant-0-0"}}, "no other point"),
        ({**GAS, "dry_gas": {**DRY, "partner": "nobody"}}, "no other point"),
        ({**GAS, "dry_gas": {**DRY, "co2_max": "0"}}, "out of bounds"),
        ({**GAS, "dry_gas": {**DRY, "co2_max": 18.7}}, "out of bounds"),
        ({**GAS, "dry_gas": {**DRY, "co2_max": "1e999999999"}}, "out of bounds"),
        ({**GAS, "dry_gas": {**DRY, "tolerance": "1.1"}}, "out of bounds"),
        ({**GAS, "dry_gas": DRY, "max": 2**50}, "out of bounds"),
        ({**GAS, "dry_gas": {**DRY, "more": 1}}, "more"),
        ({"emission": NONE, "unit": "ppm", "dry_gas": DRY}, "% is checked with %, not ppm with %"),
        ({**GAS, "saturation": WET}, "% is checked with °C"),
    ],
)
def test_what_contradicts_itself_is_refused(own: dict[str, Any], says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        parsed(own, GAS)


@pytest.mark.parametrize("check", [{"pressure_pa": 9_999}, {"pressure_pa": "95000"}, {"tolerance": "-0.1"}])
def test_a_saturation_that_makes_no_sense_is_refused(check: dict[str, Any]) -> None:
    with pytest.raises(RegistryError, match="out of bounds"):
        parsed({**GAS, "saturation": {**WET, **check}}, {**GAS, "unit": "°C"})


def test_a_point_in_another_unit_of_the_same_dimension_emits_the_same() -> None:
    assert parsed({"unit": "kWh"}).coefficient == 1000 * parsed({}).coefficient
    limestone = {"unit": "kg", "scale": 1, "emission": {"rule": "process", "factor": "process_emissions.CaCO3"}}
    assert parsed(limestone).coefficient == Fraction("43.97")  # 0.1 kg · 0.4397 t/t
    assert parsed(limestone).rule == "process: process_emissions.CaCO3 · 1"


def test_a_row_of_confidence_d_is_allowed_by_name_and_marked_for_ever() -> None:
    point = parsed({"unit": "t", "emission": CLINKER, "allowed": [CLINKER["factor"]]})
    assert (point.coefficient, point.untrusted) == (535_000, (CLINKER["factor"],))
    assert point.rule.endswith(" · confidence D: process_emissions.cement_clinker_mee_2024")
    assert parsed({"allowed": [CLINKER["factor"]]}).rule == parsed({}).rule


TIERS = {"start": 0, "tiers": "part75", "potential": 10**9}
HJ_ROWS = [f"cems_constants.hj75.sub.alpha_{name}" for name in ("ge90_le24h", "ge90_gt24h", "75_90")]


def test_a_points_tier_sets_by_date() -> None:
    later = {**TIERS, "start": 5, "tiers": "hj75", "allowed": HJ_ROWS}
    regimes = parsed({"substitution": [TIERS, later]}).substitution
    assert [(r.start, r.tiers.name, r.potential) for r in regimes] == [(0, "part75", 10**9), (5, "hj75", 10**9)]


@pytest.mark.parametrize(
    ("regimes", "says"),
    [
        ([{**TIERS, "tiers": "hj75"}], "confidence D: allow it by name"),
        ([{**TIERS, "tiers": "hj75", "allowed": HJ_ROWS[:2]}], "alpha_75_90 has confidence D"),
        ([{**TIERS, "tiers": "hj76"}], "no tier set 'hj76'"),
        ([TIERS, TIERS], "one after the other"),
        ([{**TIERS, "start": 5}, TIERS], "one after the other"),
        ([{**TIERS, "start": 5.0}], "one after the other"),
        ([{**TIERS, "potential": 10**9 + 1}], "outside its range"),
        ([{**TIERS, "potential": -1}], "outside its range"),
        ([{**TIERS, "potential": "1"}], "outside its range"),
        ([{"start": 0}], "tiers"),
    ],
)
def test_tier_sets_that_contradict_themselves_are_refused(regimes: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        parsed({"substitution": regimes})


@pytest.mark.parametrize("after", [23, 169, 24.0, "24", True])
def test_how_long_a_missing_hour_waits_is_a_day_to_a_week(after: Any) -> None:
    assert parsed({"substitution": [TIERS], "substitution_after": 24}).substituted.after_hours == 24
    assert parsed({"substitution": [TIERS]}).substituted.after_hours == 48
    assert parsed({}).substituted is None
    with pytest.raises(RegistryError, match="waits 24 to 168 hours"):
        parsed({"substitution": [TIERS], "substitution_after": after})


@pytest.mark.parametrize(
    ("gateways", "of_each", "fits"), [(1, 20, True), (1, 21, False), (5, 20, True), (6, 17, False)]
)
def test_as_many_points_are_substituted_as_a_message_holds(gateways: int, of_each: int, fits: bool) -> None:
    more = {f"plant-{g}-{i}": {"substitution": [TIERS]} for g in range(gateways) for i in range(of_each)}
    data = registry_bytes(22, gateways, more=more)
    if fits:
        assert len(registry.parse(data, factors.load()).points) == 22 * gateways
    else:
        with pytest.raises(RegistryError, match="at most 100 points are substituted, and 20 of one gateway"):
            registry.parse(data, factors.load())


def test_a_counter_is_not_substituted() -> None:
    with pytest.raises(RegistryError, match="no quantities to substitute"):
        parsed({"substitution": [TIERS], "rate": 7, "counter": 2 * 10**9, "emission": {"rule": "none"}})


def test_only_hours_are_substituted() -> None:
    with pytest.raises(RegistryError, match="is of hours"):
        parsed({"substitution": [TIERS], "window_seconds": 7200, "start": 0})


def test_a_partner_is_at_the_same_gateway() -> None:
    more = {"plant-0-0": {**GAS, "dry_gas": {**DRY, "partner": "plant-1-0"}}, "plant-1-0": GAS}
    with pytest.raises(RegistryError, match="no other point of its gateway"):
        registry.parse(registry_bytes(1, 2, more=more), factors.load())


@pytest.mark.parametrize(
    ("kind", "attests"), [("gateway", False), ("edge", False), ("intake", True), ("attester", True)]
)
def test_a_gateway_of_another_kind_attests_what_it_received(kind: str, attests: bool) -> None:
    assert Gateway("g", bytes(32), 1, kind).attests is attests
