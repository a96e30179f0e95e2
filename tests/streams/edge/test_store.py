"""Store and forward: what was appended is there with its bytes after whatever ended the process."""

import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from streams.edge.packing import Head
from streams.edge.store import Store, StoredPacket, StoreError

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
    assert (store.head(), store.position(), store.sent(), store.unsent()) == (Head(), "", 0, [])


def test_append_moves_head_and_position_together(store: Store) -> None:
    assert [store.append(body, SIGNATURE, body.decode()) for body in (b"one", b"two")] == [1, 2]
    assert store.head() == Head(2, sha256(b"two").digest())
    assert store.position() == "two"
    assert store.unsent() == [StoredPacket(1, b"one", SIGNATURE), StoredPacket(2, b"two", SIGNATURE)]


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
        assert store.unsent() == [StoredPacket(2, b"two", SIGNATURE)]


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
