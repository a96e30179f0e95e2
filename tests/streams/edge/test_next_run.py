"""A next run, with a key of its own, begins with all that is kept: nothing that was answered is left to the old key."""

import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from carbon import frames, packet, signing
from carbon.frames import Message
from streams.edge import config
from streams.edge.config import ConfigError, LiveConfig
from streams.edge.packing import Head
from streams.edge.signer import Signer
from streams.edge.sources import RawReading
from streams.edge.store import Store, StoredPacket, StoreError

CHANNEL = bytes(32)
SEEDS = {1: b"\1" * 32, 2: b"\2" * 32}
SCALES = {"a": 2}
SECOND = 1000


def signer(run: int) -> Signer:
    return Signer("edge-1", run, SEEDS[run], CHANNEL, SCALES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path, horizon=1, keep_ms=3 * SECOND, keep_bytes=1 << 30) as store:
        yield store


def pack(store: Store, number: int, run: int = 1) -> None:
    by, head = signer(run), store.head()
    signed = by.packet(head, [RawReading("a", number * SECOND, Decimal(number) / 4, "N")], number * SECOND)
    said = by.frames(head.sequence + 1, signed.body, [Message("meter", number, b"%d" % number)]) if number % 2 else None
    store.append(*signed, str(number), said)


def values(store: Store) -> list[tuple[int, int, int]]:
    """Run, sequence and value of what is to be sent."""
    read = [packet.decode_body(stored.body) for stored in store.unsent()]
    return [(one.run, one.sequence, int(one.value[0])) for one in read]


def is_chain(store: Store, run: int) -> bool:
    head = Head()
    for stored in store.unsent():
        read, key = packet.decode_body(stored.body), signing.public_key(SEEDS[run])
        assert (read.previous, read.sequence, read.run) == (head.digest, head.sequence + 1, run)
        assert signing.verify(key, packet.KIND, CHANNEL, stored.body, stored.signature)
        if stored.frames:
            said = frames.decode_body(stored.frames.body)
            assert (said.run, said.sequence, said.packet) == (run, read.sequence, sha256(stored.body).digest())
            assert signing.verify(key, frames.KIND, CHANNEL, *stored.frames)
        head = head.after(stored.body)
    return store.head() == head


def test_what_was_sent_and_what_was_not_is_sent_in_the_next_run_with_its_times(store: Store, path: Path) -> None:
    for number in range(1, 6):
        pack(store, number)
    store.mark_sent(4)
    assert store.run() == 1
    assert store.begin(2, signer(2).again) == 4
    assert values(store) == [(2, 1, 50), (2, 2, 75), (2, 3, 100), (2, 4, 125)]
    assert is_chain(store, 2)
    times = [packet.decode_body(stored.body).sent_at for stored in store.unsent()]
    said = [frames.decode_body(stored.frames.body).messages for stored in store.unsent() if stored.frames]
    assert times == [2000, 3000, 4000, 5000] and said == [(Message("meter", n, b"%d" % n),) for n in (3, 5)]
    pack(store, 6, run=2)
    assert is_chain(store, 2) and store.position() == "6"


def test_a_begin_that_breaks_off_leaves_the_former_run(store: Store) -> None:
    for number in range(1, 4):
        pack(store, number)
    before = list(store.unsent())

    def fails(head: Head, stored: StoredPacket) -> tuple[packet.Packet, None]:
        if stored.sequence == 3:
            raise KeyError("no room")
        return signer(2).again(head, stored)

    with pytest.raises(KeyError):
        store.begin(2, fails)
    assert list(store.unsent()) == before and store.run() == 1


@pytest.mark.parametrize(("room", "kept"), [(1 << 30, [2, 3, 4, 5, 6]), (1, [6])])
def test_what_is_sent_is_kept_for_its_time_as_long_as_there_is_room(path: Path, room: int, kept: list[int]) -> None:
    with Store(path, horizon=1, keep_ms=4 * SECOND, keep_bytes=room) as store:
        for number in range(1, 7):
            pack(store, number)
            store.mark_sent(number)
        assert [stored.sequence for stored in store.sent_still_kept()] == kept


def test_a_chain_without_its_last_packet_is_said(path: Path) -> None:
    with Store(path, horizon=0) as store:
        pack(store, 1)
        store.mark_sent(1)
        with pytest.raises(StoreError, match="last packet of the chain, 1"):
            store.run()


def test_the_settings_begin_a_next_run_once_and_refuse_one_that_is_over(tmp_path: Path) -> None:
    def settings(run: int) -> LiveConfig:
        seed = tmp_path / f"{run}.seed"
        seed.write_text(SEEDS[run].hex())
        seed.chmod(0o600)
        source = {"kind": "mqtt", "host": "127.0.0.1", "client_id": "e", "topics": ["t"], "devices": []}
        stated = {
            "gateway": "edge-1",
            "run": run,
            "seed_file": str(seed),
            "channel": CHANNEL.hex(),
            "sources": [source],
        }
        stated |= {"kafka": {"bootstrap.servers": "127.0.0.1:1"}, "folder": str(tmp_path / "edge"), "scales": SCALES}
        file = tmp_path / "edge.json"
        file.write_text(json.dumps(stated))
        loaded = config.load(file)
        assert isinstance(loaded, LiveConfig)
        return loaded

    for run in (1, 1, 2, 2):
        with settings(run).open() as store:
            before = list(store.unsent())
            config.gateway_of(settings(run), store)
            if store.head().sequence == 0:
                pack(store, 1)
            assert values(store) == [(run, 1, 25)] and is_chain(store, run)
            assert not before or (before == list(store.unsent())) == (packet.decode_body(before[0].body).run == run)
    with settings(1).open() as store, pytest.raises(ConfigError, match="edge-1: run 1 is over"):
        config.gateway_of(settings(1), store)
