"""A data folder with a channel and one member's copy of a small ledger, and the command in this process on it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.member.store import LedgerFile
from infra.cli import main
from tests.committee import write_channel
from tests.consensus.test_ledger import Chain

Invoke = Callable[..., tuple[int, str, str]]


class StoredChain(Chain):
    """A chain whose blocks are kept in a member's file too."""

    def __init__(self, data: Path, member: int = 0) -> None:
        super().__init__()
        assert write_channel(data, points=3, gateways=1).genesis == self.world.genesis
        folder = data / "members" / str(member)
        folder.mkdir(parents=True)
        self.file = LedgerFile(folder / "ledger.sqlite")

    def order(self, *batches, time_ms: int = 1_000) -> bytes:
        package = super().order(*batches, time_ms=time_ms)
        self.file.keep(package, *self.store.after)
        return package


def invoker(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """The command line on `data`: exit code, standard output and error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CARBONLEDGER_DATA", "")  # so that what --data sets is undone
        monkeypatch.setattr(sys, "argv", ["carbonledger", "--data", str(data), *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


def rows(invoke: Invoke, *arguments: str) -> list[dict[str, Any]]:
    """What a command shows, as JSON."""
    code, printed, said = invoke(*arguments, "--output", "json")
    assert code == 0, said
    return list(json.loads(printed))
