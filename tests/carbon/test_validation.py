"""Each rule refuses what it names, at its very boundary, and nothing else."""

import re
from pathlib import Path

import pytest

from carbon import validation
from carbon.aggregation import Offer
from carbon.validation import Reason
from tests.small import HOUR, QUARTER, START, World

CATALOGUE = Path(__file__).parents[2] / "docs/validation.md"

SENT = START + 48 * HOUR
GOOD = START + 24 * HOUR

CASES = {
    Reason.UNKNOWN_POINT: [("nobody", GOOD, 1), ("plant-1-0", GOOD, 1)],
    Reason.UNKNOWN_FLAG: [("plant-0-0", GOOD, 1, "Z")],
    Reason.NOT_A_NUMBER: [("plant-0-0", GOOD, 0, "X")],
    Reason.NOT_NORMAL: [("plant-0-0", GOOD, 1, flag) for flag in "FMSDCB"],
    Reason.FROM_THE_FUTURE: [("plant-0-0", SENT + QUARTER, 1)],
    Reason.BEFORE_REGISTRATION: [("plant-0-0", START - QUARTER, 1)],
    Reason.UNALIGNED: [("plant-0-0", GOOD + 1, 1)],
    Reason.OUT_OF_RANGE: [("plant-0-0", GOOD, -1), ("plant-0-0", GOOD, 10**9 + 1)],
    Reason.VALID: [
        ("plant-0-0", SENT, 1),
        ("plant-0-0", START, 0),
        ("plant-0-0", GOOD, 10**9),
        ("plant-0-0", GOOD, 1, "T"),
    ],
}


@pytest.mark.parametrize("reason", CASES)
def test_rule(reason):
    world = World.make(gateways=2)
    read = world.decode(world.pack(SENT, CASES[reason]))
    assert [Reason(code) for code in validation.check(read, world.registry)] == [reason] * len(CASES[reason])


def test_too_old_counts_from_the_signed_sending_time():
    world = World.make()
    limit = world.registry.limits.age_ms
    read = world.decode(world.pack(GOOD + limit, [("plant-0-0", GOOD, 1), ("plant-0-0", GOOD - QUARTER, 1)]))
    assert validation.check(read, world.registry).tolist() == [Reason.VALID, Reason.TOO_OLD]


def test_every_refusal_has_a_sentence():
    world = World.make()
    read = world.decode(world.pack(SENT, [("plant-0-0", GOOD, -1)]))
    for reason in Reason:
        if reason is not Reason.VALID:
            assert validation.sentence(reason, read, 0, world.registry)
    assert "-1 is not in 0…1000000000" in validation.sentence(Reason.OUT_OF_RANGE, read, 0, world.registry)
    limited = World.make(more={"plant-0-0": {"rate": 7}}).registry
    assert validation.sentence(Reason.RATE_OF_CHANGE, read, 0, limited).endswith("rate: 7 in 900 s")


def test_an_empty_packet_is_valid():
    world = World.make()
    assert validation.check(world.decode(world.pack(SENT, [])), world.registry).tolist() == []


# -- rules that a point has only if its registration says so


def reasons(more: dict[str, dict], sent_at: int, readings: list, **changes) -> list[Reason]:
    world = World.make(more=more, **changes)
    read = world.decode(world.pack(sent_at, readings))
    return [Reason(code) for code in validation.check(read, world.registry)]


def test_a_period_must_be_over_when_its_value_is_sent():
    readings = [("plant-0-0", GOOD, 1), ("plant-0-0", GOOD - QUARTER, 1), ("plant-0-1", GOOD, 1)]
    more = {"plant-0-0": {"time": "start"}}
    late, early, other = Reason.VALID, Reason.PERIOD_NOT_OVER, Reason.VALID
    assert reasons(more, GOOD + QUARTER - 1, readings) == [early, Reason.VALID, other]
    assert reasons(more, GOOD + QUARTER, readings) == [late, Reason.VALID, other]
    limits = {"future_ms": 1000, "age_ms": HOUR}
    assert reasons(more, GOOD + QUARTER - 1000, readings, limits=limits) == [late, Reason.VALID, other]
    assert reasons(more, GOOD + QUARTER - 1001, readings, limits=limits) == [early, Reason.VALID, other]


