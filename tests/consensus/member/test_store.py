"""A member's copy of the ledger: it resumes where it stood, and what is damaged is found and comes again."""

import json
import sqlite3
from pathlib import Path

import pytest

from consensus.ledger import Ledger
from consensus.log.follower import LedgerError, beginning
from consensus.member import store
from consensus.member.store import CopyCheck, LedgerFile, read_package, read_packages
from schemas import codec
from tests.consensus.member.test_archive import change
from tests.consensus.test_ledger import Chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain().fill()


def test_a_ledger_on_disk_resumes_with_the_same_state(chain: Chain, tmp_path: Path) -> None:
    path, world = tmp_path / "ledger.sqlite", chain.world
    for height, package in enumerate(chain.store.kept, 1):
        file = LedgerFile(path)
        ledger = Ledger(world.genesis, world.registry, file)
        assert (ledger.height, file.package(height)) == (height - 1, None)
        assert ledger.install(package)
        file.close()
    file = LedgerFile(path)
    assert Ledger(world.genesis, world.registry, file).balances == chain.ledger.balances
    assert [file.package(height) for height in (1, 2, 3, 4, 5)] == [*chain.store.kept, None]
    file.close()
    assert list(read_packages(path)) == chain.store.kept
    assert (read_package(path, 2), read_package(path, 9)) == (chain.store.kept[1], None)


