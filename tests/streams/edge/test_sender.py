"""What counts as sent: packets in order, each with its frames; the mock has no broker that answers by itself."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from streams.edge.sender import Sender
from streams.edge.store import Signed, Store

SIGNATURE = bytes(64)
NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db") as store:
        for frames in (Signed(b"said", SIGNATURE), None, Signed(b"said", SIGNATURE)):
            store.append(b"body", SIGNATURE, "", frames)
        yield store


def test_a_packet_counts_as_sent_with_its_frames_and_those_before_it(store: Store) -> None:
    sender = Sender(NOWHERE, "edge-1", store, Event())
    for stored in store.unsent():
        sender.send(stored)
    marked = []
    for answered in (1, 2, 3, 1, 3):
        sender._answered(None, answered)
        sender.serve(0)
        marked.append(store.sent())
    assert marked == [0, 0, 0, 2, 3]


def test_it_waits_at_its_limit_until_it_is_to_stop(store: Store) -> None:
    stop = Event()
    sender = Sender(NOWHERE, "edge-1", store, stop, limit=2)
    first, second, third = store.unsent()
    sender.send(first)
    stop.set()
    sender.send(second)
    sender.send(third)
    assert (sender.last, sender.delivered) == (3, 0)
