"""How the next registry follows from the one in force, and what no change may touch."""

import json
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from carbon import amendment, factors, registry
from carbon.amendment import Amendment, amended
from carbon.factors.succession import entry_of
from carbon.registry import Registry, RegistryError
from tests import registrars
from tests.small import registry_bytes

FILE = registry_bytes(2, gateways=2)
NOW = registry.parse(FILE, factors.load())
FIRST = 100
GAS = {"unit": "%", "emission": {"rule": "none"}}


def entry(section: str, name: str, now: Registry = NOW, **changes: Any) -> tuple[str, dict[str, Any]]:
    return registrars.entry(now, section, name, **changes)


def change(*put: tuple[str, dict[str, Any]], drop: tuple[tuple[str, str], ...] = (), now: Registry = NOW) -> Amendment:
    return amendment.amendment(now, 1, 0, FIRST, put, drop)


def test_the_next_file_is_the_one_before_with_its_entries_put_and_dropped() -> None:
    fresh = entry("points", "plant-0-0")[1] | {"id": "new", "object": "0" * 24}
    made = change(entry("points", "plant-0-1", max=5), ("points", fresh), drop=(("submitters", "aggregator"),))
    after, raw = amended(NOW, made), json.loads(FILE)
    assert [p["id"] for p in json.loads(after.file)["points"]] == [*(p["id"] for p in raw["points"]), "new"]
    assert (after.points["plant-0-1"].max, after.digest, after.submitters) == (5, made.digest, {})
    assert made.closed == ("plant-0-1",)
    assert Amendment.decode(made.encode()) == made


def test_a_change_that_states_another_registry_or_closes_other_points_is_refused() -> None:
    made = change(entry("points", "plant-0-1", max=5))
    for wrong in (replace(made, digest=bytes(32)), replace(made, closed=()), replace(made, closed=("plant-0-0",))):
        with pytest.raises(RegistryError, match="than it states"):
            amended(NOW, wrong)


def test_a_partner_and_a_key_close_points_too() -> None:
    dry = {"partner": "plant-0-1", "co2_max": "18.7", "tolerance": "0.02"}
    now = registry.parse(registry_bytes(3, more={"plant-0-0": {**GAS, "dry_gas": dry}, "plant-0-1": GAS}), NOW.factors)
    assert change(entry("points", "plant-0-1", now, max=5), now=now).closed == ("plant-0-0", "plant-0-1")
    assert change(entry("gateways", "gw-1", revoked=True)).closed == ("plant-1-0", "plant-1-1")
    assert change(registrars.rotation(NOW, "gw-1", "gw-1b")).closed == ("plant-1-0", "plant-1-1")


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "kWh"},
        {"scale": 1},
        {"step_seconds": 450},
        {"window_seconds": 900},
        {"gateway": "gw-1"},
        {"subject": "region"},
        {"object": "f" * 24},
        {"start": 0},
        {"time": "start"},
        {"rising": True},
    ],
)
def test_what_the_readings_of_a_point_mean_stays(changes: dict[str, Any]) -> None:
    with pytest.raises(RegistryError, match=r"register another point"):
        change(entry("points", "plant-0-0", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "11" * 32},
        {"kind": "intake"},
        {"run": 1},
        {"run": 1, "key": "11" * 32},
        {"run": -1, "key": "11" * 32, "retired": [NOW.gateways["gw-0"].key.hex()]},
        {"run": 1, "retired": [NOW.gateways["gw-0"].key.hex()]},
        {"run": 1, "key": NOW.gateways["gw-1"].key.hex(), "retired": [NOW.gateways["gw-0"].key.hex()]},
        {"run": 1, "key": "11" * 32, "retired": [NOW.gateways["gw-0"].key.hex()], "revoked": True},
        {"retired": ["11" * 32]},
    ],
)
def test_a_key_changes_with_its_run_and_is_new(changes: dict[str, Any]) -> None:
    with pytest.raises(RegistryError, match="run"):
        change(entry("gateways", "gw-0", **changes))


def test_a_revoked_key_comes_back_in_no_way() -> None:
    revoked = amended(NOW, change(entry("gateways", "gw-0", revoked=True)))
    with pytest.raises(RegistryError, match="takes another run"):
        change(entry("gateways", "gw-0", revoked, revoked=False), now=revoked)
    rotated = amended(revoked, change(registrars.rotation(revoked, "gw-0", "gw-0b"), now=revoked))
    assert (rotated.gateways["gw-0"].run, rotated.gateways["gw-0"].revoked) == (1, False)
    old = NOW.gateways["gw-0"].key.hex()
    for back in (
        entry("gateways", "gw-0", rotated, run=2, key=old, retired=[old, rotated.gateways["gw-0"].key.hex()]),
        entry("gateways", "gw-1", rotated, run=1, key=old, retired=[NOW.gateways["gw-1"].key.hex()]),
        entry("gateways", "gw-1", rotated, id="gw-2", key=old),
    ):
        with pytest.raises(RegistryError, match="never used"):
            change(back, now=rotated)


