"""The regulator's commands on a member's copy: one plant, its statements, an alert."""

import json
from pathlib import Path
from typing import Any

import pytest

from carbon import rules
from carbon.refusal import Refusal
from carbon.registry import canonical_json
from carbon.wording import Setting, content_of
from consensus.ledger import Ledger
from consensus.member.store import LedgerFile
from infra.channel import load
from infra.cli import regulating
from tests import parties
from tests.committee import write_channel
from tests.consensus.test_submission import Market
from tests.infra.copies import Invoke, invoker
from tests.parties import AUTHORITY, OFFICE, PARTIES, PLANT
from tests.registrars import REGISTRARS
from tests.small import HOUR, START

JANUARY = {"start": START, "end": START + 31 * 24 * HOUR, "document": bytes(32)}
LIMIT = {"subject": "plant", "grade": "C", "limit_percent": 50, "reason": "half"}
# a tonne a day in January
MONTHS = [{"emission_g": 31 * 10**6, "output": 0}] * 12
PLAN = {"subject": "plant", "year": 2016, "months": MONTHS, "product": "", "scale": 0, "unit": ""}
# the second of two recorded hours
ALERT = {"region": "region", "level": "ORANGE", "start": START + HOUR, "end": START + 2 * HOUR, "measures": [LIMIT]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    market, folder = Market(), tmp_path_factory.mktemp("data")
    market.order(market.windows(0, 2, 0))
    colour = json.loads(rules.shipped_json("colour")) | {"least_known": 1, "standing": "issued by the authority"}
    stated = [
        (PLANT, "output", JANUARY | {"subject": "plant", "product": "steel", "quantity": 4, "scale": 0, "unit": "t"}),
        (PLANT, "plan", PLAN),
        (OFFICE, "gdp", JANUARY | {"subject": "plant", "amount_fen": 10**6}),
        (AUTHORITY, "weather", ALERT),
        (AUTHORITY, "ruleset", {"name": "colour", "rules": canonical_json(colour).decode()}),
    ]
    for number, (party, kind, content) in enumerate(stated, 1):
        assert market.submit(party, parties.payload(market.world, party, number, kind, content)) == [Refusal.PASS]
    _keep(folder, market)
    return folder


@pytest.fixture
def invoke(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(data, monkeypatch, capsys)


def _keep(data: Path, market: Market) -> None:
    write_channel(data, points=3, gateways=1, parties=PARTIES, registrars=REGISTRARS)
    channel, folder = load(data), data / "members" / "0"
    folder.mkdir(parents=True)
    file = LedgerFile(folder / "ledger.sqlite")
    ledger = Ledger(channel.genesis, channel.registry, file)
    assert all(ledger.install(package) for package in market.store.kept)
    file.close()


def rows(invoke: Invoke, *words: str) -> list[dict[str, Any]]:
    code, printed, said = invoke("regulator", *words)
    assert code == 0, said
    return list(json.loads(printed))


def emission(invoke: Invoke) -> int:
    (row,) = json.loads(invoke("structure", "plant", "--output", "json")[1])
    return int(row["emission_g"])


SETTING = Setting(0, bytes(32), lambda name: bytes(32))
YEAR, JSON = ("--year", "2016"), ("--output", "json")


def test_the_ranking_is_of_the_accounts_and_what_was_stated(invoke: Invoke) -> None:
    (row,) = rows(invoke, "ranking", "region", *YEAR, *JSON)
    grams = emission(invoke)
    assert (row["subject"], row["emission_g"], row["verified"]) == ("plant", grams, False)
    assert (row["product"], row["g_per_unit"], row["place"], row["of"]) == ("steel (t)", f"{grams / 4:.4f}", 1, 1)
    assert row["t_per_10000_cny"] == f"{grams / 10**6:.4f}"
    assert (row["grade"], row["colour"]) == ("-", "green")
    # one day is recorded
    assert f"emission_to_plan {grams / 10**6:.4f} (at most 1.00): green" in row["why"]


def test_it_says_by_whose_rules(invoke: Invoke) -> None:
    _, _, said = invoke("regulator", "ranking", "region", *YEAR)
    assert "colour: issued by the authority" in said and "grade: a default of this product" in said


def test_a_table_says_what_made_the_colours(invoke: Invoke) -> None:
    _, printed, _ = invoke("regulator", "ranking", "region", *YEAR)
    assert printed.startswith("As of height 6")
    assert "; missed_surrenders 0.0000 (at most 0.00): green." in printed


def test_as_of_a_moment_before_nothing_was_stated(invoke: Invoke) -> None:
    (row,) = rows(invoke, "ranking", "region", *YEAR, *JSON, "--as-of", "1")
    # nothing but decisions is known of it, of which there are none: too little for the rules that ship
    assert (row["product"], row["t_per_10000_cny"], row["colour"]) == (None, None, "green")
    assert rows(invoke, "ranking", "region", "--year", "2015", *JSON) == []


def test_totals_are_those_of_the_accounts(invoke: Invoke) -> None:
    sector, whole = rows(invoke, "totals", "region", *YEAR, *JSON)
    assert (sector["name"], whole["name"], whole["subjects"]) == ("no sector stated", "region", 1)
    assert sector["emission_g"] == whole["emission_g"] == whole["unverified_g"] == emission(invoke)
    assert (whole["gdp_fen"], whole["outputs"]) == (10**6, {"steel (t)": "4.000"})


def test_totals_in_a_table_name_their_products(invoke: Invoke) -> None:
    assert "steel (t) 4.000" in invoke("regulator", "totals", "region", *YEAR)[1]


@pytest.mark.parametrize(("name", "lines"), [("fiscal", 3), ("tax", 2), ("green-finance", 1)])
def test_extracts_name_their_accounts(invoke: Invoke, name: str, lines: int) -> None:
    found = rows(invoke, "extract", name, "region", *YEAR, *JSON)
    assert len(found) == lines
    assert all("allowances:plant:2016" in row["accounts"] and row["verified"] is False for row in found)


def test_measures_are_a_file_to_submit(invoke: Invoke) -> None:
    times = ("--start", "2016-01-01T01:00", "--end", "2016-01-01T02:00")
    code, printed, said = invoke("regulator", "measures", "region", *YEAR, "--level", "red", *times)
    assert code == 0 and "no authority" in said
    draft = json.loads(printed)
    assert (draft["kind"], draft["level"], draft["start"]) == ("weather", "RED", "2016-01-01T01:00")
    (row,) = draft["measures"]
    assert (row["subject"], row["grade"], row["limit_percent"]) == ("plant", "-", 60)
    content = content_of(draft.pop("kind"), draft, SETTING)
    assert (content["start"], content["end"], content["measures"]) == (START + HOUR, START + 2 * HOUR, [row])


def test_measures_are_held_against_the_meters(invoke: Invoke) -> None:
    (row,) = rows(invoke, "kept", "region", *JSON)
    whole = emission(invoke)
    # usual is what the hour before emitted; half of that was allowed
    assert row["usual_g"] == whole - row["actual_g"]
    assert (row["limit_percent"], row["most_g"]) == (50, round(row["usual_g"] / 2))
    assert 0 < row["actual_g"] < whole and row["kept"] is False


def test_an_alert_that_is_not_recorded_to_its_end_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    market = Market()
    market.order(market.windows(0, 2, 0))
    longer = parties.payload(market.world, AUTHORITY, 1, "weather", ALERT | {"end": START + 3 * HOUR})
    assert market.submit(AUTHORITY, longer) == [Refusal.PASS]
    _keep(tmp_path, market)
    (row,) = rows(invoker(tmp_path, monkeypatch, capsys), "kept", "region", *JSON)
    assert (row["actual_g"], row["kept"]) == (None, None) and row["usual_g"] > 0


def test_without_recorded_measures_nothing_is_compared(invoke: Invoke) -> None:
    code, printed, said = invoke("regulator", "kept", "region", "--as-of", "1")
    assert (code, printed) == (1, "")
    assert "no measures were recorded for region by height 1" in said


def test_proposals_need_a_deadline(invoke: Invoke) -> None:
    code, printed, said = invoke("regulator", "propose", "region", *YEAR)
    assert (code, printed) == (1, "")
    assert "the deadline of 2016: no factor" in said


def test_false_data_is_fined_without_a_deadline(invoke: Invoke) -> None:
    words = ("propose", "region", *YEAR, "--false-data", "plant=0")
    (row,) = rows(invoke, *words, *JSON)
    assert (row["subject"], row["rule"], row["amount_fen"]) == ("plant", "false_data", 50_000_000)
    code, _, said = invoke("regulator", *words[:-1], "plant")
    assert code == 2 and "write SUBJECT=FEN" in " ".join(said.split())
    code, _, said = invoke("regulator", *words[:-1], "plan=0")
    assert code == 2 and "is it plant?" in " ".join(said.split())


def test_proposals_are_written_as_files_to_submit(tmp_path: Path) -> None:
    content = {"subject": "plant", "year": 2016, "rule": "on_time", "outcome": "named", "amount_fen": -5, "cut_g": 0}
    content |= {"reasons": "in time", "records": [bytes(32)]}
    regulating.write_drafts(tmp_path / "drafts", [content])
    (file,) = (tmp_path / "drafts").iterdir()
    assert file.name == "plant-on_time.json"
    draft = json.loads(file.read_text())
    assert content_of(draft.pop("kind"), draft, SETTING) == content


def test_rules_of_ones_own_become_a_file_to_submit(invoke: Invoke, tmp_path: Path) -> None:
    code, shipped, _ = invoke("regulator", "rules", "grade")
    file = tmp_path / "grade.toml"
    file.write_text(shipped.replace("0.90", "0.80"))
    code, printed, _ = invoke("regulator", "rules", "grade", "--from", str(file))
    draft = json.loads(printed)
    content = content_of(draft.pop("kind"), draft, SETTING)
    found = rules.parse_rules("grade", content["rules"])
    assert code == 0 and found != rules.shipped("grade") and content["name"] == "grade"
    file.write_text(shipped.replace("0.90", "1.90"))
    code, printed, said = invoke("regulator", "rules", "grade", "--from", str(file))
    assert (code, printed) == (1, "") and "its bands go from the best outcome to the worst" in said
    assert invoke("regulator", "rules", "luck")[0] == 1


@pytest.mark.parametrize("viewer", ["public", PLANT + "x", OFFICE])
def test_who_may_not_see_the_subjects_sees_nothing(invoke: Invoke, viewer: str) -> None:
    for words in (("ranking", "region"), ("totals", "region"), ("extract", "fiscal", "region")):
        code, printed, _ = invoke("regulator", *words, *YEAR, "--viewer", viewer)
        assert (code != 0, printed) == (True, "")
    assert rows(invoke, "ranking", "region", *YEAR, *JSON, "--viewer", AUTHORITY)


def test_an_enterprise_is_no_region(invoke: Invoke) -> None:
    code, _, said = invoke("regulator", "ranking", "plant", *YEAR)
    assert code == 2 and "plant is no region" in " ".join(said.split())
