"""A member's archive: it knows holes, forks and late packets, and judges by nothing that has changed on disk."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import packet as packets
from carbon.amendment import amended, amendment
from carbon.packet import PacketError
from carbon.window import ForkError, Run
from consensus.member import archive
from consensus.member.archive import Archive, DamagedArchive, read_messages
from consensus.member.store import set_aside
from tests import registrars
from tests.small import HOUR, QUARTER, START, World, seed

POINT = "plant-0-1"


class Keeper:
    """An archive in a folder that can be closed, killed and opened again, and the gateway that packs for it."""

    def __init__(self, path: Path) -> None:
        self.world, self.path = World.make(), path
        self.registries = {0: self.world.registry}
        self.archive = self._open()

    def _open(self) -> Archive:
        return Archive(self.path, self.registries, self.world.channel, HOUR)

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


def change(path: Path, statement: str, *values: object) -> None:
    """Change a database behind its member's back."""
    with sqlite3.connect(path) as database:
        database.execute(statement, values)
    database.close()


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
    assert keeper.archive.facts("gw-0", 0, 2, 0).packet.sequence == 2
    assert keeper.archive.facts("gw-0", 0, 4, 0) is None


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
    change(keeper.path, "UPDATE early SET message = substr(message, 1, 60)")
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
        patch.setattr(archive, "WATERMARKS_HELD", held)
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
    change(keeper.path, "DROP TABLE watermark")
    keeper.reopen()
    assert keeper.reached() == held == [1, 1, 1, 1, 3, 3, 4, 4, None]


@pytest.mark.parametrize("hours", [3, -1])
@pytest.mark.parametrize("sequence", [1, 2, 3, 4, 5, 6])
def test_a_watermark_that_has_changed_on_disk_is_never_judged_by(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, sequence: int, hours: int
) -> None:
    """Asked for the time that the changed one would make another packet's, in memory or looked up."""
    monkeypatch.setattr(archive, "WATERMARKS_HELD", 2)
    for sent in range(2, 14, 2):
        keeper.archive.add(keeper.pack(sent, []))
    keeper.committed(p0=6)
    change(keeper.path, "UPDATE watermark SET watermark = watermark + ? WHERE sequence = ?", hours * HOUR, sequence)
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
    keeper.world.sequence, keeper.world.previous = 1, keeper.archive.facts("gw-0", 0, 1, 0).packet.digest
    with pytest.raises(ForkError, match="two packets claim sequence 2"):
        keeper.archive.add(keeper.pack(4, []))
    assert len(keeper.archive.facts("gw-0", 0, 2, 0).packet) > 0, "what came first stays"


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
    monkeypatch.setattr(archive, "EARLY_HELD", 2)
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
    keeper.world.previous = keeper.archive.facts("gw-0", 0, 1, 0).packet.digest
    after = keeper.archive.add(keeper.pack(8, [], lost=2))
    assert (after.sequence, after.lost) == (4, 2)
    held = keeper.reached()
    assert held == [1, 1, 4, 4, 4, 4, 4, 4, None]
    assert keeper.archive.facts("gw-0", 0, 3, 0) is None
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


def test_a_packet_is_late_right_behind_the_one_that_closed_its_window(keeper: Keeper) -> None:
    last = START + 3 * QUARTER
    keeper.archive.add(keeper.pack(2))
    keeper.archive.add(keeper.pack(2, [(POINT, last, 5)]))
    keeper.archive.add(keeper.pack(2, [(POINT, START + HOUR, 5)]))
    assert list(keeper.archive.late("gw-0", 0, (POINT, START))) == [2]
    assert list(keeper.archive.late("gw-0", 0, (POINT, START + HOUR))) == [], "its window is open"


