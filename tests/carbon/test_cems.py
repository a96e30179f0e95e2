"""CEMS mass on its way through packets: what a registration may say, which readings count, and what a window emits."""

import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import amendment, drafting, factors, record, registry, validation, window
from carbon.emission import rule_from
from carbon.emission.cems import CemsMass, CemsMethane
from carbon.registry import RegistryError
from carbon.validation import Reason
from tests import cems
from tests.cems import CO2, FLOW, GAS, MASS, MINUTE, MOISTURE, RULE, minute, minutes, stack
from tests.small import HOUR, START, World
from tests.small import RULE as FUEL

SENT = START + HOUR


def reasons(readings: list[Any], **changes: dict[str, Any]) -> list[Reason]:
    world = stack(**changes)
    return [Reason(r) for r in validation.check(world.decode(world.pack(SENT, readings)), world.registry)]


def draft(readings: list[Any], **changes: dict[str, Any]) -> record.Draft:
    """The first record of the hour that these readings are sent in, a packet for each list of them."""
    world = stack(**changes)
    facts = [world.facts(world.pack(SENT, part)) for part in readings]
    range_ = drafting.range_of(world.channel, window.Span(1, len(facts)), facts)
    return drafting.first_version(world.registry.points[CO2], START, range_)


# -- what a registration says


def test_the_rule_says_what_it_multiplies():
    point = stack().registry.points[CO2]
    assert str(point.emission) == (
        "cems mass: dry concentration · wet flow plant-0-1 · temperature plant-0-2"
        " · pressure plant-0-3 + plant-0-4 · moisture plant-0-5"
    )
    assert (point.quantity, point.ratio, point.partners) == (("gCO2", 3), (1, 1000), tuple(GAS)[1:])
    normal = CemsMass("wet", "q", "wet")
    assert str(normal) == "cems mass: wet concentration · wet flow q"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"basis": "damp"}, "dry or wet"),
        ({"booked": "maybe"}, "yes or no"),
        ({"flow_basis": "dry"}, "moisture is named where"),
        ({"moisture": None}, "moisture is named where"),
        ({"temperature": None}, "named together"),
        ({"static_pressure": None}, "named together"),
        ({"barometric_pressure": None}, "named together"),
        ({"barometric_pa": "101325"}, "named together"),
        ({"moisture": FLOW}, "another point"),
        ({"moisture": "nobody"}, "points of its gateway"),
        ({"moisture": CO2}, "points of its gateway"),
        ({"height": "90"}, "height"),
    ],
)
def test_a_rule_that_gives_no_mass_is_refused(changes, says):
    rule = {name: text for name, text in (RULE | changes).items() if text is not None}
    with pytest.raises(RegistryError, match=says):
        stack(p0={"emission": rule})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"p0": {"window_seconds": 1800}}, "mass is of hours"),
        ({"p0": {"max": 10**15}}, "overflows"),
        ({"p0": {"min": -1}}, "at least 0"),
        ({"p0": {"max": float("inf")}}, "a range is of integers"),
        ({"p1": {"max": float("inf")}}, "a range is of integers"),
        ({"p0": {"min": 0.5}}, "a range is of integers"),
        ({"p1": {"unit": "Wh", "emission": RULE}}, "emission rule none"),
        ({"p5": {"time": "start"}}, "kind of time"),
        ({"p5": {"step_seconds": 120}}, "a step that its own is filled by"),
        ({"p5": {"unit": "Pa"}}, "plant-0-0: % is wanted"),
    ],
)
def test_points_that_give_no_mass_are_refused(changes, says):
    with pytest.raises(RegistryError, match=says):
        stack(**changes)


def test_the_bound_is_that_of_the_masses_not_of_the_readings():
    # a full hour of the largest mass stays within 2^63 / 16, whatever the integers of the concentration are
    largest = stack().registry.masses[CO2].largest
    most = (2**63 - 1) // 16 // (60 * largest) * 400_000
    assert stack(p0={"max": most}).registry.masses[CO2].largest * 60 <= 2**59
    with pytest.raises(RegistryError, match="overflows"):
        stack(p0={"max": most + 400_000})
    assert stack(p0={"scale": 9, "max": 4 * 10**14}).registry.masses[CO2].largest == largest


def test_a_missing_hours_potential_is_a_mass():
    largest = stack().registry.masses[CO2].largest
    regime = {"start": START, "tiers": "part75", "potential": largest}
    assert stack(p0={"substitution": [regime]}).registry.points[CO2].substitution[0].potential == largest
    with pytest.raises(RegistryError, match="outside its range"):
        stack(p0={"substitution": [regime | {"potential": largest + 1}]})


