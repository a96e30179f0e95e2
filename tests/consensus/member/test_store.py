"""What a member keeps: its ledger's copy resumes where it stood; its archive knows holes, forks and late packets."""

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon.packet import PacketError
from carbon.window import ForkError, Run
from consensus.ledger import Ledger
from consensus.log.follower import LedgerError, beginning
from consensus.member import store
from consensus.member.store import (
    Archive,
    CopyCheck,
    DamagedArchive,
    LedgerFile,
    read_messages,
    read_package,
    read_packages,
)
from schemas import codec
from tests.consensus.test_ledger import Chain
from tests.small import HOUR, QUARTER, START, World, seed

POINT = "plant-0-1"


class Keeper:
    """An archive in a folder that can be closed, killed and opened again, and the gateway that packs for it."""

    def __init__(self, path: Path) -> None:
        self.world, self.path = World.make(), path
        self.archive = self._open()

    def _open(self) -> Archive:
        return Archive(self.path, self.world.registry, self.world.channel, HOUR)

    def committed(self, **places: int) -> None:
        self.archive.commit({"meter.readings": {int(name[1:]): place for name, place in places.items()}})

    def reopen(self) -> None:
        """As after a kill: what was not committed is gone."""
        self.archive.close()
        self.archive = self._open()

    def pack(self, hours: int, readings: list | None = None, **changes: object) -> bytes:
        rows = self.world.day(2, hours - 2) if readings is None else readings
        return self.world.pack(START + hours * HOUR, rows, **changes)

    def reached(self, gateway: str = "gw-0") -> list[int | None]:
        """Which packet's watermark reaches each hour first."""
        return [self.archive.run(gateway, 0).first_reaching(START + h * HOUR) for h in range(1, 10)]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path / "archive.sqlite")
    yield keeper
    keeper.archive.close()


def test_packets_in_order_are_kept_as_signed_and_known_after_a_restart(keeper: Keeper) -> None:
    messages = [keeper.pack(hours) for hours in (2, 4, 6)]
    assert [keeper.archive.add(message).sequence for message in messages] == [1, 2, 3]
    before = (keeper.reached(), keeper.archive.run("gw-0", 0).head)
    assert keeper.reached() == [1, 1, 2, 2, 3, 3, None, None, None]
    keeper.committed(p0=7, p3=9)
    keeper.reopen()
    assert (keeper.reached(), keeper.archive.run("gw-0", 0).head) == before
    assert keeper.archive.positions("meter.readings") == {0: 7, 3: 9}
    assert [keeper.archive.message("gw-0", 0, k) for k in (1, 2, 3)] == messages
    assert read_messages(keeper.path, "gw-0", 0, 2, 3) == messages[1:]
    assert keeper.archive.facts("gw-0", 0, 2).packet.sequence == 2
    assert keeper.archive.facts("gw-0", 0, 4) is None


def test_what_was_not_committed_is_gone_with_its_positions(keeper: Keeper) -> None:
    first, second = keeper.pack(2), keeper.pack(4)
    keeper.archive.add(first)
    keeper.committed(p0=1)
    keeper.archive.add(second)
    keeper.reopen()
    assert keeper.archive.positions("meter.readings") == {0: 1}, "so the second is read again"
    assert keeper.archive.add(second).sequence == 2


def test_packets_that_come_early_wait_for_the_one_before(keeper: Keeper) -> None:
    messages = [keeper.pack(hours) for hours in (2, 4, 6, 8)]
    assert [keeper.archive.add(messages[i]) for i in (3, 1, 2)] == [None] * 3
    assert keeper.archive.run("gw-0", 0).last == 0
    assert keeper.archive.add(messages[0]).sequence == 1
    assert keeper.archive.run("gw-0", 0).last == 4
    assert keeper.reached() == [1, 1, 2, 2, 3, 3, 4, 4, None]


def test_packets_that_wait_still_wait_after_a_restart(keeper: Keeper) -> None:
    """The topic was read past them, so they do not come again."""
    messages = [keeper.pack(hours) for hours in (2, 4, 6)]
    assert [keeper.archive.add(messages[i]) for i in (2, 1)] == [None] * 2
    keeper.committed(p0=2)
    keeper.reopen()
    assert keeper.archive.add(messages[0]).sequence == 1
    assert keeper.archive.run("gw-0", 0).last == 3


def test_a_packet_that_waited_and_has_changed_on_disk_is_not_taken(keeper: Keeper) -> None:
    messages = [keeper.pack(hours) for hours in (2, 4)]
    keeper.archive.add(messages[1])
    keeper.archive.commit({})
    _change(keeper.path, "UPDATE early SET message = substr(message, 1, 60)")
    with pytest.raises(DamagedArchive):
        keeper.archive.add(messages[0])