def test_a_new_ledger_begins_at_the_genesis(chain: Chain, tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.sqlite")
    assert file.resume() is None
    assert Ledger(chain.world.genesis, chain.world.registry, file).kept.dump() == beginning(chain.world.genesis).dump()
    file.close()


def test_block_and_what_stands_after_it_are_kept_together_or_not_at_all(chain: Chain, tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.sqlite")
    ledger = Ledger(chain.world.genesis, chain.world.registry, file)
    assert ledger.install(chain.store.kept[0])
    before = json.dumps(file.resume()[0].dump())
    with pytest.raises(sqlite3.IntegrityError):
        file.keep(b"a second block of one height", ledger.kept, b"another state")
    assert json.dumps(file.resume()[0].dump()) == before
    assert file.resume()[1] != b"another state"
    assert file.package(1) == chain.store.kept[0]
    file.close()


def _kept(chain: Chain, path: Path) -> None:
    """All blocks of a chain in a member's file."""
    file = LedgerFile(path)
    ledger = Ledger(chain.world.genesis, chain.world.registry, file)
    assert all(ledger.install(package) for package in chain.store.kept)
    file.close()


def _life(chain: Chain, path: Path) -> int | None:
    """A start and all idle turns of a life: where the file was cut off at its start. Raises what they find."""
    file, gone = LedgerFile.opened(path, chain.world.genesis)
    try:
        check = CopyCheck(file, chain.world.genesis)
        for _ in range(len(chain.store.kept) + 1):
            check.step()
        ledger = Ledger(chain.world.genesis, chain.world.registry, file)
        assert ledger.height == (gone or len(chain.store.kept) + 1) - 1
        assert all(ledger.install(package) for package in chain.store.kept[ledger.height :])
        assert ledger.balances == chain.ledger.balances
    finally:
        file.close()
    assert list(read_packages(path)) == chain.store.kept
    return gone


def _healed(chain: Chain, path: Path) -> int | None:
    """Where the file was cut off, at a start or at the one after the life that found the damage; nothing differs then.

    What is gone is installed again.
    """
    try:
        return _life(chain, path)
    except LedgerError:
        store.suspect(path)
    gone = _life(chain, path)
    assert gone is not None
    return gone


def test_a_whole_copy_is_left_as_it_is(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    new, gone = LedgerFile.opened(path, chain.world.genesis)
    new.close()
    assert gone is None
    _kept(chain, path)
    assert _healed(chain, path) is None
    store.suspect(path)
    assert _life(chain, path) is None
    assert list(tmp_path.glob("*.suspect")) == []


def test_a_start_checks_the_end_alone_and_the_life_after_it_the_rest(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, genesis = tmp_path / "ledger.sqlite", chain.world.genesis
    _kept(chain, path)
    opened: list[int] = []
    real = store._opened
    monkeypatch.setattr(
        store, "_opened", lambda follower, height, *rest: opened.append(height) or real(follower, height, *rest)
    )
    monkeypatch.setattr(store, "CHECKS_NOTED", 2)
    for turns, due in ((3, [1, 2, 3]), (1, [3]), (9, [3, 4]), (1, [1])):
        file, _ = LedgerFile.opened(path, genesis)
        assert opened == []
        check = CopyCheck(file, genesis)
        for _ in range(turns):
            check.step()
        file.close()
        assert opened == due
        opened.clear()


def test_a_last_block_that_too_few_signed_is_found_at_the_start(chain: Chain, tmp_path: Path) -> None:
    path, package = tmp_path / "ledger.sqlite", chain.store.kept[3]
    _kept(chain, path)
    checkpoint = codec.decode("block", codec.decode_bare("block-package", package)["block"])["checkpoint"].encode()
    unsigned = package.replace(checkpoint, checkpoint[:-20] + b"A" * 16 + checkpoint[-4:])
    change(path, "UPDATE block SET package = ? WHERE height = 4", unsigned)
    file, gone = LedgerFile.opened(path, chain.world.genesis)
    file.close()
    assert gone == 4


def test_blocks_of_this_life_are_the_next_ones_to_check(chain: Chain, tmp_path: Path) -> None:
    path, world = tmp_path / "ledger.sqlite", chain.world
    file, _ = LedgerFile.opened(path, world.genesis)
    check = CopyCheck(file, world.genesis)
    assert Ledger(world.genesis, world.registry, file).install(chain.store.kept[0])
    change(path, "UPDATE block SET package = x'00'")
    check.step()
    file.close()


def test_what_a_damaged_note_of_the_check_leads_to_is_a_whole_check(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    file = LedgerFile(path)
    file.note_checked(beginning(chain.world.genesis))
    file.close()
    change(path, "UPDATE checked SET position = replace(position, '\"height\": 0', '\"height\": 1')")
    with pytest.raises(LedgerError):
        _life(chain, path)
    store.suspect(path)
    assert _life(chain, path) is None


@pytest.mark.parametrize("height", [1, 2, 4])
def test_any_flipped_byte_of_a_block_is_found_and_healed_from_certified_blocks(
    chain: Chain, tmp_path: Path, height: int
) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    package = chain.store.kept[height - 1]
    for place in range(0, len(package), max(len(package) // 12, 1)):
        flipped = package[:place] + bytes([package[place] ^ 1]) + package[place + 1 :]
        change(path, "UPDATE block SET package = ? WHERE height = ?", flipped, height)
        assert _healed(chain, path) == height, f"byte {place}"


@pytest.mark.parametrize(
    ("statement", "cut"),
    [
        ("DELETE FROM block WHERE height = 2", 2),
        ("DELETE FROM block WHERE height = 4", 4),
        ("UPDATE block SET height = 9 WHERE height = 4", 4),
        ("UPDATE after_block SET state = CAST(state || 'x' AS BLOB)", 5),
        ("UPDATE after_block SET position = replace(position, '4', '3')", 5),
        ("DELETE FROM after_block", 5),
        ("UPDATE after_block SET position = 'x'", 5),
        ("UPDATE after_block SET position = replace(position, 'accepted', 'expected')", 5),
        ("UPDATE after_block SET position = json_replace(position, '$.time', 1)", 5),
        ("UPDATE after_block SET position = json_replace(position, '$.rejected', 1)", 5),
        ("UPDATE after_block SET position = json_replace(position, '$.peaks', json_array())", 5),
    ],
)
def test_other_damage_to_a_copy_is_found_too(chain: Chain, tmp_path: Path, statement: str, cut: int) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    change(path, statement)
    assert _healed(chain, path) == cut


def test_a_file_that_sqlite_cannot_read_is_set_aside(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    path.write_bytes(b"noise" * 1_000)
    assert _healed(chain, path) == 1
    assert path.with_suffix(".damaged").read_bytes() == b"noise" * 1_000