def test_who_was_above_a_subject_stays() -> None:
    sold = {"parents": [{"start": 5, "parent": None}]}
    after = amended(NOW, change(entry("subjects", "plant", **sold)))
    assert [after.subjects["plant"].parent_at(at) for at in (4, 5)] == ["region", None]
    again = {"parents": [*sold["parents"], {"start": 6, "parent": "region"}]}
    assert amended(after, change(entry("subjects", "plant", after, **again), now=after)).subjects["plant"].parents
    for wrong in ({"parents": []}, {"parents": [{"start": 4, "parent": None}]}, {"parent": None}, {"region": "region"}):
        with pytest.raises(RegistryError, match="who was above it stays"):
            change(entry("subjects", "plant", after, **wrong), now=after)


@pytest.mark.parametrize(
    ("put", "drop", "says"),
    [
        ([], [], "changes nothing"),
        ([("limits", {"id": "x"})], [], "no section"),
        ([("subjects", {"name": "x"})], [], "no entry"),
        ([("subjects", {"id": 5})], [], "no entry|canonical"),
        ([], [("points", "plant-0-0")], "that may go"),
        ([], [("submitters", "nobody")], "that may go"),
        ([("points", {"id": "x"})], [], "registry"),
    ],
)
def test_what_is_no_change(put: list[Any], drop: list[Any], says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        amendment.amendment(NOW, 1, 0, FIRST, put, drop)


def test_an_entry_that_is_not_canonical_is_refused() -> None:
    made = change(entry("points", "plant-0-1", max=5))
    loose = json.dumps(json.loads(made.put[0][1])).encode()
    with pytest.raises(RegistryError, match="canonical"):
        amended(NOW, replace(made, put=(("points", loose),)))


OXIDATION = b"coal_oxidation_rate,99"
LATER = entry_of("2027-1", date(2027, 1, 1), registrars.changed_tables(OXIDATION, OXIDATION[:-1] + b"8"))
DEFAULT = b"coal_default_carbon_per_heat_2021,0.03356"
"""A row that no point uses."""


def test_a_factor_set_comes_behind_the_last_and_closes_the_points_whose_coefficient_it_changes() -> None:
    made = change(("factors", LATER))
    after = amended(NOW, made)
    assert [s.version for s in after.sets] == ["2026-1", "2027-1"]
    assert after.factors is after.sets[-1] and after.factors.digest != NOW.factors.digest
    assert made.closed == tuple(sorted(NOW.points))
    assert after.points["plant-0-0"].coefficient * 99 == NOW.points["plant-0-0"].coefficient * 98
    again = entry_of("2027-2", date(2027, 1, 1), registrars.changed_tables(DEFAULT, DEFAULT + b"1"))
    third = amended(NOW, change(("factors", again)))
    assert (change(("factors", again)).closed, third.factors.version) == ((), "2027-2")


def test_a_set_and_the_rules_that_need_it_come_in_one_change() -> None:
    row = b"grid_factors.CN.new"
    tables = registrars.changed_tables(b"CN.national.2023,", b"CN.new,0.5,kgCO2/kWh,s,c,B,number\r\nCN.national.2023,")
    rule = {"rule": "purchased_electricity", "factor": row.decode()}
    put = ("factors", entry_of("2027-1", date(2027, 1, 1), tables)), entry("points", "plant-0-0", emission=rule)
    assert amended(NOW, change(*put)).points["plant-0-0"].coefficient == Fraction("0.5")
    with pytest.raises(RegistryError, match="no factor"):
        change(put[1])


@pytest.mark.parametrize(
    ("entry_", "says"),
    [
        ({**LATER, "id": "2026-1"}, "is known"),
        ({**LATER, "files": {n: d.decode() for n, d in factors.load().files.items()}}, "its tables are"),
        ({**LATER, "from": "2025-12-31"}, "valid from 2025-12-31, before 2026-1"),
        ({**LATER, "from": "soon"}, "isoformat"),
        ({**LATER, "files": {}}, "no tables"),
        ({**LATER, "files": []}, "items"),
        ({**LATER, "files": {"table.csv": "x"}}, "table.csv:1: columns"),
        ({**LATER, "files": {"table.csv": "x" * 262_145}}, "more than 262144 bytes"),
        ({**LATER, "more": 1}, "not \\['files', 'from', 'id', 'more'\\]"),
        ({**LATER, "files": {n: t for n, t in LATER["files"].items() if n != "power_plant_mee.csv"}}, "no factor"),
    ],
)
def test_what_is_no_next_factor_set(entry_: dict[str, Any], says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        change(("factors", entry_))


def test_a_factor_set_never_changes_and_never_goes() -> None:
    now = amended(NOW, change(("factors", LATER)))
    other = entry_of("2027-1", date(2027, 1, 1), registrars.changed_tables(OXIDATION, OXIDATION[:-1] + b"7"))
    for put in (other, {**LATER, "from": "2027-01-02"}):
        with pytest.raises(RegistryError, match="the factor set 2027-1 stays as it is"):
            change(("factors", put), now=now)
    with pytest.raises(RegistryError, match="changes nothing"):
        change(("factors", LATER), now=now)
    with pytest.raises(RegistryError, match="that may go"):
        change(drop=(("factors", "2027-1"),), now=now)
    with pytest.raises(RegistryError, match="valid from 2026-12-31, before 2027-1"):
        change(("factors", {**other, "id": "2026-2", "from": "2026-12-31"}), now=now)