def test_more_packets_than_stay_in_memory_are_read_again(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FACTS_HELD", 2)
    for hours in (2, 4, 6, 8):
        keeper.archive.add(keeper.pack(hours))
    assert [keeper.archive.facts("gw-0", 0, k, 0).packet.sequence for k in (1, 2, 3, 4, 1)] == [1, 2, 3, 4, 1]


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
        keeper.archive.facts("gw-0", 0, 1, 0)


def test_a_damaged_archive_is_set_aside_and_filled_again(keeper: Keeper) -> None:
    message = keeper.pack(2)
    keeper.archive.close()
    for path in keeper.path.parent.glob("archive.sqlite*"):
        path.write_bytes(b"no database" * 500)
    with pytest.raises(DamagedArchive):
        keeper._open()
    set_aside(keeper.path)
    keeper.archive = keeper._open()
    assert keeper.archive.positions("meter.readings") == {}
    assert keeper.archive.add(message) is not None
    assert keeper.path.with_suffix(".damaged").exists()


def test_another_gateways_key_archives_nothing(keeper: Keeper) -> None:
    from carbon import packet

    body = packet.body_of(keeper.pack(2))
    with pytest.raises(PacketError, match="wrong_signature"):
        keeper.archive.add(packet.sign(seed("gw-1"), keeper.world.channel, body))


FIRST = 100


def amend(keeper: Keeper, *put: registrars.Put) -> None:
    """A registry to come."""
    now = keeper.registries[0]
    keeper.registries[FIRST] = amended(now, amendment(now, 1, 0, FIRST, put, []))


def test_packets_of_a_run_that_was_not_registered_yet_are_read_again(keeper: Keeper) -> None:
    first, second = keeper.pack(2), keeper.pack(4)
    keeper.world.sequence, keeper.world.previous = 0, bytes(32)
    body = packets.body_of(keeper.pack(2, run=1))
    later = packets.sign(seed("gw-0b"), keeper.world.channel, body)
    for offset, message in ((3, first), (8, later), (5, later)):
        try:
            keeper.archive.add(message)
        except PacketError as error:
            keeper.archive.refused(error.reason, 2, offset)
    keeper.archive.refused("not_a_packet", 2, 1)
    keeper.committed(p2=9)
    keeper.reopen()
    assert keeper.archive.adopt() is None
    amend(keeper, registrars.rotation(keeper.world.registry, "gw-0", "gw-0b"))
    assert keeper.archive.adopt() == {2: 5}
    assert keeper.archive.add(later).run == 1
    keeper.committed(p2=9)
    keeper.reopen()
    assert keeper.archive.adopt() is None
    assert keeper.archive.add(second).sequence == 2, "what an ended run signed is kept, for proofs of what was recorded"
    assert [keeper.archive.run("gw-0", run).last for run in (0, 1)] == [2, 1]


def test_what_counts_of_a_packet_is_by_the_registry_that_is_asked_for(keeper: Keeper) -> None:
    keeper.archive.add(keeper.pack(2))
    amend(keeper, registrars.entry(keeper.world.registry, "points", POINT, max=1_004))
    groups = [keeper.archive.under(h).facts("gw-0", 0, 1).groups[POINT, START + HOUR] for h in (0, FIRST, 0)]
    assert [group.stop - group.start for group in groups] == [4, 1, 4]


def test_late_readings_are_known_whatever_registry_was_known_when_they_came(keeper: Keeper) -> None:
    """Of a point that was none yet, and such as are out of the range that was registered."""
    for hours in (2, 4, 6):
        keeper.archive.add(keeper.pack(hours))
    keeper.archive.add(keeper.pack(7, [("new", START, 5), (POINT, START, 2 * 10**9)]))
    _, new = registrars.entry(keeper.world.registry, "points", POINT)
    wide = registrars.entry(keeper.world.registry, "points", POINT, max=4 * 10**9)
    assert keeper.archive.late("gw-0", 0, ("new", START)) == []
    amend(keeper, wide, ("points", new | {"id": "new", "object": "f" * 24}))
    assert keeper.archive.adopt() == {}
    under = keeper.archive.under(FIRST)
    for point in ("new", POINT):
        assert list(under.late("gw-0", 0, (point, START))) == [4]
        assert (point, START) in under.facts("gw-0", 0, 4).groups
