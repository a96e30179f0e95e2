"""The commands about growth, on a member's copy of a small ledger."""

import json
from pathlib import Path

import pytest

from tests.infra.copies import Invoke, StoredChain, invoker


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """On a ledger of heights 1 to 4 with tree sizes 6, 12, 12 and 15."""
    StoredChain(tmp_path).fill().file.close()
    return invoker(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "heights", "sizes"),
    [
        ("1 4", [1, 4], [6, 15]),
        ("2", [2, 4], [12, 15]),
        ("3 3", [3, 3], [12, 12]),
        ("--sizes 6 12", [1, 2], [6, 12]),
        ("--sizes 12", [2, 4], [12, 15]),
        ("1 2", [1, 2], [6, 12]),
    ],
)
def test_growth_is_proved_and_verified(
    invoke: Invoke, tmp_path: Path, words: str, heights: list[int], sizes: list[int]
) -> None:
    code, file, _ = invoke("prove-growth", *words.split())
    assert code == 0
    (tmp_path / "growth.json").write_text(file)
    genesis = str(tmp_path / "channel" / "genesis.json")
    code, shown, _ = invoke("verify-growth", str(tmp_path / "growth.json"), "--genesis", genesis, "--output", "json")
    rows = json.loads(shown)
    assert code == 0
    assert ([row["height"] for row in rows], [row["tree_size"] for row in rows]) == (heights, sizes)


@pytest.mark.parametrize("words", ["1 5", "9", "4 1", "--sizes 6 13", "--sizes 7"])
def test_what_is_not_there_is_said(invoke: Invoke, words: str) -> None:
    code, shown, said = invoke("prove-growth", *words.split())
    assert (code, shown) == (1, "")
    assert "no block of this copy has" in said or "is no later than" in said


def test_a_proof_that_does_not_hold_and_input_of_no_use(invoke: Invoke, tmp_path: Path) -> None:
    path, genesis = tmp_path / "growth.json", str(tmp_path / "channel" / "genesis.json")
    file = json.loads(invoke("prove-growth", "1", "4")[1])
    path.write_text(json.dumps(file | {"consistency_path": file["consistency_path"][1:]}))
    code, shown, said = invoke("verify-growth", str(path), "--genesis", genesis)
    assert (code, shown) == (1, "")
    assert "the proof does not hold" in said
    path.write_text("{")
    assert invoke("verify-growth", str(path), "--genesis", genesis)[0] == 2
    assert invoke("verify-growth", genesis, "--genesis", str(path))[0] == 2


@pytest.mark.parametrize("name", ["prove-growth", "verify-growth"])
def test_every_help_teaches_by_example(invoke: Invoke, name: str) -> None:
    code, said, _ = invoke(name, "--help")
    assert code == 0
    assert f" carbonledger {name}" in said.split("Usage:")[1].split("\n", 1)[1]
