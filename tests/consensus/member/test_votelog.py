"""The vote log: a torn tail is cut, damage in the middle stops the member, a rewrite changes nothing that counts."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from consensus.member import votelog
from consensus.member.votelog import DamagedVoteLog, VoteLog, last_epoch, of_epoch

ENTRIES = [b"first", b"", b"a longer third entry" * 3, b"\0\0\0\1", b"last"]
HEAD = 4 + 8 + 32


def write(path: Path, entries: list[bytes]) -> bytes:
    log = VoteLog(path)
    log.append(entries)
    log.close()
    return path.read_bytes()


def reopened(path: Path) -> list[bytes]:
    log = VoteLog(path)
    log.close()
    return log.taken()


def ends(entries: list[bytes]) -> list[int]:
    """The file's length after each entry, from none to all."""
    lengths = [0]
    for entry in entries:
        lengths.append(lengths[-1] + HEAD + len(entry))
    return lengths


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    write(path, ENTRIES[:2])
    write(path, ENTRIES[2:])
    log = VoteLog(path)
    assert [log.taken(), log.taken()] == [ENTRIES, []]
    log.close()


def test_cut_off_anywhere_the_whole_entries_before_are_kept_and_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    data = write(path, ENTRIES)
    lengths = ends(ENTRIES)
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        whole = max(n for n, length in enumerate(lengths) if length <= size)
        write(path, [b"after the cut"])
        assert reopened(path) == [*ENTRIES[:whole], b"after the cut"], f"cut at {size}"


def test_a_changed_bit_anywhere_stops_the_member(tmp_path: Path) -> None:
    """A length too: one that reaches beyond the file must not make the votes behind it look like a torn tail."""
    path = tmp_path / "votes.log"
    data = write(path, ENTRIES)
    for place in range(len(data)):
        for bit in (0, 7):
            path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
            with pytest.raises(DamagedVoteLog, match="is damaged at byte"):
                VoteLog(path)
            assert path.stat().st_size == len(data), "a damaged log is left as it is, to be looked at"


def test_entries_taken_out_or_swapped_stop_the_member(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    data = write(path, ENTRIES)
    cut = ends(ENTRIES)
    parts = [data[a:b] for a, b in pairwise(cut)]
    for order in ([0, 2, 3, 4], [1, 0, 2, 3, 4], [0, 0, 1, 2, 3, 4], [4]):
        path.write_bytes(b"".join(parts[i] for i in order))
        with pytest.raises(DamagedVoteLog):
            VoteLog(path)


def test_a_rewritten_log_is_the_one_that_would_have_been_written(tmp_path: Path) -> None:
    rng = random.Random(3)
    for name in range(10):
        long, short = tmp_path / f"{name}.log", tmp_path / f"{name}.short"
        log = VoteLog(long)
        log.append(rng.randbytes(rng.randrange(80)) for _ in range(20))
        kept = [rng.randbytes(rng.randrange(80)) for _ in range(3)]
        log.rewrite(kept)
        log.append([b"after it"])
        log.close()
        assert long.read_bytes() == write(short, [*kept, b"after it"])
        assert reopened(long) == [*kept, b"after it"]


def test_a_rewrite_that_was_cut_short_leaves_the_old_log(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    write(path, ENTRIES)
    path.with_suffix(".new").write_bytes(b"half of a new one")
    log = VoteLog(path)
    assert log.taken() == ENTRIES
    log.rewrite(ENTRIES[:1])
    log.close()
    assert reopened(path) == ENTRIES[:1]


def test_a_long_log_asks_to_be_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(votelog, "ROTATE_BYTES", 200)
    path = tmp_path / "votes.log"
    log = VoteLog(path)
    log.append([bytes(100)])
    assert not log.is_long
    log.append([bytes(100)])
    assert log.is_long
    log.rewrite([b"short"])
    assert not log.is_long
    log.close()
    log = VoteLog(path)
    assert not log.is_long
    log.append([bytes(200)])
    log.close()
    assert VoteLog(path).is_long, "its length counts from before the restart on"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "votes.log"
    write(path, ENTRIES)
    assert path.stat().st_mode & 0o077 == 0


def test_each_epoch_has_a_log_and_the_next_one_ends_it(tmp_path: Path) -> None:
    for epoch in (0, 9, 10):
        log = VoteLog(of_epoch(tmp_path, epoch))
        log.append([b"%d" % epoch])
        log.close()
        assert (last_epoch(tmp_path), [path.name for path in tmp_path.iterdir()]) == (epoch, [f"votes.{epoch}.log"])
