"""The command `submit`: what a file says goes to the ledger by itself, or is refused with the rule and what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carbon import signing
from carbon.refusal import Refusal
from carbon.wording import WordingError
from consensus import batch as batches
from consensus.member.store import LedgerFile
from infra import drafts, submitting
from infra.advice import advice
from infra.channel import load
from infra.cli import submit as command
from tests import parties
from tests.committee import write_channel
from tests.consensus.test_submission import Market
from tests.contents import CONTENTS
from tests.infra.copies import Invoke, invoker
from tests.parties import AUTHORITY, EXCHANGE, PARTIES, PLANT, VERIFIER
from tests.registrars import REGISTRARS
from tests.small import seed

PRICE = """
kind = "price"
year = 2016
month = {month}
price = "79.00 CNY/t"
"""


SUBJECTS = [
    {"id": "region", "name": "Region", "kind": "region", "parent": None},
    {"id": "plant", "name": "Plant", "kind": "plant", "parent": "region"},
    {"id": "mill", "name": "Mill", "kind": "enterprise", "parent": "region"},
]
MILL = {"id": "mill-co", "key": signing.public_key(seed("mill-co")).hex(), "role": "enterprise", "subject": "mill"}


class Played(Market):
    """The committee in this process: what is brought is ordered at once and stands in member 0's file."""

    def __init__(self, data: Path) -> None:
        more = {"subjects": SUBJECTS, "parties": [*PARTIES, MILL]}
        super().__init__(**more)
        write_channel(data, points=3, gateways=1, registrars=REGISTRARS, **more)
        folder = data / "members" / "0"
        folder.mkdir(parents=True)
        self.file = LedgerFile(folder / "ledger.sqlite")
        self.brought = 0
        self.before: list[bytes] = []
        """Batches of somebody else that come first."""
        self.beside: list[batches.Batch] = []
        """Batches that stand before it in its block."""
        self.keep(self.windows(0, 1))

    def keep(self, *found: batches.Batch) -> None:
        self.order(*found)
        assert self.store.after is not None
        self.file.keep(self.store.kept[-1], *self.store.after)

    def take(self, message: bytes, _key: str) -> None:
        self.brought += 1
        for sent in [*self.before, message]:
            batch = batches.verify(sent, self.ledger.registries, self.world.channel, 2_000)
            if batch.number == self.ledger.stream_head(batch.submitter, batch.stream) + 1:
                self.keep(*self.beside, batch)
        self.before.clear()


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    scene = Played(tmp_path)
    monkeypatch.setattr(command, "produce", scene.take)
    monkeypatch.setattr(submitting, "now_ms", lambda: scene.time_ms)
    yield scene
    scene.file.close()


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def price(tmp_path: Path, month: int = 1) -> str:
    path = tmp_path / f"price-{month}.toml"
    path.write_text(PRICE.format(month=month))
    return str(path)


def rows(done: tuple[int, str, str], code: int = 0) -> list[dict[str, Any]]:
    assert done[0] == code, done[2]
    return list(json.loads(done[1]))


