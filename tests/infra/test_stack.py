"""What a stack measured against what is calculated, and how sure a subject's emissions are, from a member's copy."""

from pathlib import Path

import pytest

from consensus.contract import Contract
from consensus.ledger import Ledger
from consensus.member.store import LedgerFile
from tests.cems import CO2, GAS, POINTS, RULE, STATIC
from tests.committee import write_channel
from tests.consensus.aggregator import Aggregator, Evidence, with_fields
from tests.consensus.test_ledger import MemoryStore
from tests.infra.copies import Invoke, StoredChain, invoker, rows
from tests.small import COEFFICIENT, HOUR, QUARTER, START
from tests.small import RULE as COMBUSTION

FUEL = "plant-0-6"
WH = 30_000_000
"""Of a quarter of an hour."""
QUARTER_G = round(200_000 * 10**6 * 273 / 400 * 99_995 / 101_325 * 0.92 / 4 / 1000)
"""Of the stack, by the formula in floats."""


class StackChain(StoredChain):
    """Two days of a stack that is not booked and of its fuel, and a record that is refused; on the second day the
    stack's pressure is not measured for five hours.

    A reading each quarter of an hour.
    """

    def __init__(self, data: Path) -> None:
        stack = {
            **POINTS,
            CO2: POINTS[CO2] | {"emission": RULE | {"booked": "no"}, "uncertainty": {"quantity": "5.69"}},
        }
        fuel = {FUEL: {"emission": COMBUSTION, "uncertainty": {"quantity": "3", "factor": "4"}}}
        self.world = write_channel(data, points=7, gateways=1, more=stack | fuel)
        self.evidence = Evidence(self.world)
        self.aggregator = Aggregator(self.world, self.evidence)
        self.contract = Contract(self.world.genesis, self.world.registry)
        self.store = MemoryStore()
        self.ledger = Ledger(self.world.genesis, self.world.registry, self.store)
        folder = data / "members" / "0"
        folder.mkdir(parents=True)
        self.file = LedgerFile(folder / "ledger.sqlite")

    def fill(self) -> "StackChain":
        for hour in range(0, 48, 6):
            readings = [
                (name, START + QUARTER * at, WH if name == FUEL else GAS[name])
                for at in range(4 * hour, 4 * hour + 24)
                for name in (*GAS, FUEL)
                if name != STATIC or not 30 <= at // 4 < 35
            ]
            self.send(hour + 6, readings)
        self.send(50, [])
        for first in (0, 24):
            self.order(self.aggregator.batch(self.aggregator.hours(first, 24)))
        lie = self.aggregator.record(self.aggregator.draft(FUEL, START + 47 * HOUR), with_fields(emission_g=1))
        self.order(self.aggregator.batch([lie]))
        return self


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    StackChain(folder).fill()
    return folder


@pytest.fixture
def invoke(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(data, monkeypatch, capsys)


def test_a_stack_is_held_against_its_fuel_day_by_day(invoke: Invoke) -> None:
    first, second = rows(invoke, "stack", CO2, "--against", FUEL)
    assert (first["day"], second["day"]) == ("2016-01-01", "2016-01-02")
    assert (first["valid_hours"], second["valid_hours"]) == (24, 19)
    assert first["measured_g"] == pytest.approx(96 * QUARTER_G, rel=1e-6)
    assert first["calculated_g"] == 24 * round(4 * WH * COEFFICIENT)
    assert first["ratio"] == round(first["measured_g"] / first["calculated_g"], 4)
    assert second["calculated_g"] * 24 == first["calculated_g"] * 19, "hours that the stack did not see are left out"
    assert second["ratio"] is second["level"] is first["level"] is first["change"] is None
    assert [row["day"] for row in rows(invoke, "stack", CO2, "--against", FUEL, "--as-of", "1")] == ["2016-01-01"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nobody", "--against", FUEL), "no record of a point 'nobody'"),
        ((CO2, "--against", "nobody"), "no record of a point 'nobody'"),
        ((FUEL, "--against", CO2), "records no mass"),
        ((CO2, "--against", CO2), "records no mass"),
        ((CO2, "--against", FUEL, "--as-of", "soon"), "neither a height"),
    ],
)
def test_what_is_no_stack_is_refused(invoke: Invoke, arguments: tuple[str, ...], says: str) -> None:
    code, _, said = invoke("stack", *arguments)
    assert code == 2 and says in said.replace("\n", " ")


def test_how_sure_a_subject_is_of_what_it_emitted(invoke: Invoke) -> None:
    found = {row["point"]: row for row in rows(invoke, "uncertainty", "plant")}
    assert found[FUEL]["uncertainty"] == found["declared"]["uncertainty"] == "± 5.00 % (95 %)"
    assert found["declared"]["emission_g"] == found[FUEL]["emission_g"] == 48 * round(4 * WH * COEFFICIENT)
    assert (found["declared"]["share_percent"], found[FUEL]["eu_tier"]) == (100.0, None)
    assert (found[CO2]["emission_g"], found[CO2]["uncertainty"], found[CO2]["eu_tier"]) == (0, "± 5.69 % (95 %)", 2)
