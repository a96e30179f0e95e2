"""The commands that read accounts from a member's copy, for a moment in time."""

import json
import re
from pathlib import Path

import pytest

from carbon.ledger.moment import Moment, moment_text
from carbon.refusal import Refusal
from consensus.ledger import Ledger
from consensus.member.store import LedgerFile
from infra import figures
from infra.channel import load
from infra.copy import LedgerCopy
from tests import parties
from tests.committee import write_channel
from tests.consensus.test_registration import BEGINS, NEW, with_a_new_point
from tests.consensus.test_submission import Market
from tests.infra.copies import Invoke, StoredChain, invoker, rows
from tests.infra.test_copy import store
from tests.parties import AUTHORITY, EXCHANGE, PARTIES, PLANT, VERIFIER
from tests.registrars import REGISTRARS
from tests.small import COEFFICIENT

SUBJECT = "plant"
ALLOCATION = {
    "subject": SUBJECT, "year": 2016, "stage": "PRE", "amount_g": 700, "outputs": [], "share_percent": 100,
    "cut_g": 0, "decision": [], "allowed": [],
}  # fmt: skip


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    StoredChain(tmp_path).fill()
    return invoker(tmp_path, monkeypatch, capsys)


def test_an_account_says_what_was_posted_by_when(invoke: Invoke) -> None:
    emissions, obligation = rows(invoke, "account", SUBJECT)
    assert (emissions["kind"], obligation["kind"], emissions["unit"]) == ("emissions", "obligation", "g CO2e")
    assert emissions["balance"] == obligation["balance"] == emissions["debit"] > 0
    assert (emissions["height"], emissions["time"], emissions["postings"]) == (4, "1970-01-01T00:00:02.000Z", 15)
    first, _ = rows(invoke, "account", SUBJECT, "--as-of", "1")
    assert (first["height"], first["postings"]) == (1, 6)
    assert rows(invoke, "account", SUBJECT, "--as-of", "1970-01-01T00:00:01Z")[0]["height"] == 3
    assert rows(invoke, "account", SUBJECT, "--as-of", "0") == []


def test_structure_and_region_add_up_to_the_account(invoke: Invoke) -> None:
    balance = rows(invoke, "account", SUBJECT)[0]["balance"]
    (whole,) = rows(invoke, "structure", SUBJECT)
    assert (whole["source"], whole["gas"], whole["scope"]) == ("combustion", "CO2", 1)
    assert (whole["emission_g"], whole["share_percent"]) == (balance, 100.0)
    points = rows(invoke, "structure", "region", "--by", "point", "--by", "month", "--as-of", "3")
    assert [row["point"] for row in points] == ["plant-0-0", "plant-0-1", "plant-0-2"]
    assert sum(row["emission_g"] for row in points) == rows(invoke, "account", SUBJECT, "--as-of", "3")[0]["balance"]
    assert [(row["subject"], row["emission_g"]) for row in rows(invoke, "region", "region")] == [
        ("plant", balance),
        ("region", balance),
    ]
    assert rows(invoke, "structure", SUBJECT, "--year", "2015") == []


def test_a_statement_ends_at_the_balance_and_each_line_can_be_proved(invoke: Invoke) -> None:
    for account in rows(invoke, "account", SUBJECT):
        lines = rows(invoke, "statement", SUBJECT, account["account"], "--last", "0")
        assert len(lines) == account["postings"] == 15
        assert lines[-1]["balance"] == account["balance"]
        running = 0
        for line in lines:
            running += line["debit"] - line["credit"]
            assert abs(running) == line["balance"]
            assert (line["what"], line["with"][:6], line["unit"]) == ("record", "plant-", "g CO2e")
    code, proof, _ = invoke("prove", lines[0]["code"])
    assert code == 0 and json.loads(proof)["record"]


def test_a_statement_shows_the_last_lines_and_says_so(invoke: Invoke) -> None:
    code, printed, said = invoke("statement", SUBJECT, "obligation", "--last", "2", "--output", "json")
    assert code == 0
    assert [line["at_height"] for line in json.loads(printed)] == [4, 4]
    assert said == "The last 2 of 15 lines; --last 0 shows all.\n"


def test_a_hand_count_of_the_first_block(invoke: Invoke) -> None:
    """Two hours of three points; each hour's quarters are 1,000 to 1,007 Wh, as `tests.small` packs them."""
    (whole,) = rows(invoke, "structure", SUBJECT, "--as-of", "1")
    hours = [sum(range(1000, 1004)), sum(range(1004, 1008))]
    assert whole["emission_g"] == 3 * sum(round(COEFFICIENT * hour) for hour in hours)