def test_a_file_becomes_an_accepted_leaf_that_its_code_shows(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    played.beside = [played.windows(1, 1)]
    (row,) = rows(invoke("submit", price(tmp_path), "--party", EXCHANGE, "--output", "json"))
    assert (row["verdict"], row["kind"], row["number"]) == ("accepted", "price", 1)
    assert (row["height"], row["leaf_index"]) == (2, 3 + 3)
    assert "price_fen_t" in invoke("resolve", row["code"])[1]
    assert played.state().book.numbers == {EXCHANGE: 1}


def test_several_files_go_together_and_are_numbered_on(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    files = [price(tmp_path, month) for month in (1, 2)]
    found = rows(invoke("submit", *files, "--party", EXCHANGE, "--output", "json"))
    assert [(row["number"], row["leaf_index"]) for row in found] == [(1, 3), (2, 4)]
    assert played.brought == 1


def test_a_dry_run_sends_nothing(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    (row,) = rows(invoke("submit", price(tmp_path), "--party", EXCHANGE, "--dry-run", "--output", "json"))
    assert (row["verdict"], "posts" in row) == ("accepted", True)
    (refused,) = rows(invoke("submit", price(tmp_path), "--party", PLANT, "--dry-run", "--output", "json"), 1)
    assert (refused["reason"], refused["advice"]) == ("wrong_role", advice(Refusal.WRONG_ROLE))
    assert played.brought == 0


def test_what_this_copy_refuses_is_sent_only_when_that_is_asked_for(
    played: Played, invoke: Invoke, tmp_path: Path
) -> None:
    code, shown, said = invoke("submit", price(tmp_path), "--party", PLANT)
    assert (code, played.brought) == (1, 0)
    assert "wrong_role" in shown
    assert advice(Refusal.WRONG_ROLE) in said
    (row,) = rows(invoke("submit", price(tmp_path), "--party", PLANT, "--anyway", "--output", "json"), 1)
    assert (row["verdict"], row["reason"], row["height"]) == ("refused", "wrong_role", 2)
    assert played.state().book.numbers == {}


def test_where_another_batch_took_the_number_it_is_brought_under_the_next(
    played: Played, invoke: Invoke, tmp_path: Path
) -> None:
    other = parties.payload(played.world, AUTHORITY, 1)
    played.before = [parties.message(played.world, EXCHANGE, 1, [other])]
    (row,) = rows(invoke("submit", price(tmp_path), "--party", EXCHANGE, "--output", "json"))
    assert (played.brought, row["verdict"], row["height"]) == (2, "accepted", 3)


SALE = """
kind = "transfer"
seller = "plant"
buyer = "mill"
vintage = 2016
amount = "1 t"
price = "80 CNY/t"
venue = ""
"""


def test_the_other_side_signs_what_was_prepared(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "sale.toml").write_text(SALE)
    draft = str(tmp_path / "sale.json")
    prepared = invoke("submit", str(tmp_path / "sale.toml"), "--party", PLANT, "--prepare", draft)
    assert prepared[0] == 0, prepared[2]
    assert json.loads(Path(draft).read_text())["says"]["content"]["amount_g"] == 1_000_000
    (row,) = rows(invoke("submit", draft, "--dry-run", "--output", "json"), 1)
    assert (row["party"], row["reason"]) == (PLANT, "not_countersigned")
    assert invoke("submit", "--countersign", draft, "--party", "mill-co")[0] == 0
    data = drafts.words_of(Path(draft))
    assert list(drafts.Draft.load(data, played.world.channel).signatures) == [PLANT, "mill-co"]
    (row,) = rows(invoke("submit", draft, "--party", "mill-co", "--anyway", "--output", "json"), 1)
    assert (row["party"], row["reason"], row["height"]) == (PLANT, "over_balance", 2)
    data["says"]["content"]["amount_g"] = 5
    Path(draft).write_text(json.dumps(data))
    code, _, said = invoke("submit", "--countersign", draft, "--party", "mill-co")
    assert (code, "is not what is signed" in said) == (2, True)


OUTPUT = """
kind = "output"
subject = "plant"
period = "2016-01-05"
product = "electricity"
quantity = "12.5 MWh"
document = "bill.pdf"
"""
BACK = """
kind = "reversal"
number = 1
reason = "another day's figures"
"""


def test_what_was_stated_is_taken_back_by_its_number(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"a bill")
    output, back = tmp_path / "output.toml", tmp_path / "back.toml"
    output.write_text(OUTPUT)
    back.write_text(BACK)
    for file, number in ((output, 1), (back, 2), (output, 3)):
        (row,) = rows(invoke("submit", str(file), "--party", PLANT, "--output", "json"))
        assert (row["verdict"], row["number"]) == ("accepted", number)
    (overlaps,) = rows(invoke("submit", str(output), "--party", PLANT, "--output", "json"), 1)
    assert (overlaps["reason"], overlaps["advice"]) == ("overlaps", advice(Refusal.OVERLAPS))
    code, _, said = invoke("submit", str(back), "--party", PLANT)
    assert (code, "nothing of plant-co stands under 1" in told(said)) == (2, True)


BILL = """
kind = "activity"
subject = "plant"
source = "grid"
period = "2016-01-05/2016-01-06"
quantity = "2 MWh"
rule = {rule = "purchased_electricity", factor = "grid_factors.CN.national.2023"}
document = "bill.pdf"
"""


def test_the_emission_of_activity_data_is_computed_where_it_is_not_stated(
    played: Played, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"a bill")
    file = tmp_path / "bill.toml"
    file.write_text(BILL + 'emission = "1 g"')
    (wrong,) = rows(invoke("submit", str(file), "--party", PLANT, "--output", "json"), 1)
    assert (wrong["reason"], played.brought) == ("wrong_amount", 0)
    file.write_text(BILL)
    (row,) = rows(invoke("submit", str(file), "--party", PLANT, "--output", "json"))
    assert row["verdict"] == "accepted"
    nothing = 'rule = "combustion", heat_rate = "1/0", carbon = "a.b", oxidation = "a.c"'
    for text in (BILL.replace("2 MWh", "2 t"), re.sub("rule = {.*}", f"rule = {{{nothing}}}", BILL)):
        file.write_text(text)
        code, _, said = invoke("submit", str(file), "--party", PLANT)
        assert (code, "emission_g: isn't stated, and can't be computed" in told(said)) == (2, True)


def test_what_benchmarks_and_outputs_give_is_computed(played: Played, tmp_path: Path) -> None:
    wanted = {**CONTENTS["allocation"], "stage": "final"}
    ledger = played.ledger
    desk = drafts.Desk(load(tmp_path), ledger.registry, ledger.book, tmp_path, 0)
    words = {name: value for name, value in wanted.items() if name not in ("amount_g", "decision")}
    assert desk.draft({"kind": "allocation", **words}, AUTHORITY, 1, tmp_path).stated.content == CONTENTS["allocation"]
    with pytest.raises(WordingError, match=r"amount_g: isn't stated, .*: there are no outputs"):
        desk.draft({"kind": "allocation", **words, "outputs": []}, AUTHORITY, 1, tmp_path)


VERIFIED = """
kind = "verification"
subject = "plant"
year = 2015
emissions = "10 t"
sources = [{source = "boiler", gas = "CO2", scope = 1, emission = "10 t"}]
document = "bill.pdf"
"""
CLOSING = """
kind = "closing"
subject = "plant"
year = 2015
"""


def test_the_book_says_what_a_closing_states(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"a bill")
    for party, text in ((VERIFIER, VERIFIED), (AUTHORITY, CLOSING)):
        (tmp_path / "stated.toml").write_text(text)
        (row,) = rows(invoke("submit", str(tmp_path / "stated.toml"), "--party", party, "--output", "json"))
        assert row["verdict"] == "accepted"
    found = invoke("resolve", row["code"], "--output", "json")[1]
    assert json.loads(found)[0]["content.shortfall_g"] == 10_000_000


BILLS = """period,energy,quantity,document,factor
2016-01,electricity,1001.5 kWh,bill.pdf,grid_factors.CN.national.2023
2016-02,electricity,900 kWh,bill.pdf,grid_factors.CN.national.2023
"""


def test_a_csv_of_bills_goes_together_or_not_at_all(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"a bill")
    bills = tmp_path / "bills.csv"
    bills.write_text(BILLS.replace("900 kWh", "900 t").replace("2016-01", "2016-13"))
    code, _, said = invoke("submit", "--csv", str(bills), "--party", PLANT)
    assert (code, "line 2: " in told(said), "line 3: " in told(said)) == (2, True, True)
    assert invoke("submit", "--csv", str(bills), "--party", EXCHANGE)[0] == 2
    assert played.brought == 0
    bills.write_text(BILLS)
    found = rows(invoke("submit", "--csv", str(bills), "--party", PLANT, "--output", "json"))
    assert [(row["file"], row["number"], row["verdict"]) for row in found] == [
        (f"{bills}: bill {number}", number, "accepted") for number in (1, 2)
    ]
    assert (
        rows(invoke("submit", "--csv", str(bills), "--party", PLANT, "--output", "json"), 1)[0]["reason"] == "overlaps"
    )


def told(said: str) -> str:
    """What stands in the frame of a usage error."""
    return " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind = ", "neither TOML nor"),
        ("year = 2016", "kind: is missing"),
        ('kind = "price"\nyear = 2016\nmonth = 1\nprice = 79', "price: 79 of what?"),
        ('kind = "prices"', "is none of allocation"),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused_by_name(
    played: Played, invoke: Invoke, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    code, _, shown = invoke("submit", str(path), "--party", EXCHANGE)
    assert (code, played.brought) == (2, 0)
    assert said in told(shown)


def test_a_key_that_others_can_read_is_not_used(played: Played, invoke: Invoke, tmp_path: Path) -> None:
    key = tmp_path / "channel" / "keys" / f"party-{EXCHANGE}.seed"
    key.chmod(0o644)
    code, _, said = invoke("submit", price(tmp_path), "--party", EXCHANGE)
    assert (code, "chmod 600" in said, played.brought) == (3, True, 0)


def test_kinds_are_listed_with_roles_and_fields(tmp_path: Path, invoke: Invoke) -> None:
    by = {row["kind"]: row["by"] for row in rows(invoke("submit", "kinds", "--output", "json"))}
    assert (by["price"], by["output"]) == ("exchange", "enterprise, statistics")
    fields = {row["field"]: row["write"] for row in rows(invoke("submit", "kinds", "transfer", "--output", "json"))}
    assert fields["amount"] == 'an amount such as "12.5 t"'
    of_reversal = rows(invoke("submit", "kinds", "reversal", "--output", "json"))
    assert [row["field"] for row in of_reversal] == ["number", "reason"]
    assert invoke("submit", "kinds", "transfers")[0] == 2


def test_batches_are_bounded() -> None:
    payloads = [bytes(200_000)] * 4 + [b"x"] * 3
    assert [len(batch) for batch in submitting.batches(payloads, 3)] == [2, 3, 2]
    assert submitting.batches([bytes(10**6)], 3) == [[bytes(10**6)]]