def test_an_instant_is_on_no_grid():
    readings = [("plant-0-0", GOOD + 1, 1), ("plant-0-1", GOOD + 1, 1)]
    assert reasons({"plant-0-0": {"time": "instant", "emission": {"rule": "none"}}}, SENT, readings) == [
        Reason.VALID,
        Reason.UNALIGNED,
    ]


def test_times_rise_within_a_packet_after_the_latest_valid_one():
    slots = [1, 2, 2, 4, 3, 4, 5]
    point = [("plant-0-0", GOOD + QUARTER * k, 1) for k in slots]
    other = [("plant-0-1", GOOD + QUARTER * k, 1) for k in slots]
    readings = [("plant-0-0", SENT + QUARTER, 1), *point, *other]
    found = reasons({"plant-0-0": {"rising": True}}, SENT, readings)
    no, yes = Reason.NOT_INCREASING, Reason.VALID
    assert found == [Reason.FROM_THE_FUTURE, yes, yes, no, yes, no, no, yes] + [yes] * len(slots)


GAS = {
    "plant-0-0": {"unit": "%", "scale": 2, "max": 3000, "emission": {"rule": "none"}},
    "plant-0-1": {"unit": "%", "scale": 1, "max": 250, "emission": {"rule": "none"}},
}
"""CO2 in 1/100 vol%, oxygen in 1/10 vol%."""


def with_check(base: dict, name: str, check: dict) -> dict:
    return {**base, "plant-0-0": {**base["plant-0-0"], name: check}}


def dry_gas(tolerance: str) -> dict:
    return with_check(GAS, "dry_gas", {"partner": "plant-0-1", "co2_max": "18.7", "tolerance": tolerance})


@pytest.mark.parametrize(
    ("oxygen", "co2", "tolerance"),
    # by hand: 18.7 · (1 - O2 / 20.95), and with a hundredth more 18.7 · (1.01 - O2 / 20.95)
    [(0, 1870, "0"), (60, 1334, "0"), (60, 1353, "0.01"), (200, 84, "0"), (209, 4, "0")],
)
def test_no_more_co2_than_the_fuel_makes_beside_the_oxygen(oxygen: int, co2: int, tolerance: str):
    readings = [("plant-0-0", GOOD, co2), ("plant-0-1", GOOD, oxygen)]
    assert reasons(dry_gas(tolerance), SENT, readings) == [Reason.VALID] * 2
    readings[0] = ("plant-0-0", GOOD, co2 + 1)
    assert reasons(dry_gas(tolerance), SENT, readings) == [Reason.TOO_MUCH_CO2, Reason.VALID]


def test_a_pair_is_of_one_instant_and_of_readings_that_pass_otherwise():
    co2, much = ("plant-0-0", GOOD, 1800), 250
    for alone in ([], [("plant-0-1", GOOD + QUARTER, much)], [("plant-0-1", GOOD, much, "C")]):
        assert reasons(dry_gas("0"), SENT, [co2, *alone])[0] is Reason.VALID
    twice = [("plant-0-1", GOOD - QUARTER, much), ("plant-0-1", GOOD, 0), ("plant-0-1", GOOD, much), co2]
    assert reasons(dry_gas("0"), SENT, twice)[-1] is Reason.VALID, "the first of one instant is the partner"
    assert reasons(dry_gas("0"), SENT, [twice[2], twice[1], co2])[-1] is Reason.TOO_MUCH_CO2
    both = [("plant-0-1", GOOD, 0), ("plant-0-1", GOOD, much), co2, co2]
    assert reasons(dry_gas("0"), SENT, both) == [Reason.VALID] * 4
    calibrating = ("plant-0-0", GOOD, 1800, "C")
    assert reasons(dry_gas("0"), SENT, [calibrating, twice[2]])[0] is Reason.NOT_NORMAL


WET = {
    "plant-0-0": {"unit": "%", "scale": 1, "max": 1000, "emission": {"rule": "none"}},
    "plant-0-1": {"unit": "°C", "scale": 1, "min": -500, "max": 3000, "emission": {"rule": "none"}},
}
"""Moisture in 1/10 vol%, temperature in 1/10 °C."""


