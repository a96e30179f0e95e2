"""Points that belong together: what the registry refuses of them, and that no record hangs on it."""

from typing import Any

import pytest

from carbon import amendment, factors, registry, relations
from carbon.comparison import Difference, differences
from carbon.registry import Registry, RegistryError
from tests.registrars import entry
from tests.small import registry_bytes

NONE = {"rule": "none"}
CO2, FLOW, LOAD, FUEL, METER, SUB, OTHER = (f"plant-0-{i}" for i in range(7))
MASS = {"rule": "cems_mass", "basis": "dry", "flow": FLOW, "flow_basis": "dry"}
POINTS: dict[str, dict[str, Any]] = {
    CO2: {"unit": "%", "scale": 2, "max": 3_000, "emission": MASS, "load": LOAD, "fuel": FUEL},
    FLOW: {"unit": "Nm3/h", "max": 3_000_000, "emission": NONE},
    LOAD: {"unit": "MW", "max": 1_000, "emission": NONE},
    FUEL: {"unit": "t/h", "max": 1_000, "emission": NONE},
    METER: {"unit": "kWh", "emission": NONE},
    SUB: {"parent_meter": METER},
}
REGISTER = {"rate": 100, "counter": 10**6, "max": 10**6 - 1, "emission": NONE}


def parsed(points: int = 7, gateways: int = 1, **changes: dict[str, Any]) -> Registry:
    named = {f"plant-{name[1:].replace('_', '-')}": own for name, own in changes.items()}
    more = POINTS | {name: POINTS.get(name, {}) | own for name, own in named.items()}
    return registry.parse(registry_bytes(points, gateways, more=more), factors.load())


def test_what_a_point_says_of_others() -> None:
    points = parsed().points
    assert (points[CO2].load, points[CO2].fuel, points[SUB].parent_meter) == (LOAD, FUEL, METER)
    assert (points[LOAD].load, points[LOAD].fuel, points[METER].parent_meter) == (None, None, None)
    for unit in ("MWh", "GJ/h", "t/h", "kW", "kg"):
        assert parsed(p0_2={"unit": unit}).points[CO2].load == LOAD
    for unit in ("Nm3", "m3/h", "kg", "t/h"):
        assert parsed(p0_3={"unit": unit}).points[CO2].fuel == FUEL
    assert parsed(p0_4=REGISTER | {"unit": "kWh"}, p0_5=REGISTER).points[SUB].counter == 10**6
    assert parsed(p0_6={"parent_meter": SUB}).points[OTHER].parent_meter == SUB


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"p0_0": {"load": "nobody"}}, "'nobody' is no other point"),
        ({"p0_0": {"load": CO2}}, "no other point"),
        ({"p0_0": {"load": 5}}, "5 is no other point"),
        ({"p0_0": {"fuel": [FUEL]}}, "is no other point"),
        ({"p0_2": {"subject": "region"}}, "no other point of its gateway and subject"),
        ({"p0_2": {"unit": "°C"}}, "a load is not measured in °C"),
        ({"p0_3": {"unit": "MW"}}, "a fuel is not measured in MW"),
        ({"p0_3": {"unit": "kWh"}}, "a fuel is not measured in kWh"),
        ({"p0_2": REGISTER}, "is no counter"),
        ({"p0_2": {"time": "instant"}}, "its kind of time"),
        ({"p0_2": {"step_seconds": 1800}}, "a step that its own is filled by"),
        ({"p0_6": {"load": LOAD}}, "beside the mass of a stack's CO2"),
        ({"p0_6": {"fuel": FUEL}}, "beside the mass of a stack's CO2"),
        ({"p0_5": {"parent_meter": "nobody"}}, "no other point"),
        ({"p0_5": {"parent_meter": SUB}}, "no other point"),
        ({"p0_4": {"subject": "region"}}, "no other point of its gateway and subject"),
        ({"p0_4": {"unit": "t"}}, "a unit like Wh"),
        ({"p0_4": {"unit": "°C"}}, "a unit like Wh"),
        ({"p0_4": {"step_seconds": 1800}}, "has its step"),
        ({"p0_4": REGISTER}, "of count"),
        ({"p0_4": {"time": "start"}}, "kind of time"),
        ({"p0_4": {"parent_meter": OTHER}, "p0_6": {"parent_meter": SUB}}, "not below itself"),
        ({"p0_4": {"parent_meter": SUB}}, "not below itself"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        parsed(**changes)


def test_a_partner_is_at_the_same_gateway() -> None:
    for own in ({"p0_0": {"load": "plant-1-2"}, "p1_2": POINTS[LOAD]}, {"p0_5": {"parent_meter": "plant-1-4"}}):
        with pytest.raises(RegistryError, match="no other point of its gateway and subject"):
            parsed(gateways=2, **own)


def test_a_meter_has_so_many_sub_meters() -> None:
    most = relations.MOST_PARTS
    parts = {f"p0_{i}": {"parent_meter": METER} for i in range(5, 5 + most)}
    assert len(parsed(5 + most, **parts).points) == 5 + most
    with pytest.raises(RegistryError, match=f"{METER}: at most 32 sub-meters"):
        parsed(6 + most, **parts | {f"p0_{5 + most}": {"parent_meter": METER}})


def test_a_change_of_it_is_told_and_closes_no_point() -> None:
    now = parsed()
    put = [entry(now, "points", CO2, load=OTHER), entry(now, "points", OTHER, parent_meter=METER)]
    change = amendment.amendment(now, 1, 0, 100, put, ())
    after = amendment.amended(now, change)
    assert change.closed == () and after.digest != now.digest
    assert (after.points[CO2].load, after.points[OTHER].parent_meter) == (OTHER, METER)
    assert differences(now, after) == [
        Difference("points", CO2, "changed", "load", LOAD, OTHER),
        Difference("points", OTHER, "changed", "parent_meter", None, METER),
    ]
    assert amendment.amendment(now, 1, 0, 100, [entry(now, "points", CO2, load=OTHER, max=9)], ()).closed == (CO2,)
