"""The commands about factor sets: what they list, refuse and compare, and the change of the registry they write."""

import json
from datetime import date
from pathlib import Path

import pytest

from carbon import factors
from carbon.factors.succession import entry_of
from consensus.ledger import Ledger
from consensus.log.committee import AHEAD
from consensus.member.store import LedgerFile
from infra.registration import Draft
from tests import registrars
from tests.committee import write_channel
from tests.consensus.test_registration import Scene
from tests.infra.copies import Invoke, StoredChain, invoker

LESS = registrars.changed_tables(b"coal_oxidation_rate,99", b"coal_oxidation_rate,98")


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


@pytest.fixture
def chain(tmp_path: Path) -> StoredChain:
    chain = StoredChain(tmp_path)
    chain.fill()
    return chain


def folder(path: Path, tables: dict[str, bytes]) -> str:
    path.mkdir()
    for name, data in tables.items():
        (path / name).write_bytes(data)
    return str(path)


def test_rows_are_shown_with_unit_confidence_and_source(invoke: Invoke) -> None:
    code, out, said = invoke("factors", "show", "other.lignite", "--output", "json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert (code, len(rows)) == (0, 4)
    carbon = rows["fuel_defaults.ndrc_other.lignite.carbon_per_heat"]
    assert (carbon["value"], carbon["unit"], carbon["confidence"], carbon["from"]) == ("28.0", "tC/TJ", "B", None)
    assert carbon["source"].startswith("NDRC 2015")
    assert said == f"set 2026-1, valid from 2026-01-01, digest {factors.load().digest.hex()}\n"
    dated = json.loads(invoke("factors", "show", "per_heat_2022on", "--output", "json")[1])
    assert [row["from"] for row in dated] == ["2022-06-01"]
    assert {
        row["confidence"] for row in json.loads(invoke("factors", "show", "--confidence", "D", "-o", "json")[1])
    } == {"D"}


def test_a_folder_is_checked_and_every_bad_file_named(invoke: Invoke, tmp_path: Path) -> None:
    good = folder(tmp_path / "good", dict(factors.load().files))
    code, out, _ = invoke("factors", "check", good)
    assert (code, out) == (0, f"{good}: 450 rows in 9 tables, digest {factors.load().digest.hex()}\n")
    wrong = {name: data.replace(b",kgCO2e/kg,", b",stone,") for name, data in LESS.items()}
    wrong["gb2589_standard_coal.csv"] = wrong["gb2589_standard_coal.csv"].replace(b"lpg,1.7143", b"lpg,0.7143")
    bad = folder(tmp_path / "bad", wrong)
    code, out, said = invoke("factors", "check", bad)
    assert (code, out) == (1, "")
    first, second = said.splitlines()
    assert f"{bad}/gb2589_standard_coal.csv:17: 0.7143 kgce/kg is more than 0.1 % off" in first
    assert f"{bad}/gwp.csv:2: a number is in 'stone'" in second
    assert invoke("factors", "show", "--set", bad)[0] == 1
    assert invoke("factors", "check", str(tmp_path / "nowhere"))[0] == 3
    assert invoke("factors", "check", folder(tmp_path / "empty", {}))[0] == 3


def test_two_sets_are_compared_row_by_row(invoke: Invoke, tmp_path: Path) -> None:
    tables = dict(LESS)
    tables["process_emissions.csv"] = b"".join(
        line for line in tables["process_emissions.csv"].splitlines(keepends=True) if not line.startswith(b"FeCO3")
    )
    tables["gwp.csv"] += b"GWP100.CO2,1,kgCO2e/kg,definition,IPCC,A,number\r\n"
    tables["gwp.csv"] = tables["gwp.csv"].replace(b"SF6.AR4,22800.0,kgCO2e/kg,", b"SF6.AR4,22800.0,kgCO2e/kg,again ")
    code, out, _ = invoke("factors", "diff", "2026-1", folder(tmp_path / "next", tables), "--output", "json")
    assert code == 0
    assert [(row["name"], row["what"], row["before"], row["after"]) for row in json.loads(out)] == [
        ("gwp.GWP100.CO2", "new", None, "1 kgCO2e/kg (A)"),
        ("gwp.GWP100.SF6.AR4", "source", "22800.0 kgCO2e/kg (A)", "22800.0 kgCO2e/kg (A)"),
        ("power_plant_mee.coal_oxidation_rate", "value", "99 % (B)", "98 % (B)"),
        ("process_emissions.FeCO3", "gone", "0.3799 tCO2/t (C)", None),
    ]
    assert json.loads(invoke("factors", "diff", "2026-1", "2026-1", "--output", "json")[1]) == []


def test_a_set_becomes_a_change_of_the_registry(chain: StoredChain, invoke: Invoke, tmp_path: Path) -> None:
    source, draft = folder(tmp_path / "next", LESS), tmp_path / "change.json"
    load = ("factors", "load", source, str(draft), "--from", "2027-01-01", "--id")
    code, _, said = invoke(*load, "2027-1")
    assert (code, "from height 204" in said) == (0, True)
    assert "closed to corrections: plant-0-0, plant-0-1, plant-0-2" in said
    written = Draft.load(draft.read_text(), chain.world.channel)
    change = written.change(chain.world.registry)
    (section, entry), after = written.put[0], factors.FactorSet("2027-1", factors.load().start, LESS)
    assert (section, entry["id"], entry["from"], len(change.closed)) == ("factors", "2027-1", "2027-01-01", 3)
    assert {name: text.encode() for name, text in entry["files"].items()} == after.files


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--id", "2026-1", "--from", "2027-01-01"), 2, "is known"),
        (("--id", "2027-1", "--from", "2020-01-01"), 2, "before 2026-1"),
        (("--id", "2027-1", "--from", "someday"), 2, "is no day"),
    ],
)
def test_what_may_not_come_next_is_not_written(
    chain: StoredChain, invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    draft = tmp_path / "change.json"
    found, _, said = invoke("factors", "load", folder(tmp_path / "next", LESS), str(draft), *arguments)
    assert (found, says in " ".join(said.replace("│", " ").split()), draft.exists()) == (code, True, False)


def test_a_folder_with_a_fault_is_not_loaded(chain: StoredChain, invoke: Invoke, tmp_path: Path) -> None:
    source = folder(tmp_path / "next", {"table.csv": b"name,value\n"})
    code, _, said = invoke("factors", "load", source, str(tmp_path / "c"), "--id", "x", "--from", "2027-01-01")
    assert code == 1 and f"{source}/table.csv:1: columns" in said


def test_the_set_in_force_is_that_of_the_ledger(chain: StoredChain, invoke: Invoke) -> None:
    shown = invoke("factors", "show", "--set", "in-force")
    assert shown[0] == 0 and "set 2026-1" in shown[2]
    code, _, said = invoke("factors", "show", "--set", "2099-1")
    assert code == 2 and "there are 2026-1" in " ".join(said.replace("│", " ").split())


def test_a_set_that_a_record_put_into_force_is_shown_from_its_height_on(invoke: Invoke, tmp_path: Path) -> None:
    world = write_channel(tmp_path, points=3, gateways=1, registrars=registrars.REGISTRARS)
    scene = Scene()
    scene.change(("factors", entry_of("2027-1", date(2027, 1, 1), LESS)))
    (tmp_path / "members" / "0").mkdir(parents=True)
    file = LedgerFile(tmp_path / "members" / "0" / "ledger.sqlite")
    copied = Ledger(world.genesis, world.registry, file)
    for height, version in ((AHEAD - 1, "2026-1"), (AHEAD, "2027-1")):
        scene.until(height)
        for package in scene.store.kept[copied.height : height]:
            assert copied.install(package)
        assert f"set {version}" in invoke("factors", "show", "--set", "in-force")[2]
    file.close()
    (row,) = json.loads(invoke("factors", "diff", "2026-1", "2027-1", "--output", "json")[1])
    assert (row["name"], row["after"]) == ("power_plant_mee.coal_oxidation_rate", "98 % (B)")
