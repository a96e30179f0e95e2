"""The demonstration's parameters: the registry they make, the rules they must keep, the screen that shows them."""

import io
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from carbon import factors, registry, signing
from infra.demo import parameters, scenario
from infra.demo.parameters import Parameters, ScenarioError
from infra.demo.screen import screen
from streams.edge.sources import simbench

RAW = tomllib.loads(parameters.FILE.read_text())


@pytest.fixture(scope="module")
def declared() -> Parameters:
    return parameters.load()


@pytest.fixture(scope="module")
def registered(declared: Parameters) -> registry.Registry:
    keys = {gateway: signing.public_key(gateway.encode().ljust(32)) for gateway in [*declared.gateways, "intake"]}
    data = scenario.registry_bytes(declared, keys, {"aggregator": signing.public_key(bytes(32))})
    return registry.parse(data, factors.load())


def test_a_million_readings_of_forty_points_and_more(declared: Parameters) -> None:
    assert len(declared.metered) >= 40
    assert scenario.expected(declared).readings > 1_000_000


def test_the_registry_has_every_point_with_its_rule(declared: Parameters, registered: registry.Registry) -> None:
    assert set(registered.points) == {*(metered.point for metered in declared.metered), declared.check_meter.id}
    assert set(registered.gateways) == {*declared.gateways, "intake"}
    assert registered.gateways["intake"].kind == "intake"
    coal, load = registered.points["ehv-gen-46"], registered.points["mv4-101-mv-load-9"]
    assert str(coal.emission) == (
        "combustion: 9.2 GJ/MWh · power_plant_mee.coal_default_carbon_per_heat_2022on"
        " · power_plant_mee.coal_oxidation_rate · 44/12"
    )
    assert str(load.emission) == "purchased electricity: grid_factors.CN.national.2023"
    assert (coal.min, coal.max, coal.start, coal.expected) == (0, 92_400_000, simbench.FIRST_MS, 4)


def test_every_subject_hangs_under_the_region(registered: registry.Registry) -> None:
    def top(id_: str) -> str:
        over = registered.subjects[id_].parent
        return id_ if over is None else top(over)

    assert {top(id_) for id_ in registered.subjects} == {"region-demo"}
    assert registered.subjects["coal-north"].parent == "power-group"


def test_object_ids_are_24_hex_digits_and_differ(registered: registry.Registry) -> None:
    objects = {point.object for point in registered.points.values()}
    assert len(objects) == len(registered.points)
    assert all(len(object_) == 24 and int(object_, 16) >= 0 for object_ in objects)


def test_a_missing_key_is_refused(declared: Parameters) -> None:
    with pytest.raises(ScenarioError, match="edge-west, intake"):
        scenario.registry_bytes(declared, {"intake": bytes(32)}, {})


def test_units_run(declared: Parameters) -> None:
    """Coal and lignite run for more than half the year and change; of gas, none does: the ones that run most."""
    import pandas as pd

    file = simbench.path("PowerPlantProfile")
    profiles = pd.read_csv(str(file), sep=";").drop(columns="time")
    still = (profiles == 0).mean()
    gas = sorted(still[u.column] for u in simbench.units("PowerPlant").values() if u.type == "gas")
    assert gas[0] > 0.5
    for metered in declared.metered:
        if metered.fuel in ("hard coal", "lignite"):
            assert still[metered.unit.column] < 0.5 and profiles[metered.unit.column].nunique() > 1
        elif metered.fuel == "gas":
            assert still[metered.unit.column] <= gas[5] and profiles[metered.unit.column].nunique() > 1


@pytest.mark.parametrize("days", [1, 2, 3, None])
def test_replays_carry_what_is_expected(declared: Parameters, days: int | None) -> None:
    wanted = scenario.expected(declared, days)
    if days is None:
        assert wanted.records == 48 * 8784 and wanted.packets == 4 * 367
        return
    found = [
        block
        for gateway in declared.gateways
        for block in simbench.SimbenchReplay(scenario.replay_settings(declared, gateway, days)).blocks("")
    ]
    assert len(found) == wanted.packets
    assert sum(len(block.readings) for block in found) == wanted.readings
    extra = sum(count for kind, count in wanted.rejected.items() if kind != "wrong_signature")
    assert wanted.readings == wanted.counted + extra == 48 * 96 * days - wanted.left_out + extra


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [f"{value:%Y-%m-%dT%H:%MZ}" if hasattr(value, "tzinfo") else str(value)]


def test_every_declared_value_stands_on_the_screen(declared: Parameters) -> None:
    out = io.StringIO()
    Console(file=out, width=260).print(screen(declared, factors.load()))
    missing = [leaf for leaf in _leaves(RAW) if leaf not in out.getvalue()]
    assert missing == []


def _with(change: Callable[[dict[str, Any]], None]) -> Parameters:
    raw = tomllib.loads(parameters.FILE.read_text())
    change(raw)
    return Parameters.model_validate(raw)


def _planted(kind: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        next(planted for planted in raw["planted"] if planted["kind"] == kind).update(fields)

    return change


def _moment(text: str) -> Any:
    return tomllib.loads(f"at = {text}")["at"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_planted("out_of_range", value=1_000), "in range"),
        (_planted("duplicate", at=_moment("2016-01-01T21:45:00Z")), "come late"),
        (_planted("duplicate", carried=_moment("2016-01-01T12:00:00Z")), "come late"),
        (_planted("duplicate", value=3), "a value belongs"),
        (_planted("from_the_future", at=_moment("2016-01-01T23:04:00Z")), "this reason alone"),
        (_planted("not_a_number", at=_moment("2016-01-03T00:00:00Z")), "this reason alone"),
        (_planted("unknown_point", point="ehv-gen-46"), "states its gateway"),
        (_planted("unknown_point", gateway="nobody"), "states its gateway"),
        (_planted("out_of_range", gateway="edge-east"), "states its gateway"),
        (_planted("out_of_range", at=_moment("2016-01-01T10:00:00")), "no offset"),
        (lambda raw: raw["gateways"]["edge-east"].append("cold-store"), "exactly one"),
        (lambda raw: raw["gateways"]["edge-east"].pop(), "exactly one"),
        (lambda raw: raw["forged"][0].update(gateway="intake"), "not registered"),
        (lambda raw: raw["gap"].update(point="nobody"), "metered point"),
        (lambda raw: raw["gap"].update(until=_moment("2016-01-01T00:00:00Z")), "stretch"),
        (lambda raw: raw["time"].update(first=_moment("2016-01-01T00:00:00Z")), "35,136 steps"),
        (lambda raw: raw["time"].update(packet_span_seconds=5_400), "whole windows"),
        (lambda raw: raw["plants"][0].update(fuel="gas"), "burns hard coal"),
        (lambda raw: raw["plants"][0].update(units=["EHV Gen 53"]), "two points"),
    ],
)
def test_parameters_that_would_change_a_balance_are_refused(
    change: Callable[[dict[str, Any]], None], says: str
) -> None:
    with pytest.raises(ScenarioError, match=says):
        parameters.check(_with(change))


def test_days_outside_the_data_are_refused(declared: Parameters) -> None:
    for days in (0, -1, 367):
        with pytest.raises(ScenarioError):
            scenario.expected(declared, days)