def test_a_table_says_where_it_stands(invoke: Invoke) -> None:
    code, printed, _ = invoke("account", SUBJECT, "--as-of", "2")
    assert code == 0
    assert printed.startswith("As of height 2, 1970-01-01T00:00:01.000Z\n")
    assert re.search(r"emissions:plant:2016:combustion .* g CO2e", printed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("account", "plan"), "no subject 'plan' was registered by height 4: is it plant?"),
        (("structure", SUBJECT, "--as-of", "soon"), "'soon' is neither a height"),
        (("region", "zzz"), "is it plant or region?"),
        (("statement", SUBJECT, "cash"), "plant has no account 'cash': it has emissions:plant:2016:combustion"),
    ],
)
def test_a_wrong_question_is_answered_by_what_would_be_right(
    invoke: Invoke, arguments: tuple[str, ...], said: str
) -> None:
    code, printed, error = invoke(*arguments)
    assert (code, printed) == (2, "")
    assert said in " ".join(re.sub(r"[│╭╮╰╯─]", " ", error).split())


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """On a ledger in whose registry parties stand."""
    market = Market()
    market.order(market.windows(0, 2, 0))
    given = parties.payload(market.world, AUTHORITY, 1, "allocation", ALLOCATION)
    assert market.submit(AUTHORITY, given) == [Refusal.PASS]
    write_channel(tmp_path, points=3, gateways=1, parties=PARTIES, registrars=REGISTRARS)
    channel, folder = load(tmp_path), tmp_path / "members" / "0"
    folder.mkdir(parents=True)
    file = LedgerFile(folder / "ledger.sqlite")
    ledger = Ledger(channel.genesis, channel.registry, file)
    assert all(ledger.install(package) for package in market.store.kept)
    file.close()
    return invoker(tmp_path, monkeypatch, capsys)


def test_a_submission_is_a_line_that_can_be_proved(seen: Invoke) -> None:
    (line,) = rows(seen, "statement", SUBJECT, "allowances")
    assert (line["account"], line["what"], line["with"]) == ("allowances:plant:2016", "allocation", AUTHORITY)
    assert (line["debit"], line["balance"], line["unit"]) == (700, 700, "g CO2e")
    assert (line["at_height"], line["at"]) == (2, moment_text(Market.time_ms))
    code, shown, _ = seen("resolve", line["code"], "--output", "json")
    assert code == 0 and json.loads(shown)[0]["content.amount_g"] == 700
    held = {row["kind"]: row["balance"] for row in rows(seen, "account", SUBJECT)}
    assert held["allowances"] == 700
    assert "allowances" not in {row["kind"] for row in rows(seen, "account", SUBJECT, "--as-of", "1")}


@pytest.mark.parametrize("viewer", [PLANT, AUTHORITY, VERIFIER])
def test_who_may_see_an_account_sees_all_of_it(seen: Invoke, viewer: str) -> None:
    for words in (("account", SUBJECT), ("structure", SUBJECT, "--by", "point"), ("region", "region")):
        assert rows(seen, *words, "--viewer", viewer) == rows(seen, *words)


def test_the_public_sees_a_regions_total_and_nobodys_part_of_it(seen: Invoke) -> None:
    for words in (("account", SUBJECT), ("structure", SUBJECT)):
        code, printed, said = seen(*words, "--viewer", "public")
        assert (code, printed) == (1, "")
        assert "public may not see plant at height 2: an enterprise sees itself" in said
    whole = rows(seen, "region", "region")[-1]
    assert rows(seen, "region", "region", "--viewer", "public")[-1] == whole
    shown = json.dumps(
        [rows(seen, *words, "--viewer", EXCHANGE) for words in (("region", "region"), ("structure", "region"))]
    )
    assert "plant" not in shown
    (point,) = rows(seen, "structure", "region", "--by", "point", "--viewer", EXCHANGE)
    assert (point["point"], point["emission_g"]) == ("not shown", whole["emission_g"])


def test_a_viewer_is_a_registered_party(seen: Invoke) -> None:
    code, _, said = seen("account", SUBJECT, "--viewer", "plant-company")
    assert code == 2
    assert "is it plant-co" in " ".join(said.split())


def test_a_registry_counts_from_the_height_at_which_it_is_in_force(tmp_path: Path) -> None:
    scene = with_a_new_point()
    store(tmp_path, scene, scene.messages)
    copy = LedgerCopy(tmp_path, load(tmp_path))
    before, after = (figures.view(copy, Moment(height=height)) for height in (BEGINS - 1, BEGINS))
    assert NEW not in before.registry.points and "boiler" not in {part.subject for part in before.structure.parts}
    assert NEW in after.registry.points and "boiler" in {part.subject for part in after.structure.parts}