def test_a_partner_of_another_gateway_is_none():
    raw = json.loads(stack().registry.file)
    raw["gateways"].append({"id": "gw-1", "key": "00" * 32, "run": 0, "kind": "edge"})
    raw["points"][1]["gateway"] = "gw-1"
    with pytest.raises(RegistryError, match="points of its gateway"):
        registry.parse(registry.canonical_json(raw), factors.load())


def test_what_a_concentration_counts_stays_and_its_partners_close_it():
    now = stack().registry
    points = {raw["id"]: raw for raw in json.loads(now.file)["points"]}
    with pytest.raises(RegistryError, match="what its readings mean stays"):
        amendment.amendment(now, 1, 0, 100, [("points", points[CO2] | {"emission": cems.NONE})], ())
    made = amendment.amendment(now, 1, 0, 100, [("points", points[MOISTURE] | {"max": 250})], ())
    assert made.closed == (CO2, MOISTURE)


def test_a_mass_that_is_not_booked_is_a_quantity_and_no_emission():
    mass = {"emission": RULE | {"booked": "no"}}
    found = draft([minutes(0, 50)], p0=mass)
    assert (found.window.quantity, found.emission_g) == (50 * MASS, 0)
    assert str(stack(p0=mass).registry.points[CO2].emission).endswith(" · not booked")


def test_a_unit_whose_stack_is_booked_books_its_fuel_no_second_time():
    def of_unit(booked: str, fuel: dict[str, Any]) -> registry.Registry:
        raw = json.loads(stack(p0={"emission": RULE | {"booked": booked}}).registry.file)
        raw["points"].append(
            raw["points"][1] | {"id": "fuel", "object": "0" * 23 + "7", "unit": "Wh", "emission": fuel}
        )
        raw["subjects"][1]["units"] = [{"id": "boiler", "points": [CO2, "fuel"]}]
        return registry.parse(registry.canonical_json(raw), factors.load())

    with pytest.raises(RegistryError, match="in its stack's mass already"):
        of_unit("yes", FUEL)
    grid = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
    assert of_unit("no", FUEL).masses and of_unit("yes", grid).masses and of_unit("yes", cems.NONE).masses


METHANE = RULE | {"rule": "cems_methane", "assessment": "AR5"}


def test_methane_is_a_mass_by_its_warming_potential():
    point = stack(p0={"unit": "ppm", "max": 1_000, "emission": METHANE}).registry.points[CO2]
    assert str(point.emission) == "cems methane" + str(CemsMass(**OF_CO2))[9:] + " · gwp.GWP100.CH4.AR5"
    assert (point.quantity, point.ratio, point.untrusted) == (("g", 3), (7, 250), ())
    assert (point.emission.source, point.emission.gas, point.emission.scope) == ("methane", "CH4", 1)
    fossil = {"emission": METHANE | {"assessment": "AR6", "origin": "fossil"}}
    with pytest.raises(RegistryError, match="allow it by name"):
        stack(p0=fossil)
    allowed = stack(p0=fossil | {"allowed": ["gwp.GWP100.CH4_fossil.AR6"]}).registry.points[CO2]
    assert (allowed.ratio, allowed.untrusted) == ((149, 5000), ("gwp.GWP100.CH4_fossil.AR6",))
    for assessment in ("", "AR7"):
        with pytest.raises(RegistryError, match="no potential"):
            stack(p0={"emission": METHANE | {"assessment": assessment}})


OF_CO2 = {name: text for name, text in RULE.items() if name != "rule"}


def test_a_stack_of_methane_books_its_gas_alone():
    methane, coal = CemsMethane(**OF_CO2, assessment="AR5"), rule_from(FUEL)
    weighed = rule_from({"rule": "methane", "assessment": "AR6"})
    assert (methane.covers(weighed), methane.covers(coal), CemsMass(**OF_CO2).covers(weighed)) == (True, False, False)
    assert not CemsMethane(**OF_CO2, booked="no", assessment="AR5").covers(weighed)


# -- readings


def test_a_concentration_without_a_valid_partner_is_not_counted():
    assert reasons(minute(0)) == [Reason.VALID] * 6
    for partner in tuple(GAS)[1:]:
        without = [reading for reading in minute(0) if reading[0] != partner]
        assert reasons(without) == [Reason.PARTNER_MISSING] + [Reason.VALID] * 4
        broken = [(*r, "D") if r[0] == partner else r for r in minute(0)]
        assert reasons(broken)[0] is Reason.PARTNER_MISSING
        elsewhere = [(r[0], r[1] + MINUTE, r[2]) if r[0] == partner else r for r in minute(0)]
        assert reasons(elsewhere)[0] is Reason.PARTNER_MISSING
    assert reasons([(CO2, START, -1), *minute(0)[1:]])[0] is Reason.OUT_OF_RANGE, "its own fault comes first"


