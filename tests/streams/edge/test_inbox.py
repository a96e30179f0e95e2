"""The inbox: who is answered is on disk, who finds no room is told, and many share one sync."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from carbon.packet import AT_LIMIT, MAX_READINGS
from streams.edge import inbox as inboxes
from streams.edge.inbox import MAX_MESSAGE, Inbox
from streams.edge.packing import Load
from streams.edge.sources import Arrival, NoRoom, RawReading
from streams.edge.store import Store

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db") as store:
        yield store


def arrival(number: int, size: int = 10) -> Arrival:
    return Arrival("boiler", b"%d" % number + bytes(size), (RawReading("coal", number, Decimal(number)),))


def kept(store: Store) -> list[Arrival]:
    return [one.arrival for one in store.inbox()]


def written(store: Store, body: Callable[[Inbox], Awaitable[Any]], bound: int = 64 * MIB) -> Inbox:
    """The inbox after `body` had its way with it, while it was written."""

    async def run() -> Inbox:
        inbox = Inbox(store, bound)
        writing = asyncio.create_task(inbox.write())
        try:
            await body(inbox)
        finally:
            writing.cancel()
        return inbox

    return asyncio.run(run())


async def all_of(inbox: Inbox, arrivals: list[Arrival]) -> list[Any]:
    return await asyncio.gather(*map(inbox.keep, arrivals), return_exceptions=True)


def test_nobody_is_answered_before_it_is_on_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = Event()
    keep = store.keep
    monkeypatch.setattr(store, "keep", lambda came: (may_write.wait(), keep(came))[1])

    async def body(inbox: Inbox) -> None:
        keeping = asyncio.ensure_future(inbox.keep(arrival(1)))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert not keeping.done()
        may_write.set()
        await keeping
        assert kept(store) == [arrival(1)]

    inbox = written(store, body)
    assert (inbox.load, inbox.filled.is_set()) == (Load.of([arrival(1)]), True)


def test_many_share_a_sync_and_keep_their_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    keep = store.keep
    monkeypatch.setattr(store, "keep", lambda came: (groups.append(len(came)), keep(came))[1])
    arrivals = [arrival(n) for n in range(2_500)]
    inbox = written(store, lambda inbox: all_of(inbox, arrivals))
    assert kept(store) == arrivals
    assert groups == [1_000, 1_000, 500]
    assert inbox.counts["kept"] == 2_500 and inbox.load == Load.of(arrivals)


def test_large_messages_share_a_sync_by_their_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    keep = store.keep
    monkeypatch.setattr(store, "keep", lambda came: (groups.append(len(came)), keep(came))[1])
    monkeypatch.setattr(inboxes, "GROUP_BYTES", 3_000)
    arrivals = [arrival(n, size) for n, size in enumerate([1_000, 1_000, 1_000, 9_000, 1_000])]
    written(store, lambda inbox: all_of(inbox, arrivals))
    assert (groups, kept(store)) == ([2, 1, 1, 1], arrivals)


def test_what_comes_again_is_answered_without_a_second_copy(store: Store) -> None:
    async def body(inbox: Inbox) -> None:
        assert await all_of(inbox, [arrival(1), arrival(1)]) == [None, None]
        await inbox.keep(arrival(1))

    inbox = written(store, body)
    assert kept(store) == [arrival(1)]
    assert (inbox.counts["kept"], inbox.counts["repeated"], inbox.load.arrivals) == (1, 2, 1)


def test_at_the_bound_nothing_more_is_taken_and_near_it_devices_should_send_less(store: Store) -> None:
    bound = 2 * MIB

    async def body(inbox: Inbox) -> None:
        for number in range(40):
            slow = inbox.slow_down
            assert slow == (inbox.used >= 0.8 * bound)
            try:
                await inbox.keep(arrival(number, 100_000))
            except NoRoom:
                assert slow and inbox.full
                break
        assert 10 < number < 22
        with pytest.raises(NoRoom, match="full"):
            await inbox.keep(arrival(number, 100_000))
        taken = store.inbox()
        store.append(b"", bytes(64), "", upto=[next(taken) for _ in range(number // 2)][-1].number)
        inbox.look(store.bytes_used())
        assert not inbox.slow_down
        await inbox.keep(arrival(number, 100_000))

    inbox = written(store, body, bound)
    assert inbox.used <= bound
    assert inbox.counts["refused"] == 2


def test_those_who_come_at_once_do_not_pass_the_bound_together(store: Store) -> None:
    async def body(inbox: Inbox) -> None:
        answers = await all_of(inbox, [arrival(n, 100_000) for n in range(100)])
        assert 10 < answers.count(None) < 22
        assert len(kept(store)) == answers.count(None)

    inbox = written(store, body, 2 * MIB)
    assert store.bytes_used() <= 2 * MIB
    assert inbox.counts["kept"] + inbox.counts["refused"] == 100


def test_a_disk_that_fails_answers_nobody_and_the_inbox_goes_on(store: Store) -> None:
    async def body(inbox: Inbox) -> None:
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        answers = await all_of(inbox, [arrival(1), arrival(2, 100_000)])
        assert [type(answer) for answer in answers] == [NoRoom, NoRoom]
        assert kept(store) == []
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert await all_of(inbox, [arrival(1)]) == [None]

    inbox = written(store, body)
    assert (inbox.counts["refused"], inbox.counts["kept"], inbox.load.arrivals) == (2, 1, 1)


def test_what_no_packet_can_carry_is_refused(store: Store) -> None:
    reading = RawReading("coal", 1, Decimal(1))

    async def body(inbox: Inbox) -> None:
        answers = await all_of(
            inbox,
            [
                Arrival("a", bytes(MAX_MESSAGE), ()),
                Arrival("a", b"", (reading,) * (MAX_READINGS + 1)),
                Arrival("b", bytes(MAX_MESSAGE - 1_000), ()),
                Arrival("b", b"", (reading,) * MAX_READINGS),
            ],
        )
        assert [type(answer) for answer in answers] == [NoRoom, NoRoom, type(None), type(None)]

    written(store, body)
    assert [one.device for one in kept(store)] == ["b", "b"]


def test_a_reading_that_would_spoil_its_packet_is_left_out_and_counted(store: Store) -> None:
    sound = RawReading("coal", AT_LIMIT - 1, None, "D")
    odd = [
        RawReading("coal", at, None, flag) for at, flag in ((-1, "N"), (AT_LIMIT, "N"), (1, ""), (1, "NN"), (1, "ü"))
    ]
    inbox = written(store, lambda inbox: inbox.keep(Arrival("a", b"said", (odd[0], sound, *odd[1:]))))
    assert kept(store) == [Arrival("a", b"said", (sound,))]
    assert inbox.counts["unusable"] == 5


def test_whoever_gave_up_waiting_disturbs_nobody(store: Store) -> None:
    async def body(inbox: Inbox) -> None:
        gone = asyncio.ensure_future(inbox.keep(arrival(1)))
        await asyncio.sleep(0)
        gone.cancel()
        await inbox.keep(arrival(2))

    written(store, body)
    assert kept(store) == [arrival(1), arrival(2)]


def test_after_a_restart_the_load_is_what_stands_there(tmp_path: Path) -> None:
    with Store(tmp_path / "edge.db") as store:
        written(store, lambda inbox: all_of(inbox, [arrival(1), arrival(2)]))

    async def load(store: Store) -> Load:
        return Inbox(store, MIB).load

    with Store(tmp_path / "edge.db") as store:
        assert asyncio.run(load(store)) == Load.of([arrival(1), arrival(2)])
