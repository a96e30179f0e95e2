"""The long kill rounds: how many there are, what counts, and what a Ctrl-C leaves."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import soak

KINDS = ("broker", "sink")


def played(home: Path, seed: int, kinds: Sequence[str], *, late: Sequence[str] = (), failure: str = "") -> soak.Round:
    hit = () if failure else tuple(kind for kind in kinds if kind not in late)
    return soak.Round(home, seed, tuple(kinds), hit, "", 1.0, failure)


def test_each_round_kills_every_kind_and_no_more_than_wanted(tmp_path: Path) -> None:
    done = list(soak.rounds(lambda seed, kinds: played(tmp_path, seed, kinds), KINDS, 3, 7))
    assert [(one.seed, one.kinds) for one in done] == [(7, KINDS), (8, KINDS), (9, KINDS)]
    assert soak.complete(done, KINDS, 3)


def test_a_kill_that_came_too_late_is_made_up_for_by_a_further_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = list(
        soak.rounds(lambda seed, kinds: played(tmp_path, seed, kinds, late=["sink"] * (seed == 2)), KINDS, 3, 1)
    )
    assert [one.kinds for one in done] == [KINDS, KINDS, KINDS, ("sink",)]
    assert soak.complete(done, KINDS, 3) and not soak.complete(done[:3], KINDS, 3)
    soak.table(done)
    assert [line.split() for line in capsys.readouterr().out.splitlines()[-2:]] == [
        ["broker", "3", "0"],
        ["sink", "3", "1"],
    ]


def test_a_kind_that_is_never_hit_ends_the_rounds_as_a_failure(tmp_path: Path) -> None:
    done = list(soak.rounds(lambda seed, kinds: played(tmp_path, seed, kinds, late=["sink"]), KINDS, 3, 1))
    assert len(done) == 6 and not soak.complete(done, KINDS, 3)


def test_ctrl_c_leaves_the_table_and_only_the_data_of_failed_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "soak"

    def play(folder: Path, seed: int, kinds: Sequence[str]) -> soak.Round:
        (folder / str(seed)).mkdir()
        if seed == 3:
            raise KeyboardInterrupt
        return played(folder / str(seed), seed, kinds, failure="stalled" if seed == 1 else "")

    monkeypatch.setattr(soak.tempfile, "mkdtemp", lambda **_: folder.mkdir() or str(folder))
    monkeypatch.setattr(soak, "demonstration", play)
    assert soak.main(["--kind", "sink", "--kind", "broker"]) == 130
    assert [home.name for home in folder.iterdir()] == ["1"]
    assert "2 rounds, 1 failed" in capsys.readouterr().out
