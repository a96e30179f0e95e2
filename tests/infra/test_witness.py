"""The witness as a command: on an exported ledger, and on the topic of a real broker."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.log import note
from infra import verification
from schemas import codec, topics
from tests.committee import ROOT, produce, write_channel
from tests.consensus.log.test_evidence import GENESIS
from tests.consensus.log.test_witness import ONE, OTHER
from tests.infra.copies import Invoke, invoker
from tests.streams.pipeline import reset


class Scene:
    """A witness's folder, the genesis, and exported ledgers to show it."""

    def __init__(self, tmp_path: Path, invoke: Invoke) -> None:
        assert write_channel(tmp_path / "data", points=3, gateways=1).genesis == GENESIS
        self.folder, self.genesis = tmp_path / "witness", tmp_path / "data" / "channel" / "genesis.json"
        self.file, self._invoke = tmp_path / "ledger.export", invoke

    def run(self, blocks: list[bytes]) -> tuple[int, str, str]:
        """Show the witness a file with these blocks."""
        empty = {"salts": b"", "payloads": []}
        verification.to_file(self.file, [codec.encode_bare("block-package", {"block": b} | empty) for b in blocks])
        return self.call("--file", str(self.file))

    def call(self, *more: str) -> tuple[int, str, str]:
        return self._invoke("witness", str(self.folder), "--genesis", str(self.genesis), *more)

    @property
    def state(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / "witness.json").read_text())
        return found


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scene:
    return Scene(tmp_path, invoker(tmp_path / "data", monkeypatch, capsys))


def height_of(shown: str) -> int:
    return note.parse_checkpoint(note.split(shown)[0]).height


def test_it_cosigns_what_has_grown(scene: Scene) -> None:
    code, shown, said = scene.run(ONE[:3])
    assert (code, height_of(shown), said) == (0, 3, "")
    assert shown == f"{scene.state['checkpoint']}{scene.state['cosignature']}"
    assert shown.splitlines()[-1].startswith("— carbonledger/witness ")
    assert stat.S_IMODE((scene.folder / "witness.seed").stat().st_mode) == 0o600
    seed, vkey = [(scene.folder / f"witness.{part}").read_text() for part in ("seed", "vkey")]
    assert height_of(scene.run(ONE)[1]) == 5
    assert [(scene.folder / f"witness.{part}").read_text() for part in ("seed", "vkey")] == [seed, vkey]
    code, shown, _ = scene.run(ONE[:2])
    assert (code, height_of(shown)) == (0, 5), "an older ledger takes nothing back"


def test_a_fork_is_refused_loudly_and_for_ever(scene: Scene) -> None:
    assert scene.run(ONE[:3])[0] == 0
    before = scene.state
    code, shown, said = scene.run(OTHER)
    assert (code, shown) == (1, "")
    assert "THE LEDGER HAS FORKED" in said and "height 3" in said
    (kept,) = (scene.folder / "evidence").iterdir()
    checkpoints = json.loads(kept.read_text())["checkpoints"]
    assert [height_of(one) for one in checkpoints] == [3, 3]
    assert before["checkpoint"] in checkpoints
    checked = scene._invoke("verify-evidence", str(kept), "--genesis", str(scene.genesis), "--output", "json")
    assert (checked[0], json.loads(checked[1])[0]["kind"]) == (0, "fork")
    code, shown, said = scene.run(ONE)
    assert (code, shown, scene.state) == (1, "", before), "it cosigns nothing more"
    assert "THE LEDGER HAS FORKED" in said


def test_missing_and_damaged_blocks_are_said(scene: Scene) -> None:
    code, shown, said = scene.run([*ONE[:2], *ONE[3:]])
    assert (code, height_of(shown)) == (1, 2)
    assert "after height 2: block 3 is missing" in said
    assert scene.state["offset"] == 0
    damaged = codec.encode("block", codec.decode("block", ONE[2]) | {"leaves": b""})
    code, shown, said = scene.run([damaged])
    assert (code, height_of(shown)) == (1, 2)
    assert "its leaves are not what its header states" in said
    scene.file.write_bytes(b"\0" * 7)
    assert scene.call("--file", str(scene.file))[0] == 1
    assert scene.call("--file", str(scene.folder / "none"))[0] == 3
    assert scene.run(ONE)[0] == 0


def test_a_folder_of_another_channel_or_a_damaged_one_is_not_used(scene: Scene) -> None:
    assert scene.run(ONE[:3])[0] == 0
    state, path = scene.state, scene.folder / "witness.json"
    path.write_text(json.dumps(state | {"genesis": "00" * 32}))
    code, shown, said = scene.run(ONE)
    assert (code, shown) == (3, "")
    assert "another channel" in said
    for damaged in ("{", json.dumps(state | {"position": {}}), path.read_text()[:-40]):
        path.write_text(damaged)
        assert scene.run(ONE)[:2] == (3, "")
    before = codec.decode("block", ONE[1])["checkpoint"]
    path.write_text(json.dumps(state | {"checkpoint": before}))
    code, shown, said = scene.run(ONE)
    assert (code, shown) == (3, "")
    assert "not that of its position" in said
    path.write_text(json.dumps(state))
    (scene.folder / "witness.seed").chmod(0o644)
    assert "others can read the key" in scene.run(ONE)[2]
    assert scene._invoke("witness", str(scene.folder), "--genesis", str(path))[0] == 2


@pytest.mark.broker
def test_it_follows_the_topic(scene: Scene, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs to the topic's end, then a process that cosigns as blocks come, and ends with 1 at a fork."""
    reset(broker)
    monkeypatch.setenv("CARBONLEDGER_BOOTSTRAP", broker)

    def publish(*blocks: bytes) -> None:
        produce(broker, topics.LEDGER_BLOCKS, [("", block) for block in blocks], 0)

    assert scene.call("--once")[:2] == (0, ""), "nothing to cosign yet"
    publish(ONE[0], b"noise", ONE[2])
    code, shown, said = scene.call("--once")
    assert (code, height_of(shown), scene.state["offset"]) == (1, 1, 2)
    assert "block 2 is missing" in said
    publish(ONE[1])
    code, shown, _ = scene.call("--once")
    assert (code, height_of(shown), scene.state["offset"]) == (0, 3, 4)
    line = [sys.executable, "-m", "infra.cli", "witness", str(scene.folder), "--genesis", str(scene.genesis)]
    for ending in (ONE[3], OTHER[3]):
        follower = subprocess.Popen(line, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
        assert follower.stderr is not None
        try:
            publish(ending)
            if ending is ONE[3]:
                assert "height 4, tree size 9 cosigned" in next(iter(follower.stderr))
                follower.send_signal(signal.SIGTERM)
            assert follower.wait(60) == (0 if ending is ONE[3] else 1)
            assert ("THE LEDGER HAS FORKED" in follower.stderr.read()) is (ending is OTHER[3])
        finally:
            follower.kill()
            follower.wait()
            follower.stderr.close()


def test_its_help_teaches_by_example(scene: Scene) -> None:
    code, said, _ = scene._invoke("witness", "--help")
    assert code == 0
    assert " carbonledger witness" in said.split("Usage:")[1].split("\n", 1)[1]