@given(
    packets=st.lists(st.tuples(st.integers(-3, 4), st.sampled_from([0, 0, 0, 1, 3])), min_size=1, max_size=24),
    held=st.integers(1, 4),
    opened_at=st.integers(0, 24),
)
@settings(max_examples=60)
def test_a_runs_watermarks_are_the_same_in_memory_and_looked_up(
    packets: list[tuple[int, int]], held: int, opened_at: int
) -> None:
    """Packets as (hours since the one before, sequences stated lost), the archive opened again before one of them."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "WATERMARKS_HELD", held)
        keeper, run, hours = Keeper(Path(folder) / "archive.sqlite"), Run(), 4
        for number, (later, lost) in enumerate(packets):
            hours = max(hours + later, 0)
            keeper.world.sequence += lost
            message = keeper.pack(hours, [], lost=lost)
            keeper.archive.add(message)
            run.append(keeper.world.decode(message))
            if number == opened_at:
                keeper.committed(p0=number)
                keeper.reopen()
        archived = keeper.archive.run("gw-0", 0)
        assert (archived.last, archived.head, archived.watermark) == (run.last, run.head, run.watermark)
        assert len(archived.watermarks) <= 2 * held + 3
        for time in (START + h * HOUR + shift for h in range(max(hours, 8) + 2) for shift in (0, 1)):
            assert archived.first_reaching(time) == run.first_reaching(time)
        keeper.archive.close()


def test_an_archive_made_without_watermarks_gets_them(keeper: Keeper) -> None:
    for hours in (4, 2, 6, 8):
        keeper.archive.add(keeper.pack(hours, []))
    keeper.archive.commit({})
    held = keeper.reached()
    _change(keeper.path, "DROP TABLE watermark")
    keeper.reopen()
    assert keeper.reached() == held == [1, 1, 1, 1, 3, 3, 4, 4, None]


@pytest.mark.parametrize("hours", [3, -1])
@pytest.mark.parametrize("sequence", [1, 2, 3, 4, 5, 6])
def test_a_watermark_that_has_changed_on_disk_is_never_judged_by(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, sequence: int, hours: int
) -> None:
    """Asked for the time that the changed one would make another packet's, in memory or looked up."""
    monkeypatch.setattr(store, "WATERMARKS_HELD", 2)
    for sent in range(2, 14, 2):
        keeper.archive.add(keeper.pack(sent, []))
    keeper.committed(p0=6)
    _change(keeper.path, "UPDATE watermark SET watermark = watermark + ? WHERE sequence = ?", hours * HOUR, sequence)
    keeper.reopen()
    with pytest.raises(DamagedArchive):
        keeper.archive.run("gw-0", 0).first_reaching(START + 2 * sequence * HOUR)


def test_the_same_packet_again_changes_nothing(keeper: Keeper) -> None:
    messages = [keeper.pack(hours) for hours in (2, 4)]
    for message in [*messages, *messages]:
        keeper.archive.add(message)
    assert keeper.archive.run("gw-0", 0).last == 2


def test_a_second_packet_at_one_place_is_a_fork(keeper: Keeper) -> None:
    keeper.archive.add(keeper.pack(2))
    keeper.archive.add(keeper.pack(4))
    keeper.world.sequence, keeper.world.previous = 1, keeper.archive.facts("gw-0", 0, 1).packet.digest
    with pytest.raises(ForkError, match="two packets claim sequence 2"):
        keeper.archive.add(keeper.pack(4, []))
    assert len(keeper.archive.facts("gw-0", 0, 2).packet) > 0, "what came first stays"


def test_an_early_packet_of_another_branch_does_not_continue_the_run(keeper: Keeper) -> None:
    first = keeper.pack(2)
    keeper.world.previous = bytes(32)
    other = keeper.pack(4)
    assert keeper.archive.add(other) is None
    assert keeper.archive.add(first).sequence == 1
    assert keeper.archive.run("gw-0", 0).last == 1


def test_no_evidence_at_all_is_refused(keeper: Keeper) -> None:
    message = keeper.pack(2)
    for wrong in (b"", b"noise", message[:-1], message[:-1] + bytes([message[-1] ^ 1])):
        with pytest.raises(PacketError):
            keeper.archive.add(wrong)
    assert keeper.archive.run("gw-0", 0).last == 0


def test_what_waits_for_a_packet_before_it_is_bounded(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "EARLY_HELD", 2)
    messages = [keeper.pack(hours) for hours in (2, 4, 6, 8, 10)]
    for message in messages[1:]:
        keeper.archive.add(message)
    keeper.archive.add(messages[0])
    assert keeper.archive.run("gw-0", 0).last == 3
    keeper.archive.add(messages[3])
    assert keeper.archive.run("gw-0", 0).last == 4, "what was let go counts when it comes again"


