"""Verifiers that aren't ours accept what the ledger shows, and refuse it changed: notes, RFC 6962, cosignatures."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carbon import packet, signing, window
from consensus.log import growth, leaf, note, proof, witness
from consensus.log.note import NoteKey
from schemas import codec
from tests.consensus.test_contract import POINT
from tests.consensus.test_ledger import SIGNERS, Chain
from tests.small import START, seed

pytestmark = pytest.mark.extra("go")
SECONDS = 1_800_000_000
KEY = NoteKey("carbonledger/witness", signing.public_key(seed("witness")), note.COSIGNATURE)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program; needs Go and its module proxy."""
    built, source = tmp_path_factory.mktemp("go") / "verifiers", Path(__file__).with_name("verifiers_go")
    subprocess.run([shutil.which("go") or "go", "build", "-o", built, "."], cwd=source, check=True)
    return built


class Shown:
    """A ledger of heights 1 to 4 with tree sizes 6, 12, 12 and 15, and what it shows of itself."""

    def __init__(self) -> None:
        self.chain = Chain().fill()
        self.genesis = self.chain.world.genesis
        blocks = [codec.decode("block", block) for block in self.chain.blocks()]
        self.leaves = [envelope for block in blocks for envelope in leaf.split(block["leaves"])]
        self.hashes = [growth.merkle.leaf_hash(envelope) for envelope in self.leaves]
        self.checkpoints = [block["checkpoint"] for block in blocks]
        self.sizes = (6, 12, 12, 15)

    def question(self, index: int, old: int = 0, new: int = 3, reading: int | None = None) -> dict[str, Any]:
        """A leaf, the growth between two heights, perhaps a reading of POINT's first window, and a cosigned note."""
        log = proof.inclusion(self.leaves[index], self.hashes, index)
        below = None if reading is None else self._reading(reading)
        line = witness.cosignature(seed("witness"), KEY, self.checkpoints[new], SECONDS)
        notes = (self.checkpoints[old], self.checkpoints[new])
        asked = {
            "vkeys": [str(member.note_key) for member in self.genesis.members],
            "witness": str(KEY),
            "origin": self.genesis.origin,
            "proof": proof.build(log, self.checkpoints[-1], below, None),
            "growth": growth.build(*notes, self.hashes[: self.sizes[new]], self.sizes[old]),
            "cosigned": self.checkpoints[new] + line,
        }
        proof.verify(asked["proof"], self.genesis)
        growth.verify(asked["growth"], self.genesis)
        return asked

    def _reading(self, place: int) -> dict[str, Any]:
        facts = [self.chain.evidence.facts("gw-0", 0, sequence) for sequence in (1, 2)]
        counted = window.counted((POINT, START), [one for one in facts if one is not None])
        hashes = [one.leaves[index] for one, index in counted]
        one, index = counted[place]
        return proof.inclusion(packet.evidence_leaves(one.packet)[index].tobytes(), hashes, place)


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown()


def ask(program: Path, question: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program], input=json.dumps(question), capture_output=True, text=True)


def test_every_leaf_reading_and_growth_is_accepted(program: Path, shown: Shown) -> None:
    for index in range(15):
        told = ask(program, shown.question(index))
        assert told.stdout.splitlines() == [
            f"leaf {index} of 15 signed by {len(SIGNERS)}",
            "grew from 6 to 15",
            f"size 15 cosigned at {SECONDS} beside {len(SIGNERS)}",
        ], told.stderr
    for new in range(4):
        for old in range(new + 1):
            told = ask(program, shown.question(0, old, new))
            assert f"grew from {shown.sizes[old]} to {shown.sizes[new]}" in told.stdout, told.stdout + told.stderr
    for reading in range(4):
        assert f"reading {reading} of 4" in ask(program, shown.question(1, reading=reading)).stdout


def _swap(text: str) -> str:
    """The same base64 with its first character changed."""
    return ("A" if text[0] != "A" else "B") + text[1:]


CHANGES: dict[str, tuple[int, Callable[[dict[str, Any], Shown], Any]]] = {
    "leaf": (0, lambda q, _: q["proof"]["log"].update(leaf=_swap(q["proof"]["log"]["leaf"]))),
    "place": (0, lambda q, _: q["proof"]["log"].update(leaf_index=2)),
    "path": (0, lambda q, _: q["proof"]["log"]["audit_path"].reverse()),
    "checkpoint": (
        0,
        lambda q, _: q["proof"]["log"].update(
            checkpoint=q["proof"]["log"]["checkpoint"].replace("height 4", "height 5")
        ),
    ),
    "another channel": (0, lambda q, _: q.update(origin=q["origin"] + "0")),
    "a member less": (0, lambda q, _: q["vkeys"].pop(SIGNERS[0])),
    "reading": (1, lambda q, _: q["proof"]["evidence"].update(leaf=_swap(q["proof"]["evidence"]["leaf"]))),
    "evidence root": (1, lambda q, _: q["proof"]["evidence"].update(root=_swap(q["proof"]["evidence"]["root"]))),
    "growth": (2, lambda q, _: q["growth"]["consistency_path"].reverse()),
    "old checkpoint": (2, lambda q, shown: q["growth"].update(old=shown.checkpoints[1])),
    "cosigned text": (
        3,
        lambda q, shown: q.update(cosigned=shown.checkpoints[1] + note.split(q["cosigned"])[1][-1] + "\n"),
    ),
    "witness": (
        3,
        lambda q, _: q.update(witness=str(NoteKey(KEY.name, signing.public_key(seed("w")), KEY.type))),
    ),
}
"""What is changed, and how many of the four checks before it still hold."""


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_refused(program: Path, shown: Shown, name: str) -> None:
    question = shown.question(1, reading=2)
    assert len(ask(program, question).stdout.splitlines()) == 4
    changed = copy.deepcopy(question)
    held, change = CHANGES[name]
    change(changed, shown)
    told = ask(program, changed)
    assert (told.returncode, len(told.stdout.splitlines()), told.stderr[:8]) == (1, held, "refused:")
