"""Verifying an exported ledger by the command, and what it says meanwhile."""

import re
import sys
from pathlib import Path

import pytest

from infra import verification
from infra.cli import ledger
from infra.cli.output import Form
from tests import synthetic
from tests.small import World, genesis_bytes, registry_bytes

BLOCKS, RECORDS = 2, 2 * (2 * 3 * 3 + 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """A genesis and an export."""
    folder = tmp_path_factory.mktemp("export")
    packages = synthetic.build(World.make(points=3), BLOCKS, batches=2, hours=3)
    (folder / "genesis.json").write_bytes(genesis_bytes(registry_bytes()))
    verification.to_file(folder / "ledger.export", packages)
    return folder / "ledger.export", folder / "genesis.json"


def test_a_terminal_sees_how_far_it_is_and_how_fast(files, monkeypatch, capsys):
    monkeypatch.setattr(ledger, "SAY_EVERY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(ledger, "monotonic", iter(range(100)).__next__)
    ledger.verify(*files, output=Form.JSON)
    shown = capsys.readouterr()
    said = [part.strip() for part in shown.err.split("\r")[1:]]
    assert said == [f"height {h}, {r} records, {r // h} a second" for h, r in ((1, RECORDS // 2), (2, RECORDS))]
    assert shown.err.endswith("\n") and '"verified"' in shown.out


def test_a_pipe_sees_the_verdict_alone(files, capsys):
    ledger.verify(*files, output=Form.JSON)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert re.search(rf'"height": {BLOCKS}\b.*"records": {RECORDS}\b', shown.out, re.DOTALL)


def test_readings_are_counted_for_whoever_asks(files):
    counting = verification.Counting()
    report = verification.verify(World.make(points=3).genesis, verification.from_file(files[0]), counting)
    assert report.refused == ""
    assert counting.total == 4 * (RECORDS - 2 * BLOCKS), "refused and corrected ones don't count twice"
