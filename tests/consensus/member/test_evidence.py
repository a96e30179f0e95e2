"""Evidence on disk: each deed once, bounded for each member, checked when it comes and when it is read."""

from pathlib import Path

import pytest

from consensus.core.messages import Kind
from consensus.log import evidence
from consensus.member import evidence as keeping
from consensus.member.evidence import EvidenceFolder
from tests.consensus.log.test_evidence import BATCH, GENESIS, A, B, Dissent, endorsement, vote


def commits(height: int, first: bytes = A, second: bytes = B) -> dict[str, object]:
    wires = [vote(Kind.COMMIT, digest, height=height).encode() for digest in (first, second)]
    return evidence.conflict(evidence.Known.of(GENESIS), wires)


def test_a_deed_is_kept_once_also_after_a_restart(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence", GENESIS)
    assert len(folder) == 0
    kept = folder.keep(commits(1))
    assert kept is not None and kept.path.read_text() == evidence.text(commits(1))
    again = EvidenceFolder(tmp_path / "evidence", GENESIS)
    for one in (folder, again):
        assert one.keep(commits(1)) is None
        assert one.keep(commits(1, B, BATCH)) is None, "the same deed, seen with another message"
        assert list(one.kept()) == [kept]
    assert again.keep(commits(2)) is not None
    assert len(again) == 2
    assert len(list((tmp_path / "evidence").iterdir())) == 2


def test_what_proves_nothing_is_not_kept_and_not_shown(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, GENESIS)
    assert folder.keep(commits(1, A, A)) is None
    (tmp_path / "old.json").write_text('{"kind": "two verdicts", "member": 3}')
    (tmp_path / "cut.json").write_text(evidence.text(commits(1))[:50])
    (tmp_path / "none.json").write_bytes(b"\xff")
    assert len(EvidenceFolder(tmp_path, GENESIS)) == 0
    assert list(folder.kept()) == []


def test_what_convicts_is_not_crowded_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", 2)
    folder = EvidenceFolder(tmp_path, GENESIS)
    for height in (1, 2):
        assert folder.has_room(3, convicts=True)
        folder.keep(commits(height))
    assert not folder.has_room(3, convicts=True)
    assert not EvidenceFolder(tmp_path, GENESIS).has_room(3, convicts=True)
    assert folder.has_room(3, convicts=False)
    assert folder.has_room(4, convicts=True)


def test_what_convicts_nobody_takes_no_room_from_what_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", 1)
    scene = Dissent()
    folder = EvidenceFolder(tmp_path, scene.genesis)
    assert folder.keep(scene.file(scene.second.digest, scene.said(scene.second.digest, [9, 0, 0]))) is not None
    assert not folder.has_room(5, convicts=False)
    assert folder.has_room(5, convicts=True)


def test_an_attachment_does_not_keep_a_wrong_verdict_from_being_shown() -> None:
    scene = Dissent()
    said = scene.said(scene.second.digest, [9, 0, 0])
    attached = type(said)(said.kind, said.member, said.body, said.signature, b"more")
    file = scene.file(scene.second.digest, attached)
    assert evidence.check(file, scene.genesis).members == (5,)


def test_the_first_of_two_verdicts_in_one_message_is_the_one_that_counts() -> None:
    scene = Dissent()
    digest = scene.second.digest
    both = endorsement((digest, [0, 9, 0]), (digest, [0, 0, 0]), member=5, key="vote-5", channel=scene.genesis.digest)
    assert "leaf 5 as wrong_correction" in evidence.check(scene.file(digest, both), scene.genesis).sentence
