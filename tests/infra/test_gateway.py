"""`carbonledger gateway`: what it says and how it ends, as a process."""

import asyncio
import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from carbon import frames
from carbon.packet import decode_body
from infra.cli import app
from infra.cli.gateway import gateway
from infra.errors import EnvironmentFault
from infra.ports import free_port
from streams.edge.config import load
from streams.edge.sources.hj212.frame import frame, segment_of
from streams.edge.store import Store
from tests.small import registry_bytes
from tests.streams.edge.hj212.logger import INSTANT, connected, registration
from tests.streams.edge.test_config import channel


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "edge.seed").write_text("07" * 32)
    (tmp_path / "edge.seed").chmod(0o600)
    settings = {
        "gateway": "edge-1",
        "seed_file": str(tmp_path / "edge.seed"),
        "channel": "ab" * 32,
        "kafka": {"bootstrap.servers": "127.0.0.1:1"},
        "folder": str(tmp_path / "edge"),
        "sources": [{"kind": "hj212", "port": free_port(), "devices": [registration("LOGGER01")]}],
    }
    (tmp_path / "edge.json").write_text(json.dumps(settings))
    (tmp_path / "edge.json").chmod(0o600)
    return tmp_path / "edge.json"


def command(file: Path) -> list[str]:
    return [sys.executable, "-m", "infra.cli", "gateway", "--config", str(file)]


async def answered(file: Path, frames: int) -> None:
    """A logger has so many frames answered, the same ones at each call; it connects as soon as it can."""
    port = json.loads(file.read_text())["sources"][0]["port"]
    while True:
        try:
            async with connected("LOGGER01", port) as logger:
                for number in range(frames):
                    await logger.report(logger.upload(INSTANT.replace("080000", f"08{number:02}00")))
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)


def test_check_says_what_is_wrong_and_touches_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.logging.configure", lambda *_: None)

    def checked() -> Result:
        return CliRunner().invoke(app, ["gateway", "--config", str(file), "--check"])

    assert (checked().exit_code, checked().stderr) == (0, "edge-1 (hj212): the settings can be used\n")
    assert not (file.parent / "edge").exists()
    stated = file.read_text()
    file.write_text(json.dumps(json.loads(stated) | channel(file.parent, registry_bytes())))
    assert checked().stderr.endswith("; channel test, by its genesis, with the registry that it names\n")
    file.write_text(stated)
    (file.parent / "edge.seed").chmod(0o644)
    assert isinstance(fault := checked().exception, EnvironmentFault) and "chmod 600" in str(fault)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"kafka": {"bootstrap.servers": "k", "none": "x"}}))
    (file.parent / "edge.seed").chmod(0o600)
    assert checked().exit_code == 2 and "kafka" in checked().stderr
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unheard": 1}))
    assert checked().exit_code == 2 and "unheard" in checked().stderr


def test_killed_and_started_again_it_has_what_it_answered_once_and_ctrl_c_ends_it_in_order(file: Path) -> None:
    with subprocess.Popen(command(file)) as process:
        try:
            asyncio.run(asyncio.wait_for(answered(file, 3), 60))
            second = subprocess.run(command(file), capture_output=True, text=True, check=False)
            assert second.returncode == 3 and "another gateway" in second.stderr
        finally:
            process.kill()
    with subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True) as process:
        try:
            asyncio.run(asyncio.wait_for(answered(file, 4), 60))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said.count("Traceback")) == (0, 0)
    stated = json.loads((file.parent / "edge" / "progress.json").read_text())
    assert (stated["done"], stated["waiting"], stated["repeated"], stated["kept"]) == (True, 0, 3, 1)
    with Store(file.parent / "edge" / "store.sqlite") as store:
        packets = [decode_body(stored.body) for stored in store.unsent()]
        said_by = [frames.decode_body(stored.frames.body) for stored in store.unsent() if stored.frames is not None]
    assert [at % 3_600_000 for packet in packets for at in packet.at.tolist()] == [0, 60_000, 120_000, 180_000]
    assert {point for packet in packets for point in packet.points} == {"LOGGER01"}
    assert [message.raw[:2] for one in said_by for message in one.messages] == [b"##"] * 4


def test_no_password_of_a_logger_leaves_the_process(file: Path) -> None:
    secret, wrong = "Hush7531", "Loud8642"
    stated = json.loads(file.read_text())
    stated["sources"][0]["devices"][0]["password"] = secret
    file.write_text(json.dumps(stated))

    async def reports() -> None:
        port = stated["sources"][0]["port"]
        while True:
            try:
                async with connected("LOGGER01", port) as logger:
                    fields = {"PW": secret}
                    for change in ({"PW": wrong}, {"CN": 1062}, {"Flag": 12}, {"CN": 9012}, {"PW": f"{secret} "}):
                        await logger.send(logger.upload(**(fields | change)))
                    await logger.send(frame(segment_of(logger.upload(**fields)).replace(b"PW=", b"PW")))
                    await logger.report(logger.upload(**fields))
                return
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)

    with subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True) as process:
        try:
            asyncio.run(asyncio.wait_for(reports(), 60))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    with Store(file.parent / "edge" / "store.sqlite") as store:
        bodies = [stored.frames.body for stored in store.unsent() if stored.frames is not None]
    (message,) = (message for body in bodies for message in frames.decode_body(body).messages)
    written = [path.read_bytes() for path in (file.parent / "edge").rglob("*") if path.is_file()]
    assert b"PW=;" in message.raw and "wrong_password" in said and "malformed" in said
    assert not [
        word for word in (secret, wrong) for one in (said.encode(), message.raw, *written) if word.encode() in one
    ]


def test_the_settings_that_its_help_shows_can_be_used(tmp_path: Path) -> None:
    assert gateway.__doc__ is not None
    _, _, shown = gateway.__doc__.partition("publish JSON:\n")
    text = shown.partition("\n\n")[0].replace("<64 hex digits: the genesis digest>", "ab" * 32)
    (tmp_path / "edge.yaml").write_text(textwrap.dedent(text))
    assert load(tmp_path / "edge.yaml").sources[0].kind == "mqtt"
