"""The commands about plans and warnings, on forty days of a plant whose allowances don't last the year."""

from pathlib import Path
from typing import Any

import pytest

from carbon.refusal import Refusal
from consensus.contract import Contract
from consensus.ledger import Ledger
from consensus.member.store import LedgerFile
from tests import parties, synthetic
from tests.committee import write_channel
from tests.infra.copies import Invoke, invoker, rows
from tests.parties import AUTHORITY, EXCHANGE, PARTIES, PLANT
from tests.small import World

TONNE = 10**6
DAYS = 40
NEW_YEAR = 1_483_228_800_000  # 2017, when all of 2016 is told
ALLOCATION = {
    "subject": "plant", "year": 2016, "stage": "PRE", "amount_g": 55 * TONNE, "outputs": [], "share_percent": 100,
    "cut_g": 0, "decision": [], "allowed": [],
}  # fmt: skip
PLAN = {
    "subject": "plant", "year": 2016, "months": [{"emission_g": 20 * TONNE, "output": 0}] * 12, "product": "",
    "scale": 0, "unit": "",
}  # fmt: skip


def submitted(ledger: Ledger, world: World) -> None:
    """An allocation and a plan, in the first block."""
    payloads = [
        parties.payload(world, AUTHORITY, 1, "allocation", ALLOCATION),
        parties.payload(world, PLANT, 1, "plan", PLAN),
    ]
    batch = parties.batch(world, AUTHORITY, 1, payloads)
    no_packets: Any = None
    rulings = Contract(world.genesis, world.registry).judge(batch, no_packets)
    assert [ruling.refusal for ruling in rulings] == [Refusal.PASS, Refusal.PASS]
    synthetic.order(ledger, world, 1, [(batch, rulings)], NEW_YEAR)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outlook")
    world = write_channel(folder, points=1, gateways=1, parties=PARTIES)
    (folder / "members" / "0").mkdir(parents=True)
    file = LedgerFile(folder / "members" / "0" / "ledger.sqlite")
    ledger, maker = Ledger(world.genesis, world.registry, file), synthetic.Maker(world, 24)
    submitted(ledger, world)
    for height in range(2, 2 + DAYS):
        synthetic.order(ledger, world, height, [maker.batch("gw-0", unusual=False)], NEW_YEAR)
    file.close()
    return folder


@pytest.fixture
def invoke(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(data, monkeypatch, capsys)


def figures(invoke: Invoke, *arguments: str) -> dict[str, Any]:
    return {row["figure"]: row["value"] for row in rows(invoke, "plan", "show", "plant", *arguments)}


def test_the_plan_is_held_against_what_was_emitted(invoke: Invoke) -> None:
    found = figures(invoke)
    emitted = next(row["balance"] for row in rows(invoke, "account", "plant") if row["kind"] == "emissions")
    assert found["as of the end of"] == "2016-02-09"
    assert found["emitted in the year so far"] == emitted
    assert found["planned for the year"] == 240 * TONNE
    assert found["planned for as long"] == 20 * TONNE + round(20 * TONNE * 9 / 29)
    assert found["allowances available"] == 55 * TONNE - emitted
    assert "2016-02-15" < found["80 % likely not before"] <= found["used up, as forecast, at the end of"] < "2016-04-01"
    assert found["early warning balance_short"] != "none"


def test_a_short_name_and_an_earlier_day(invoke: Invoke) -> None:
    early = {row["figure"]: row for row in rows(invoke, "plan", "plant", "--as-of", "11")}
    assert early["as of the end of"]["value"] == "2016-01-10"
    stand = {"height": 11, "time": "2017-01-01T00:00:00.011Z"}
    assert early["the year as forecast"] == {"figure": "the year as forecast", "value": None, "unit": "g CO2e"} | stand


def test_month_by_month(invoke: Invoke) -> None:
    january, february, march, *_ = rows(invoke, "plan", "plant", "--months")
    assert january["month"] == "2016-01" and january["planned_g"] == 20 * TONNE
    assert january["difference_g"] == january["emitted_g"] - january["planned_g"]
    assert january["emitted_g"] + february["emitted_g"] == figures(invoke)["emitted in the year so far"]
    assert (march["emitted_g"], march["difference_g"], march["unit"]) == (None, None, "g CO2e")


def test_warnings_come_before_insufficiency_and_say_why(invoke: Invoke) -> None:
    found = rows(invoke, "warnings")
    assert found == rows(invoke, "warnings", "plant") == rows(invoke, "warnings", "--viewer", PLANT)
    short = [row for row in found if row["kind"] == "balance_short"]
    assert short and all(row["day"] < "2016-02-10" and row["subject"] == "plant" for row in short)
    assert short[0]["before"] == "none"
    assert "plant" in short[0]["told"] and "plant: " in short[0]["text"]
    assert rows(invoke, "warnings", "--as-of", "20") == []


def test_who_may_not_see_a_subject_sees_no_warning_of_it(invoke: Invoke) -> None:
    assert rows(invoke, "warnings", "--viewer", EXCHANGE) == []
    for command in ("plan", "warnings"):
        code, printed, said = invoke(command, "plant", "--viewer", EXCHANGE)
        assert (code, printed) == (1, "")
        assert "exchange may not see plant" in said


def test_nothing_is_foreseen_before_a_whole_day(invoke: Invoke) -> None:
    code, printed, said = invoke("plan", "plant", "--as-of", "1")
    assert (code, printed) == (1, "")
    assert said == "carbonledger: no whole day of plant is on the ledger by height 1\n"
