"""`carbonledger gateway`: what it says and how it ends, as a process."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.cli.gateway import gateway
from infra.errors import EnvironmentFault
from infra.ports import free_port
from streams.edge.config import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "edge.seed").write_text("07" * 32)
    (tmp_path / "edge.seed").chmod(0o600)
    register = {"point": "p", "address": 0, "type": "u16"}
    device = {
        "name": "meter",
        "host": "127.0.0.1",
        "port": free_port(),
        "groups": [{"every_ms": 3_600_000, "registers": [register]}],
    }
    settings = {
        "gateway": "edge-1",
        "seed_file": str(tmp_path / "edge.seed"),
        "channel": "ab" * 32,
        "kafka": {"bootstrap.servers": "127.0.0.1:1"},
        "folder": str(tmp_path / "edge"),
        "packet": {"silence": 0.05},
        "sources": [{"kind": "modbus", "devices": [device]}],
    }
    (tmp_path / "edge.json").write_text(json.dumps(settings))
    return tmp_path / "edge.json"


def command(file: Path) -> list[str]:
    return [sys.executable, "-m", "infra.cli", "gateway", "--config", str(file)]


def status(file: Path) -> dict[str, object]:
    found = file.parent / "edge" / "progress.json"
    return json.loads(found.read_text()) if found.exists() else {"sequence": 0}


def test_check_says_what_is_wrong_and_touches_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.logging.configure", lambda *_: None)

    def checked() -> Result:
        return CliRunner().invoke(app, ["gateway", "--config", str(file), "--check"])

    assert (checked().exit_code, checked().stderr) == (0, "edge-1 (modbus): the settings can be used\n")
    assert not (file.parent / "edge").exists()
    (file.parent / "edge.seed").chmod(0o644)
    assert isinstance(fault := checked().exception, EnvironmentFault) and "chmod 600" in str(fault)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"kafka": {"bootstrap.servers": "k", "none": "x"}}))
    (file.parent / "edge.seed").chmod(0o600)
    assert checked().exit_code == 2 and "kafka" in checked().stderr
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unheard": 1}))
    assert checked().exit_code == 2 and "unheard" in checked().stderr


def test_ctrl_c_ends_it_in_order_and_the_next_start_goes_on(file: Path) -> None:
    last = 0
    for _ in range(2):
        with subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True) as process:
            try:
                while int(str(status(file)["sequence"])) <= last:
                    assert process.poll() is None
                    time.sleep(0.02)
                if not last:
                    second = subprocess.run(command(file), capture_output=True, text=True, check=False)
                    assert second.returncode == 3 and "another gateway" in second.stderr
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=60)
            finally:
                process.kill()
        assert (process.returncode, said.count("Traceback")) == (0, 0)
        stated = status(file)
        assert stated["done"] and stated["unsent"] == stated["sequence"]
        last = int(str(stated["sequence"]))


def test_the_settings_that_its_help_shows_can_be_used(tmp_path: Path) -> None:
    assert gateway.__doc__ is not None
    _, _, shown = gateway.__doc__.partition("publish JSON:\n")
    text = shown.partition("\b")[0].replace("<64 hex digits: the genesis digest>", "ab" * 32)
    (tmp_path / "edge.yaml").write_text(textwrap.dedent(text))
    assert load(tmp_path / "edge.yaml").sources[0].kind == "mqtt"