@pytest.mark.parametrize(
    ("temperature", "pressure", "tolerance", "moisture"),
    # by hand: steam tables give 12,352 Pa at 50 °C and 101,418 Pa at 100 °C, here with a tenth more
    [(500, 100_000, "0", 123), (491, 100_000, "0", 123), (500, 100_000, "0.1", 135), (-300, 61_200, "0", 10)],
)
def test_no_more_moisture_than_saturates_the_gas(temperature: int, pressure: int, tolerance: str, moisture: int):
    more = with_check(WET, "saturation", {"partner": "plant-0-1", "pressure_pa": pressure, "tolerance": tolerance})
    readings = [("plant-0-0", GOOD, moisture), ("plant-0-1", GOOD, temperature)]
    assert reasons(more, SENT, readings) == [Reason.VALID] * 2
    readings[0] = ("plant-0-0", GOOD, moisture + 1)
    assert reasons(more, SENT, readings) == [Reason.OVERSATURATED, Reason.VALID]


def test_hot_gas_holds_any_moisture():
    more = with_check(WET, "saturation", {"partner": "plant-0-1", "pressure_pa": 120_000, "tolerance": "0"})
    for temperature, reason in ((1000, Reason.OVERSATURATED), (1001, Reason.VALID), (3000, Reason.VALID)):
        found = reasons(more, SENT, [("plant-0-0", GOOD, 1000), ("plant-0-1", GOOD, temperature)])
        assert found == [reason, Reason.VALID], temperature


# -- two readings of a point


def following(elapsed: int, before: int, after: int, **fields) -> Reason:
    world = World.make(more={"plant-0-0": fields})
    return validation.follows(world.registry.points["plant-0-0"], elapsed, before, after)


def test_the_rate_is_of_a_step_and_holds_in_both_directions():
    for sign in (1, -1):
        assert following(QUARTER, 500, 500 + sign * 100, rate=100) is Reason.VALID
        assert following(QUARTER, 500, 500 + sign * 101, rate=100) is Reason.RATE_OF_CHANGE
        assert following(3 * QUARTER, 500, 500 + sign * 300, rate=100) is Reason.VALID
        assert following(3 * QUARTER, 500, 500 + sign * 301, rate=100) is Reason.RATE_OF_CHANGE
    assert following(QUARTER, 0, 10**9) is Reason.VALID


def test_a_rollover_at_the_modulus_is_none():
    register = {"rate": 100, "counter": 1000, "max": 999, "emission": {"rule": "none"}}
    for before, after, reason in [
        (400, 500, Reason.VALID),
        (400, 501, Reason.RATE_OF_CHANGE),
        (400, 400, Reason.VALID),
        (400, 399, Reason.COUNTER_BACKWARDS),
        (400, 0, Reason.COUNTER_BACKWARDS),  # a restart that forgot the register
        (950, 50, Reason.VALID),
        (950, 51, Reason.COUNTER_BACKWARDS),
    ]:
        assert following(QUARTER, before, after, **register) is reason, (before, after)


def test_instants_are_half_a_step_apart():
    instants = {"time": "instant", "emission": {"rule": "none"}}
    assert following(QUARTER // 2, 5, 5, **instants) is Reason.VALID
    assert following(QUARTER // 2 - 1, 5, 5, **instants) is Reason.TOO_CLOSE
    assert following(1, 5, 5) is Reason.VALID


# -- the catalogue


def test_the_catalogue_is_the_documents():
    rows = [f"| {r.value} | `{r.label}` | {validation.SENTENCES[r]} |" for r in Reason if r is not Reason.VALID]
    stated = [line for line in CATALOGUE.read_text().splitlines() if line[:3].strip("| ").isdigit()]
    assert stated == rows


def test_the_catalogue_names_what_refuses_a_packet_as_a_whole():
    raised = re.findall(r'PacketError\("(\w+)"', (CATALOGUE.parents[1] / "carbon/packet.py").read_text())
    of_its_place = {offer.value for offer in Offer} - {"taken", "repeat", "fork"} | {"equivocation"}
    stated = CATALOGUE.read_text().split("has a name and no number")[1].split("##")[0]
    assert set(re.findall(r"`(\w+)`", stated)) == set(raised) | of_its_place


def test_numbers_never_change():
    names = (
        "valid unknown_point unknown_flag not_a_number not_normal from_the_future too_old before_registration unaligned"
    )
    first = [*names.split(), "out_of_range", "period_not_over", "not_increasing", "too_much_co2"]
    first += ["oversaturated", "partner_missing"]
    later = ["duplicate", "conflict", "too_late", "rate_of_change", "counter_backwards", "too_close"]
    later += ["sparse_minute"]
    assert {r.value: r.label for r in Reason} == dict(enumerate(first)) | dict(enumerate(later, 20))
