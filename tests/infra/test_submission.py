"""Submissions in a member's copy of the ledger: beside records they disturb nothing, and each is found and proved."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carbon import calendar, submission
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from infra import submission as submissions
from infra.channel import load
from infra.copy import LedgerCopy
from infra.submission import code_of, recorded
from tests.carbon.ledger.desk import Desk
from tests.consensus.test_submission import Market, price
from tests.infra.copies import Invoke, invoker
from tests.infra.test_copy import reading_code, shown, store
from tests.parties import EXCHANGE, PARTIES, PLANT
from tests.small import START


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """Windows and submissions in one block, one of them refused and one that is none."""
    scene = Market()
    scene.order(scene.windows(0, 1))
    scene.submit(EXCHANGE, price(scene, 1), b"none", price(scene, 2, PLANT))
    store(tmp_path, scene, scene.messages, parties=PARTIES)
    return scene


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(tmp_path, monkeypatch, capsys)


def test_a_submission_is_found_by_its_code_and_proved(market: Market, invoke: Invoke, tmp_path: Path) -> None:
    copy = LedgerCopy(tmp_path, load(tmp_path))
    first, refused = (code_of(copy, found) for found in recorded(copy))
    stated = submission.read(price(market, 1))
    assert first == submission.code(stated, market.leaves()[0].commitment, market.time_ms, "99.0000.1")
    assert first.startswith(f"99.0000.1/{EXCHANGE}.price.201603")
    row = shown(invoke, tmp_path, first)
    assert (row["record"], row["verdict"], row["height"], row["leaf_index"]) == (first, "accepted", 2, 3)
    assert (row["party"], row["signed_by"], row["content.price_fen_t"]) == (EXCHANGE, EXCHANGE, 7_900)
    assert "wrong_role" in invoke("resolve", refused)[1]
    assert invoke("resolve", first[:-4] + "0000")[0] == 1


def test_records_and_readings_beside_it_are_found_as_before(market: Market, invoke: Invoke, tmp_path: Path) -> None:
    assert shown(invoke, tmp_path, reading_code(market, market.messages, START))["height"] == 1
    assert invoke("verify", "--output", "json")[0] == 0
    done, _, said = invoke("export", str(tmp_path / "all.export"))
    assert (done, "2 blocks" in said) == (0, True)
    genesis = str(tmp_path / "channel" / "genesis.json")
    assert invoke("verify", "--file", str(tmp_path / "all.export"), "--genesis", genesis)[0] == 0
    assert invoke("registry", "show")[0] == 0
    assert invoke("committee", "vkeys")[0] == 0


def test_a_partys_past_is_by_the_years_of_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, start = Desk(Book(480)), calendar.year_start(2024, 480)
    assert desk.state("activity", start=start, end=start + 1) is Refusal.PASS
    ((said, at),) = desk.accepted
    payload = submission.signed(said.body, {said.party: bytes(32)}, bytes(32))
    accepted = SimpleNamespace(leaf=SimpleNamespace(accepted=True))
    found = SimpleNamespace(
        leaf=accepted, opened=SimpleNamespace(payload=payload), block=SimpleNamespace(header={"time": at})
    )
    monkeypatch.setattr(submissions, "recorded", lambda _: [found])
    copy: Any = SimpleNamespace(channel=SimpleNamespace(genesis=SimpleNamespace(utc_offset_minutes=480)))
    content = submissions.past_of(copy, said.party).reversal(said.number, "wrong")
    assert desk.say(said.party, "reversal", content) is Refusal.PASS
