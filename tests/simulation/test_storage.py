"""The simulated disk: a crash takes unsynced bytes from the end, and may tear an entry; a changed bit is found."""

from random import Random

import pytest

from consensus.member.votelog import DamagedVoteLog
from consensus.simulator.storage import VoteLogStore

ENTRIES = [bytes([number]) * 10 * number for number in range(1, 7)]


def _written(synced: int) -> VoteLogStore:
    store = VoteLogStore()
    for entry in ENTRIES:
        store.append(entry)
    store.sync(synced)
    return store


def test_what_was_synced_survives_any_crash_and_a_torn_entry_is_gone() -> None:
    left = set()
    for seed in range(1_000):
        store = _written(3)
        store.crash(Random(seed))
        assert store.read() == ENTRIES[: len(store.read())]
        left.add(len(store.read()))
    assert left == {3, 4, 5, 6}


def test_a_changed_bit_is_found_wherever_it_is() -> None:
    for seed in range(200):
        store = _written(6)
        assert store.spoil(Random(seed))
        with pytest.raises(DamagedVoteLog):
            store.read()


def test_an_empty_log_can_not_be_damaged() -> None:
    assert not VoteLogStore().spoil(Random(0))