def test_a_partner_that_another_check_refuses_is_missing_too():
    check = {"saturation": {"partner": "plant-0-2", "pressure_pa": 95_000, "tolerance": "0"}}
    found = reasons(minute(0, p2=300), p5=check)
    assert [found[0], found[5]] == [Reason.PARTNER_MISSING, Reason.OVERSATURATED]


def test_what_only_checks_a_concentration_need_not_be_there():
    oxygen = {"unit": "%", "emission": cems.NONE}
    checked = {"unit": "%", "max": 40, "dry_gas": {"partner": "plant-0-6", "co2_max": "18.7", "tolerance": "0"}}
    world = {"p0": checked, "p6": oxygen}
    assert reasons(minute(0, p0=12), **world)[0] is Reason.VALID
    assert reasons([*minute(0, p0=12), ("plant-0-6", START, 15)], **world)[0] is Reason.TOO_MUCH_CO2


def test_the_first_valid_reading_of_an_instant_is_the_partner():
    calibrating, zero = (FLOW, START, 5, "C"), (FLOW, START, 0)
    assert draft([[calibrating, *minute(0), zero]]).window.quantity == MASS
    assert draft([[calibrating, zero, *minute(0)]]).window.quantity == 0


# -- windows


def test_the_quantity_is_the_sum_of_the_masses_however_the_packets_are_cut():
    whole = draft([minutes(0, 60)])
    assert (whole.window.count, whole.window.quantity) == (60, 60 * MASS)
    assert whole.emission_g == round(60 * MASS / 1000) == 123_931_627
    for cut in (1, 30):
        parts = draft([minutes(0, cut), minutes(cut, 60)])
        assert (parts.window.count, parts.window.quantity, parts.emission_g) == (60, 60 * MASS, 123_931_627)
    swapped = draft([minutes(30, 60), minutes(0, 31)])
    assert (swapped.window.count, swapped.window.quantity) == (60, 60 * MASS)
    assert [(d.sequence, d.index, d.reason) for d in swapped.window.dropped] == [(2, 180, Reason.DUPLICATE)]


def test_a_reading_and_its_partners_in_different_packets_are_not_counted():
    first = [reading for reading in minutes(0, 2) if reading[:2] != (FLOW, START + MINUTE)]
    late = [(FLOW, START + MINUTE, 1_000_000)]
    found = draft([first, late]).window
    assert (found.count, found.quantity) == (1, MASS)
    again = draft([first, minute(1)]).window
    assert (again.count, again.quantity) == (2, 2 * MASS)


def test_a_valid_hour_is_its_mean_for_the_whole_hour_and_an_invalid_one_what_was_measured():
    whole = draft([minutes(0, 60)]).emission_g
    assert draft([minutes(0, 45)]).window.quantity == 45 * MASS
    assert draft([minutes(0, 45)]).emission_g == whole
    assert draft([minutes(0, 44)]).emission_g == round(44 * MASS / 1000)
    assert draft([[]]).emission_g == 0
    half = draft([minutes(0, 40) + [r for m in range(40, 50) for r in minute(m, p1=500_000)]])
    assert half.emission_g == round(half.window.quantity * 60 / 50 / 1000)


