"""How a member process ends, and what its next start is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consensus.log.follower import LedgerError
from consensus.member import process
from consensus.member.archive import DamagedArchive


def end_of(error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """What comes out of a member's run when this happens in it."""

    def fails(config: Any, file: Any) -> None:
        raise error

    file = SimpleNamespace(close=lambda: None)
    monkeypatch.setattr(process, "Reading", fails)
    monkeypatch.setattr(process.LedgerFile, "opened", lambda path, genesis: (file, None))
    with pytest.raises(type(error) if isinstance(error, ZeroDivisionError) else SystemExit) as ended:
        process.run(SimpleNamespace(folder=folder, genesis=None), lambda: True)  # type: ignore[arg-type]
    return ended.value


@pytest.mark.parametrize("error", [LedgerError("block 7 is missing"), ZeroDivisionError()])
def test_the_next_start_checks_the_whole_copy(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After damage that was found, and after any other error: a damaged block may be behind it."""
    end_of(error, tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.suspect"]


@pytest.mark.parametrize("error", [SystemExit("stops at height 7"), DamagedArchive("changed")])
def test_another_end_says_nothing_of_the_copy(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive.sqlite").touch()
    end_of(error, tmp_path, monkeypatch)
    assert list(tmp_path.glob("*.suspect")) == []
