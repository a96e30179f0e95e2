"""The commands about evidence: listed once a deed, exported, checked offline with the exit codes that they promise."""

import json
from pathlib import Path

import pytest

from consensus.core.messages import Kind
from consensus.log import evidence
from consensus.member.evidence import FOLDER, EvidenceFolder
from infra.cli import status
from infra.runfile import Member, Run
from tests.committee import write_channel
from tests.consensus.log.test_evidence import GENESIS, A, B, vote
from tests.infra.copies import Invoke, invoker

ID = "evidence/two_commits/3/0.2.17"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A channel of which members 0 and 2 keep the same evidence."""
    assert write_channel(tmp_path, points=3, gateways=1).genesis == GENESIS
    file = evidence.conflict(evidence.Known.of(GENESIS), [vote(Kind.COMMIT, digest).encode() for digest in (A, B)])
    for member in (0, 2):
        EvidenceFolder(tmp_path / "members" / str(member) / FOLDER, GENESIS).keep(file)
    return tmp_path


@pytest.fixture
def invoke(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    return invoker(data, monkeypatch, capsys)


def test_a_deed_is_listed_once_with_all_who_keep_it(invoke: Invoke) -> None:
    code, shown, _ = invoke("evidence", "list", "--output", "json")
    assert code == 0
    (row,) = json.loads(shown)
    assert (row["id"], row["convicts"], row["members"], row["kept_by"]) == (ID, True, [3], [0, 2])
    assert row["text"] == "member 3 (member-3) signed two commits for view 2, height 17"
    assert ID in invoke("evidence", "list")[1]


def test_what_is_exported_is_checked_with_the_genesis_alone(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    code, file, _ = invoke("evidence", "export", ID)
    assert code == 0
    path, genesis = tmp_path / "evidence.json", data / "channel" / "genesis.json"
    path.write_text(file)
    code, shown, _ = invoke("verify-evidence", str(path), "--genesis", str(genesis), "--output", "json")
    (row,) = json.loads(shown)
    assert (code, row["kind"], row["names"], row["convicts"]) == (0, "two_commits", ["member-3"], True)
    path.write_text(file.replace('"member": 3', '"member": 4').replace("member-3", "member-4"))
    code, shown, said = invoke("verify-evidence", str(path), "--genesis", str(genesis))
    assert (code, shown) == (1, "")
    assert "it proves nothing: a message of another member" in said


def test_unusable_input_is_a_usage_error(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    good, genesis = next((data / "members" / "0" / FOLDER).iterdir()), data / "channel" / "genesis.json"
    (tmp_path / "bad").write_text("{")
    for file, known in ((tmp_path / "bad", genesis), (tmp_path / "none", genesis), (good, tmp_path / "bad")):
        assert invoke("verify-evidence", str(file), "--genesis", str(known))[0] == 2
    assert invoke("verify-evidence", str(good), "--genesis", str(genesis))[0] == 0


def test_unknown_evidence_is_said(invoke: Invoke) -> None:
    code, shown, said = invoke("evidence", "export", "evidence/none")
    assert (code, shown) == (1, "")
    assert "see 'carbonledger evidence list'" in said


def test_status_shows_how_much_each_member_keeps() -> None:
    processes = [Member(name, "ready", 1, 0.0, 0, 5.0, None, None) for name in ("member-0", "member-1", "sink")]
    reports = {"member-0": {"evidence": 2, "votes_from": 17}, "member-1": {"evidence": 0, "votes_from": None}}
    listed = status.rows(Run(1, 0.0, "", tuple(processes)), [], 7, reports, {}, 9.0)
    assert [row.get("evidence") for row in listed] == [2, 0, None, None]
    assert [row.get("votes_from") for row in listed] == [17, None, None, None]


@pytest.mark.parametrize("name", ["evidence list", "evidence export", "verify-evidence"])
def test_every_help_teaches_by_example(invoke: Invoke, name: str) -> None:
    code, said, _ = invoke(*name.split(), "--help")
    assert code == 0
    assert f" carbonledger {name}" in said.split("Usage:")[1].split("\n", 1)[1]
