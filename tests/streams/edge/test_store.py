"""Store and forward: what was appended is there with its bytes after whatever ended the process."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from streams.edge.packing import Head
from streams.edge.sources import Arrival, RawReading
from streams.edge.store import PAGE, Signed, Store, StoredPacket, StoreError

SIGNATURE = bytes(64)

APPEND_AND_DIE = """
import os, signal, sys
from pathlib import Path
from streams.edge.store import Store
store = Store(Path(sys.argv[1]))
for body in (b"one", b"two"):
    store.append(body, bytes(64), body.decode())
store.mark_sent(1)
if sys.argv[2] == "inside":
    store._db.execute("BEGIN IMMEDIATE")
    store._db.execute("INSERT INTO packet VALUES (3, x'00', x'00')")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path, horizon=2) as store:
        yield store


def test_a_new_store_is_empty(store: Store) -> None:
    assert (store.head(), store.position(), store.sent(), list(store.unsent())) == (Head(), "", 0, [])


def test_append_moves_head_and_position_together(store: Store) -> None:
    made = [store.append(body, SIGNATURE, body.decode()) for body in (b"one", b"two")]
    assert store.head() == Head(2, sha256(b"two").digest())
    assert store.position() == "two"
    assert list(store.unsent()) == made == [StoredPacket(1, b"one", SIGNATURE), StoredPacket(2, b"two", SIGNATURE)]


def test_what_is_acknowledged_is_not_sent_again_and_goes_after_the_horizon(store: Store, path: Path) -> None:
    for number in range(1, 7):
        store.append(b"%d" % number, SIGNATURE, "")
    store.mark_sent(5)
    store.mark_sent(4)
    assert store.sent() == 5
    assert [packet.sequence for packet in store.unsent()] == [6]
    kept = store._db.execute("SELECT sequence FROM packet ORDER BY sequence").fetchall()
    assert kept == [(4,), (5,), (6,)]
    assert store.head().sequence == 6


def test_the_file_stays_small_while_packets_pass(store: Store, path: Path) -> None:
    sizes = []
    for number in range(1, 401):
        store.append(bytes(20_000), SIGNATURE, "")
        store.mark_sent(number)
        sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))
    assert max(sizes[200:]) <= max(sizes[:200])


@pytest.mark.parametrize("where", ["between", "inside"])
def test_kill_loses_nothing_that_was_appended(path: Path, where: str) -> None:
    died = subprocess.run([sys.executable, "-c", APPEND_AND_DIE, str(path), where])
    assert died.returncode == -9
    with Store(path) as store:
        assert store.head() == Head(2, sha256(b"two").digest())
        assert store.position() == "two"
        assert list(store.unsent()) == [StoredPacket(2, b"two", SIGNATURE)]


def test_a_second_process_is_refused(store: Store, path: Path) -> None:
    with pytest.raises(StoreError, match="another gateway"):
        Store(path)


def test_a_closed_store_can_be_opened_again(path: Path) -> None:
    with Store(path) as store:
        store.append(b"one", SIGNATURE, "here")
    with Store(path) as store:
        assert store.position() == "here"


