"""Points that belong together, through the process: faults that show only between them, and nothing else."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from math import sin
from pathlib import Path
from random import Random
from typing import Any

import pytest

from carbon import coding, factors, registry
from schemas import topics
from streams.anomaly.related import instants
from streams.anomaly.siblings import MOST, groups
from tests.small import HOUR, START, World, registry_bytes
from tests.streams.anomaly.test_processor import Deaf, told

DAY = 24 * HOUR
METER, PUMP, FAN, REGISTER, LEFT, RIGHT, CO2, FLOW, LOAD, FUEL = (f"plant-0-{i}" for i in range(10))
NONE = {"rule": "none"}
COUNTS = {"rate": 10**5, "counter": 10**6, "max": 10**6 - 1, "emission": NONE}
POINTS: dict[str, dict[str, Any]] = {
    PUMP: {"parent_meter": METER},
    FAN: {"parent_meter": METER},
    REGISTER: COUNTS | {"unit": "kWh"},
    LEFT: COUNTS | {"parent_meter": REGISTER, "scale": 1, "unit": "kWh"},
    RIGHT: COUNTS | {"parent_meter": REGISTER, "scale": 1, "unit": "kWh"},
    CO2: {
        "unit": "%",
        "scale": 2,
        "max": 3_000,
        "load": LOAD,
        "fuel": FUEL,
        "emission": {"rule": "cems_mass", "basis": "dry", "flow": FLOW, "flow_basis": "dry"},
    },
    FLOW: {"unit": "Nm3/h", "max": 3_000_000, "emission": NONE},
    LOAD: {"unit": "MW", "max": 1_000, "emission": NONE},
    FUEL: {"unit": "t/h", "scale": 1, "max": 10_000, "emission": NONE},
}
WORLD: dict[str, Any] = {"points": 10, "step_seconds": 3600, "more": POINTS}
LAGS, BYPASSED, SCALED, SWAPPED = 22, 23, 24, 27
DAYS = 30
TOGETHER = {"sub_meters", "mass_per_load", "mass_per_fuel", "night", "swap"}


def hours() -> Iterator[dict[str, int]]:
    """What the points are read at, hour by hour, in integers of their scales."""
    rng, counts = Random(11), Counter[str]()
    for hour in range(DAYS * 24):
        day = hour // 24
        load = 600 + 200 * sin(hour / 24 * 6.283) + rng.gauss(0, 20)
        flow, fuel = 3_000 * load * rng.uniform(0.99, 1.01), 4 * load * rng.uniform(0.99, 1.01)
        pump, fan = 2_000 * (2 + sin(hour / 24 * 6.283)) * rng.uniform(0.97, 1.03), 3_500 * rng.uniform(0.97, 1.03)
        left, right = 400 * rng.uniform(0.9, 1.1), 300 * rng.uniform(0.9, 1.1)
        whole, all_counted = (pump + fan) * rng.uniform(1.015, 1.025), (left + right) * rng.uniform(1.04, 1.06)
        counts.update({LEFT: round(10 * left * (0.8 if day >= BYPASSED else 1)), RIGHT: round(10 * right)})
        counts[REGISTER] += round(all_counted)
        pump *= 0.94 if day >= LAGS else 1
        yield {
            METER: round(whole),
            PUMP: round(fan if day >= SWAPPED else pump),
            FAN: round(pump if day >= SWAPPED else fan),
            **{name: count % 10**6 for name, count in counts.items()},
            CO2: round(1_200 * rng.uniform(0.99, 1.01)),
            FLOW: round(flow * (0.9 if day >= SCALED else 1)),
            LOAD: round(load),
            FUEL: round(fuel),
        }


def coded(world: World) -> list[bytes]:
    """A packet a day."""
    rows, made = list(hours()), list[bytes]()
    for first in range(0, DAYS * 24, 24):
        some = enumerate(rows[first : first + 24], first)
        readings = [(name, START + hour * HOUR, value) for hour, row in some for name, value in row.items()]
        message = world.pack(START + (first + 24) * HOUR, readings)
        made.append(coding.code(message, world.registry, world.genesis.digest).message)
    return made


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(**WORLD)


@pytest.fixture(scope="module")
def faulty(world: World) -> list[bytes]:
    return coded(world)


@pytest.fixture(scope="module")
def whole(world: World, faulty: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deaf]:
    """A processor that has seen all of it."""
    with closing(Deaf(world, tmp_path_factory.mktemp("whole") / "a.sqlite")) as one:
        for packet in faulty:
            one.packet(packet)
        yield one


def found(process: Deaf) -> list[dict[str, Any]]:
    """What was told of points together."""
    rows = told(process.sent, topics.ANOMALIES, "anomaly")
    return [row for row in rows if row["kind"] in TOGETHER and not row["resolved"]]


def figures(row: dict[str, Any]) -> dict[str, str]:
    return {figure["name"]: figure["value"] for figure in row["figures"]}


def test_faults_that_one_point_does_not_show_are_told_of_points_together(whole: Deaf) -> None:
    rows = {(row["point"], row["kind"]): row for row in reversed(found(whole)) if row["kind"] != "night"}
    first = {name: (row["at"] - START) // DAY for name, row in rows.items()}
    assert first.keys() == {
        *((METER, "sub_meters"), (REGISTER, "sub_meters")),
        *((CO2, "mass_per_load"), (CO2, "mass_per_fuel"), (PUMP, "swap")),
    }
    assert min((row["at"] - START) // DAY for row in found(whole)) >= LAGS
    assert LAGS <= first[METER, "sub_meters"] <= LAGS + 3
    assert BYPASSED <= first[REGISTER, "sub_meters"] <= BYPASSED + 3
    assert SCALED <= first[CO2, "mass_per_load"] <= SCALED + 3 and SCALED <= first[CO2, "mass_per_fuel"] <= SCALED + 3
    assert first[PUMP, "swap"] == SWAPPED + 1
    for name in ((CO2, "mass_per_load"), (METER, "sub_meters")):
        assert float(figures(rows[name])["ratio_to_usual"]) < 1
    assert figures(rows[PUMP, "swap"])["points"] == f"{PUMP} & {FAN}"


def test_whenever_it_is_killed_the_same_is_told(world: World, faulty: list[bytes], whole: Deaf, tmp_path: Path) -> None:
    sent, begins = list[Any](), 0
    for kept, died in ((20, 21), (26, 28), (DAYS, DAYS)):
        with closing(Deaf(world, tmp_path / "killed.sqlite")) as one:
            for place, packet in enumerate(faulty[begins:died], begins + 1):
                one.packet(packet)
                if place == kept:
                    one.keep()
        sent, begins = sent + one.sent, kept
    assert list(dict.fromkeys(sent)) == whole.sent


def test_another_load_begins_anew_and_what_is_known_of_all_else_stays(
    world: World, faulty: list[bytes], tmp_path: Path
) -> None:
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        for packet in faulty[:10]:
            one.packet(packet)
        watch, watcher = one._watcher._points[CO2], one._watcher
        fuel, mass = watch.per_fuel, watch.per_load
        assert mass.pair.expected.seen > 100 and len(watcher._parts[METER]) == 2
        other = registry_bytes(10, step_seconds=3600, more=POINTS | {CO2: POINTS[CO2] | {"load": FUEL}, FAN: {}})
        watcher.follow(registry.parse(other, factors.load()))
        for packet in faulty[10:12]:
            one.packet(packet)
        assert watch.per_fuel is fuel and watch.per_load is not mass and watch.per_load.pair.expected.seen < 48
        assert watch.per_load.names == [CO2, FUEL, FLOW]
        assert watcher._points[METER].parts.names == [METER, PUMP]


def test_a_group_is_of_meters_that_could_be_taken_for_each_other(world: World) -> None:
    found = {name: [point.id for point in points] for name, points in groups(world.registry).items()}
    assert found == {
        "siblings gw-0 plant Wh 0 value": [METER, PUMP, FAN],
        "siblings gw-0 plant kWh 1 register": [LEFT, RIGHT],
    }
    many = registry.parse(registry_bytes(40, 2), factors.load())
    assert [len(points) for points in groups(many).values()] == [MOST, MOST]


def test_only_instants_at_which_all_were_measured_count_and_one_a_slot() -> None:
    values = {"a": {5: 1, 0: 1, 11: 1, 19: 1, 20: 1, 31: 1}, "b": {0: 2, 5: 2, 19: 2, 20: 2, 33: 2}}
    assert instants(values, ["a", "b"], -1, 10) == [0, 19, 20]
    assert instants(values, ["a", "b"], 1, 10) == [20]
    assert instants(values, ["a", "c"], -1, 10) == instants({}, ["a"], -1, 10) == []