def test_instants_count_as_the_mean_of_the_hour_however_many_came():
    instants = {f"p{i}": {"time": "instant"} for i in range(6)}
    often = [(n, at + half, v) for n, at, v in minutes(0, 60) for half in (0, MINUTE // 2)]
    found = draft([sorted(often, key=lambda reading: reading[1])], **instants)
    assert (found.window.count, found.window.quantity) == (120, 120 * MASS)
    assert found.emission_g == draft([minutes(0, 60)]).emission_g


def test_a_rate_is_of_the_concentration_not_of_the_mass():
    readings = [*minute(0), *minute(1, p0=200_100, p1=500_000), *minute(2, p0=200_201)]
    found = draft([readings], p0={"rate": 100})
    assert [d.reason for d in found.window.dropped] == [Reason.RATE_OF_CHANGE]
    assert found.window.count == 2


def test_a_registry_without_masses_counts_values():
    found = stack(p0={"emission": cems.NONE}).registry
    assert found.masses == {}
    assert draft([minutes(0, 60)], p0={"emission": cems.NONE}).window.quantity == 60 * GAS[CO2]
    assert draft([minutes(0, 60)], p0={"emission": cems.NONE}).emission_g == 0


FIVE_MINUTES = stack(**{f"p{i}": {"step_seconds": 300} for i in range(6)})
slots = st.tuples(st.integers(0, 11), st.sampled_from([*GAS]), st.integers(0, 2), st.sampled_from("NNNND"))
"""Slot of five minutes, point, which of three values, flag."""


@given(st.lists(slots, max_size=60), st.integers(1, 3))
@settings(max_examples=40)
def test_any_readings_in_any_packets_are_the_plain_definition(readings, packets):
    """The reference pairs readings one by one, in fractions."""
    world = World(FIVE_MINUTES.registry, FIVE_MINUTES.genesis)
    full = [(slot, name, 0, "N") for slot in range(12) for name in GAS]
    readings = [*readings[::2], *full[::2], *readings[1::2], *full[1::2]]
    share = len(readings) // packets + 1
    parts = [readings[i * share : (i + 1) * share] for i in range(packets)]
    messages = [
        world.pack(SENT, [(name, START + 300_000 * slot, GAS[name] + which, flag) for slot, name, which, flag in part])
        for part in parts
    ]
    facts = [world.facts(message) for message in messages]
    masses: dict[int, int] = {}
    for part in parts:
        first: dict[tuple[int, str], int] = {}
        for slot, name, which, flag in part:
            if flag == "N":
                first.setdefault((slot, name), GAS[name] + which)
        for slot, name, which, flag in part:
            beside = [first.get((slot, other)) for other in tuple(GAS)[1:]]
            if name == CO2 and flag == "N" and None not in beside:
                masses.setdefault(slot, plain(GAS[CO2] + which, *beside))
    found = window.aggregate((CO2, START), facts)
    assert (found.count, found.quantity) == (len(masses), sum(masses.values()))


def plain(c: int, q: int, t: int, ps: int, ba: int, x: int) -> int:
    """Milligrams in five minutes, by the standard's formula."""
    kelvin, pascals, dry = 273 + Fraction(t, 10), 10 * ba + ps, 1 - Fraction(x, 1000)
    return round(c * q * Fraction(273) / kelvin * Fraction(pascals, 101_325) * dry / 12)


# -- minutes of instants


SECONDS = {f"p{place}": {"step_seconds": 5} for place in range(6)}
SECONDS["p0"] |= {"emission": RULE | {"instants": "12"}}


def instants(at: int, places: Iterable[int] = range(12)) -> list[tuple[str, int, int]]:
    """Readings every five seconds of a minute."""
    return [(name, START + MINUTE * at + 5_000 * place, value) for place in places for name, value in GAS.items()]


def counts(*packets: list[Any], **changes: dict[str, Any]) -> tuple[int, list[Reason]]:
    """How many readings the hour of these packets counts, and why others don't count."""
    found = draft([*packets], **(SECONDS | changes)).window
    return found.count, [one.reason for one in found.dropped]


def test_a_minute_of_eleven_instants_counts_nothing():
    whole = instants(0) + instants(2)
    assert counts(whole) == (24, [])
    assert counts(whole + instants(1, range(11))) == (24, [Reason.SPARSE_MINUTE] * 11)
    assert counts(whole + instants(1, range(11)), p0={"step_seconds": 5}) == (35, [])


def test_a_late_packet_fills_a_minute():
    first, rest = instants(0) + instants(1, range(0, 12, 2)), instants(1, range(1, 12, 2))
    assert counts(first) == (12, [Reason.SPARSE_MINUTE] * 6)
    assert counts(first, rest) == (24, [])
    assert counts(first, rest[:-6]) == (12, [Reason.SPARSE_MINUTE] * 11)


def test_an_hour_of_forty_five_minutes_is_valid_and_one_of_as_many_scattered_readings_is_none():
    minutes_ = draft([[r for at in range(45) for r in instants(at)]], **SECONDS)
    scattered = [r for at in range(60) for r in instants(at, range(12 if at < 15 else 11))]
    few = draft([scattered], **SECONDS)
    assert (minutes_.window.count, few.window.count) == (540, 180)
    # a twelfth of a minute's mass each, rounded half-even: 2,065,527,116 / 12
    each = round(Fraction(MASS, 12))
    assert minutes_.emission_g == round(Fraction(720 * each, 1000))
    assert few.emission_g == round(Fraction(180 * each, 1000)), "no mean for the whole hour"


@pytest.mark.parametrize(
    ("text", "says"), [("0", "1 to 60"), ("61", "1 to 60"), ("twelve", "1 to 60"), ("13", "no 13")]
)
def test_a_minute_has_as_many_instants_as_fit(text: str, says: str):
    with pytest.raises(RegistryError, match=says):
        stack(**SECONDS | {"p0": {"step_seconds": 5, "emission": RULE | {"instants": text}}})


def test_records_say_that_minutes_were_judged():
    point = stack(**SECONDS).registry.points[CO2]
    assert str(point.emission).endswith(" · minutes of 12 instants") and point.instants == 12