def test_a_damaged_file_is_said(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(StoreError):
        Store(path)


def test_a_failed_append_leaves_nothing(store: Store) -> None:
    store.append(b"one", SIGNATURE, "one")
    with pytest.raises(TypeError):
        store.append("not bytes", SIGNATURE, "two")  # type: ignore[arg-type]
    store._db.execute("INSERT INTO packet VALUES (2, x'00', x'00')")
    with pytest.raises(Exception, match="UNIQUE"):
        store.append(b"two", SIGNATURE, "two")
    assert (store.head().sequence, store.position()) == (1, "one")


def arrival(number: int, device: str = "boiler", at: int = 1_000) -> Arrival:
    return Arrival(device, b"##%d" % number, (RawReading("coal", at, Decimal(f"{number}.50")),))


def kept(store: Store) -> list[Arrival]:
    return [one.arrival for one in store.inbox()]


def test_arrivals_stand_in_the_inbox_in_their_order_and_as_they_came(store: Store, path: Path) -> None:
    odd = (RawReading("a", -1, None, "D"), RawReading("b", 2, Decimal("NaN")), RawReading("ü", 3, Decimal("1E-9"), "M"))
    came = [arrival(1), Arrival("ü", bytes(range(256)), odd), Arrival("login", b"", ())]
    assert store.keep([(n, one) for n, one in enumerate(came)]) == [True] * 3
    store.close()
    with Store(path) as again:
        found = list(again.inbox())
    assert [(one.number, one.received) for one in found] == [(1, 0), (2, 1), (3, 2)]
    assert repr([one.arrival for one in found]) == repr(came), "NaN equals nothing"


def test_an_inbox_longer_than_what_is_read_at_once_is_read_whole(store: Store) -> None:
    store.keep([(0, arrival(n)) for n in range(250)])
    assert kept(store) == [arrival(n) for n in range(250)]
    assert [one.arrival for one in store.inbox(after=240)] == [arrival(n) for n in range(240, 250)]


def test_what_comes_again_is_known_before_and_after_its_packet_and_a_restart(store: Store, path: Path) -> None:
    assert store.keep([(0, arrival(1)), (0, arrival(2)), (5, arrival(1))]) == [True, True, False]
    assert store.keep([(9, arrival(2))]) == [False]
    store.append(b"one", SIGNATURE, "", upto=2)
    store.close()
    with Store(path) as again:
        assert again.keep([(9, arrival(1)), (9, arrival(3))]) == [False, True]
        assert kept(again) == [arrival(3)]


def test_another_device_other_bytes_or_another_time_is_another_arrival(store: Store) -> None:
    """A register that was read twice says the same bytes: only the time that the source gave it differs."""
    others = [arrival(1), arrival(2), arrival(1, "kiln"), arrival(1, at=2_000)]
    assert store.keep([(0, one) for one in others]) == [True] * 4


def test_only_so_many_arrivals_are_remembered(path: Path) -> None:
    with Store(path, remembered=3) as store:
        store.keep([(0, arrival(n)) for n in range(4)])
        assert store.keep([(0, arrival(1))]) == [False]
        assert store.keep([(0, arrival(0))]) == [True]
    with Store(path, remembered=0) as store:
        assert store.keep([(0, arrival(2)), (0, arrival(3))]) == [False, False]
        store.keep([(0, arrival(9))])
        assert store.keep([(0, arrival(9))]) == [True]


def test_what_could_not_be_kept_is_not_known_when_it_comes_again(store: Store) -> None:
    with pytest.raises(sqlite3.Error):
        store.keep([(0, arrival(1)), ("no time", arrival(2))])  # type: ignore[list-item]
    assert store.keep([(0, arrival(1)), (0, arrival(2))]) == [True, True]
    assert [one.number for one in store.inbox()] == [1, 2]


def test_readings_stand_on_the_disk_as_the_json_library_writes_them(store: Store) -> None:
    odd = (RawReading('a"\\ü\n', -1, None, "\t"), RawReading("b", 2, Decimal("-1.50E-9"), "é"))
    store.keep([(0, Arrival("x", b"", odd)), (0, Arrival("x", b"", ()))])
    rows = [[r.point, r.at, None if r.value is None else str(r.value), r.flag] for r in odd]
    assert store._db.execute("SELECT readings FROM inbox").fetchall() == [(json.dumps(rows),), ("[]",)]


def test_a_packet_takes_what_it_carries_out_of_the_inbox_and_brings_its_frames(store: Store) -> None:
    store.keep([(0, arrival(n)) for n in range(5)])
    first = store.append(b"one", SIGNATURE, "p", Signed(b"frames", SIGNATURE), upto=3)
    second = store.append(b"two", SIGNATURE, "q")
    assert kept(store) == [arrival(3), arrival(4)]
    assert first.frames == Signed(b"frames", SIGNATURE)
    assert list(store.unsent()) == [first, second]
    assert list(store.unsent(after=1)) == [second]
    store.mark_sent(9)
    assert store._db.execute("SELECT count(*) FROM frames").fetchone() == (0,)


def test_a_packet_that_is_not_kept_leaves_the_inbox_as_it_was(store: Store) -> None:
    store.keep([(0, arrival(1))])
    with pytest.raises(sqlite3.Error):
        store.append(b"one", SIGNATURE, "p", Signed("no bytes", SIGNATURE), upto=1)  # type: ignore[arg-type]
    assert (kept(store), store.head()) == ([arrival(1)], Head())


def test_on_a_full_disk_nothing_is_kept_and_the_store_goes_on(store: Store) -> None:
    store.keep([(0, arrival(1))])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    big = Arrival("boiler", bytes(100_000), ())
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.keep([(0, arrival(2)), (0, big)])
    assert kept(store) == [arrival(1)]
    store._db.execute("PRAGMA max_page_count = 100000")
    assert store.keep([(0, arrival(2)), (0, big)]) == [True, True]
    assert kept(store) == [arrival(1), arrival(2), big]


def test_bytes_used_grow_with_what_is_kept_and_shrink_when_it_goes(store: Store) -> None:
    empty = store.bytes_used()
    store.keep([(0, Arrival("boiler", bytes(1_000_000), ()))])
    full = store.bytes_used()
    assert 990_000 <= full - empty < 1_100_000
    store.append(b"one", SIGNATURE, "", upto=1)
    assert store.bytes_used() - empty < 100_000


def test_many_unsent_packets_are_read_in_order_a_page_at_a_time(store: Store) -> None:
    for number in range(3 * PAGE + 1):
        store.append(b"%d" % number, SIGNATURE, "")
    read = store.unsent()
    assert next(read).sequence == 1
    store.mark_sent(2 * PAGE)
    assert [packet.sequence for packet in read] == list(range(2, PAGE + 1)) + list(range(2 * PAGE - 1, 3 * PAGE + 2))