def test_a_statement_of_loss_closes_its_hole(keeper: Keeper) -> None:
    keeper.archive.add(keeper.pack(2))
    keeper.pack(4)
    keeper.pack(6)
    keeper.world.previous = keeper.archive.facts("gw-0", 0, 1).packet.digest
    after = keeper.archive.add(keeper.pack(8, [], lost=2))
    assert (after.sequence, after.lost) == (4, 2)
    held = keeper.reached()
    assert held == [1, 1, 4, 4, 4, 4, 4, 4, None]
    assert keeper.archive.facts("gw-0", 0, 3) is None
    keeper.committed(p0=2)
    keeper.reopen()
    assert keeper.reached() == held


def test_late_packets_are_found_by_point_and_window_and_after_a_restart(keeper: Keeper) -> None:
    late = (POINT, START + 2 * QUARTER, 5)
    keeper.archive.add(keeper.pack(2, [r for r in keeper.world.day(2) if r[:2] != late[:2]]))
    keeper.archive.add(keeper.pack(4))
    keeper.archive.add(keeper.pack(6, [late]))
    keeper.archive.add(keeper.pack(8, [(POINT, START + 7 * HOUR, 5)]))
    assert list(keeper.archive.late("gw-0", 0, (POINT, START))) == [3]
    assert list(keeper.archive.late("gw-0", 0, ("plant-0-0", START))) == []
    assert list(keeper.archive.late("gw-0", 0, (POINT, START + 7 * HOUR))) == [], "not late for its own window"
    keeper.committed(p0=4)
    keeper.reopen()
    assert list(keeper.archive.late("gw-0", 0, (POINT, START))) == [3]


def test_more_packets_than_stay_in_memory_are_read_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FACTS_HELD", 2)
    for hours in (2, 4, 6, 8):
        keeper.archive.add(keeper.pack(hours))
    assert [keeper.archive.facts("gw-0", 0, k).packet.sequence for k in (1, 2, 3, 4, 1)] == [1, 2, 3, 4, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE packet SET message = CAST(substr(message, 1, 60) || x'00' || substr(message, 62) AS BLOB)",
        "UPDATE packet SET message = substr(message, 1, 60)",
        "UPDATE packet SET sent_at = sent_at + 1",
        "UPDATE packet SET digest = zeroblob(32)",
    ],
)
def test_a_packet_that_has_changed_on_disk_is_never_judged_by(keeper: Keeper, statement: str) -> None:
    keeper.archive.add(keeper.pack(2))
    keeper.committed(p0=1)
    keeper.archive.close()
    with sqlite3.connect(keeper.path) as database:
        database.execute(statement)
    database.close()
    keeper.archive = keeper._open()
    with pytest.raises(DamagedArchive):
        keeper.archive.facts("gw-0", 0, 1)


def test_a_damaged_archive_is_set_aside_and_filled_again(keeper: Keeper) -> None:
    message = keeper.pack(2)
    keeper.archive.close()
    for path in keeper.path.parent.glob("archive.sqlite*"):
        path.write_bytes(b"no database" * 500)
    with pytest.raises(DamagedArchive):
        keeper._open()
    store.set_aside(keeper.path)
    keeper.archive = keeper._open()
    assert keeper.archive.positions("meter.readings") == {}
    assert keeper.archive.add(message) is not None
    assert keeper.path.with_suffix(".damaged").exists()


def test_another_gateways_key_archives_nothing(keeper: Keeper) -> None:
    from carbon import packet

    body = packet.body_of(keeper.pack(2))
    with pytest.raises(PacketError, match="wrong_signature"):
        keeper.archive.add(packet.sign(seed("gw-1"), keeper.world.channel, body))


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


def _change(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as database:
        database.execute(statement, values)
    database.close()


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
    _change(path, "UPDATE block SET package = ? WHERE height = 4", unsigned)
    file, gone = LedgerFile.opened(path, chain.world.genesis)
    file.close()
    assert gone == 4


def test_blocks_of_this_life_are_the_next_ones_to_check(chain: Chain, tmp_path: Path) -> None:
    path, world = tmp_path / "ledger.sqlite", chain.world
    file, _ = LedgerFile.opened(path, world.genesis)
    check = CopyCheck(file, world.genesis)
    assert Ledger(world.genesis, world.registry, file).install(chain.store.kept[0])
    _change(path, "UPDATE block SET package = x'00'")
    check.step()
    file.close()


def test_what_a_damaged_note_of_the_check_leads_to_is_a_whole_check(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    file = LedgerFile(path)
    file.note_checked(beginning(chain.world.genesis))
    file.close()
    _change(path, "UPDATE checked SET position = replace(position, '\"height\": 0', '\"height\": 1')")
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
        _change(path, "UPDATE block SET package = ? WHERE height = ?", flipped, height)
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
    _change(path, statement)
    assert _healed(chain, path) == cut


def test_a_file_that_sqlite_cannot_read_is_set_aside(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _kept(chain, path)
    path.write_bytes(b"noise" * 1_000)
    assert _healed(chain, path) == 1
    assert path.with_suffix(".damaged").read_bytes() == b"noise" * 1_000
