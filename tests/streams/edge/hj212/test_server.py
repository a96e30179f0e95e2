"""The server with real sockets: kept, then answered; and whoever misbehaves is alone with it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from streams.edge.inbox import Inbox
from streams.edge.sources import Arrival, NoRoom
from streams.edge.sources.hj212.frame import frame
from streams.edge.sources.hj212.message import parse
from streams.edge.sources.hj212.server import Hj212Settings, Hj212Source
from streams.edge.store import Store
from tests.streams.edge.hj212.logger import Logger, NotAnsweredError, connected, registration

NAMES = [f"LOGGER{number:02}" for number in range(12)]


class Shelf:
    """A keep that remembers; it has no room for the first `refused` arrivals."""

    def __init__(self, refused: int = 0) -> None:
        self.kept: list[Arrival] = []
        self._refused = refused

    async def keep(self, arrival: Arrival) -> None:
        await asyncio.sleep(0)
        if self._refused:
            self._refused -= 1
            raise NoRoom
        self.kept.append(arrival)


Keeping = Callable[[Arrival], Awaitable[None]]


@asynccontextmanager
async def served(keep: Keeping, **settings: Any) -> Any:
    devices = [registration(name) for name in NAMES]
    source = Hj212Source(Hj212Settings.model_validate({"port": 0, "devices": devices} | settings))
    serving = asyncio.create_task(source.serve(keep))
    try:
        await source.listening.wait()
        yield source
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def run(test: Callable[[], Awaitable[None]], loop: Any = asyncio) -> None:
    async def main() -> None:
        await asyncio.wait_for(test(), 20)

    loop.run(main())


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_many_loggers_are_kept_and_answered(loop: Any) -> None:
    async def test() -> None:
        shelf = Shelf()
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(served(shelf.keep))
            loggers = [await stack.enter_async_context(connected(name, source.port)) for name in NAMES]

            async def report(logger: Logger) -> list[bytes]:
                frames = [logger.upload() for _ in range(5)]
                for raw in frames:
                    answer = await logger.report(raw)
                    assert (answer.cn, answer.qn, answer.mn) == (9014, parse(raw).qn, logger.mn)
                return frames

            sent = await asyncio.gather(*map(report, loggers))
            assert {(one.device, one.raw) for one in shelf.kept} == {
                (logger.mn, parse(raw).raw) for logger, frames in zip(loggers, sent, strict=True) for raw in frames
            }
            assert [one.readings[0].point for one in shelf.kept] == [one.device for one in shelf.kept]
            assert source.counts["kept"] == source.counts["answered"] == len(shelf.kept) == 60

    run(test, loop)


def test_what_is_not_kept_is_not_answered() -> None:
    async def test() -> None:
        shelf = Shelf(refused=1)
        async with served(shelf.keep) as source, connected(NAMES[0], source.port) as logger:
            first, second = logger.upload(), logger.upload()
            await logger.send(first + second)
            assert (await logger.answer()).qn == parse(second).qn
            assert [one.raw for one in shelf.kept] == [parse(second).raw]
            assert source.counts["no_room"] == 1

    run(test)


def test_a_logger_sends_again_until_there_is_room() -> None:
    async def test() -> None:
        shelf = Shelf(refused=2)
        async with served(shelf.keep) as source, connected(NAMES[0], source.port) as logger:
            logger.patience, logger.retries = 0.05, 200
            raw = logger.upload()
            assert (await logger.report(raw)).qn == parse(raw).qn
            assert {one.raw for one in shelf.kept} == {parse(raw).raw}

    run(test)


def test_what_comes_again_is_handed_over_alike_and_answered_again() -> None:
    async def test() -> None:
        shelf = Shelf()
        async with served(shelf.keep) as source, connected(NAMES[0], source.port) as logger:
            raw = logger.upload()
            first = await logger.report(raw)
            async with connected(NAMES[0], source.port) as again:
                assert await again.report(raw) == first
            assert shelf.kept == [shelf.kept[0]] * 2

    run(test)


def test_with_the_gateway_s_inbox(tmp_path: Path) -> None:
    async def test() -> None:
        with Store(tmp_path / "edge.db") as store:
            inbox = Inbox(store, bound=1 << 24)
            writing = asyncio.create_task(inbox.write())
            async with served(inbox.keep) as source, connected(NAMES[0], source.port) as logger:
                first, second = logger.upload(), logger.upload()
                for raw in (first, first, second, first):
                    assert (await logger.report(raw)).qn == parse(raw).qn
                    assert parse(raw).raw in [one.arrival.raw for one in store.inbox()]
            writing.cancel()
            assert [one.arrival.raw for one in store.inbox()] == [parse(first).raw, parse(second).raw]
            assert [one.arrival.readings[0].value for one in store.inbox()] == [Decimal("12.1")] * 2

    run(test)


def test_the_log_says_who_is_refused_and_shows_no_password() -> None:
    async def test() -> None:
        async with served(Shelf().keep) as source, connected(NAMES[0], source.port) as logger:
            await logger.send(logger.upload(PW="654321") + logger.upload())
            assert (await logger.answer()).cn == 9014

    with capture_logs() as said:
        run(test)
    (line,) = map(str, said)
    assert "wrong_password" in line
    assert NAMES[0] in line
    assert "654321" not in line
    assert "123456" not in line


def test_frames_that_come_in_pieces_and_with_noise() -> None:
    async def test() -> None:
        shelf = Shelf()
        async with served(shelf.keep) as source, connected(NAMES[0], source.port) as logger:
            raw = logger.upload()
            for piece in (b"noise##", raw[:1], raw[1:40], raw[40:]):
                await logger.send(piece)
                await asyncio.sleep(0)
            assert (await logger.answer()).qn == parse(raw).qn
            assert source.counts["garbage_bytes"] == 7

    run(test)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda logger: logger.upload(PW="654321"), id="wrong password"),
        pytest.param(lambda logger: logger.upload(MN="NOBODY"), id="unknown device"),
        pytest.param(lambda logger: logger.upload(data="DataTime=now;a05001-Rtd=1"), id="wrong time"),
        pytest.param(lambda logger: frame(b"no message"), id="no message"),
        pytest.param(lambda logger: logger.upload()[:-3] + b"\xff\r\n", id="wrong checksum"),
    ],
)
def test_who_sends_what_is_refused_is_cut_off_and_alone_with_it(bad: Callable[[Logger], bytes]) -> None:
    async def test() -> None:
        shelf = Shelf()
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(served(shelf.keep, max_faults=3))
            good, other = [await stack.enter_async_context(connected(name, source.port)) for name in NAMES[:2]]
            for _ in range(3):
                await other.send(bad(other) * 3 + other.upload())
                assert (await other.answer()).cn == 9014
            await other.send(bad(other) * 4)
            assert await other.cut_off()
            assert (await good.report(good.upload())).cn == 9014
            assert [one.device for one in shelf.kept] == [other.mn, other.mn, other.mn, good.mn]
            assert source.counts["connections_noisy"] == 1

    run(test)


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({"first_seconds": 0.05}, lambda logger: b""),
        ({"first_seconds": 0.05}, lambda logger: b"x" * 100),
        ({"frame_seconds": 0.05}, lambda logger: logger.upload()[:50]),
    ],
)
def test_who_does_not_come_to_the_point_is_cut_off(
    settings: dict[str, float], start: Callable[[Logger], bytes]
) -> None:
    async def test() -> None:
        async with (
            served(Shelf().keep, sweep_seconds=0.01, **settings) as source,
            connected(NAMES[0], source.port) as logger,
        ):
            await logger.send(start(logger))
            assert await logger.cut_off()
            assert source.counts["connections_timed_out"] == 1

    run(test)


def test_who_does_not_take_its_answers_is_cut_off() -> None:
    async def test() -> None:
        async with (
            served(Shelf().keep, sweep_seconds=0.01, frame_seconds=0.05) as source,
            connected(NAMES[0], source.port) as logger,
        ):
            first, second = logger.upload(), logger.upload()
            (connection,) = source._connections
            connection.pause_writing()
            await logger.send(first)
            await asyncio.sleep(0.02)
            assert source.counts["frames"] == 0
            connection.resume_writing()
            assert (await logger.answer()).qn == parse(first).qn
            connection.pause_writing()
            await logger.send(second)
            assert await logger.cut_off()
            assert (source.counts["connections_timed_out"], source.counts["frames"]) == (1, 1)

    run(test)


def test_one_frame_after_the_other_and_no_more_is_read_meanwhile() -> None:
    async def test() -> None:
        kept, room = list[Arrival](), asyncio.Event()

        async def keep(arrival: Arrival) -> None:
            kept.append(arrival)
            await room.wait()

        async with served(keep) as source, connected(NAMES[0], source.port) as logger:
            frames = [logger.upload() for _ in range(3)]
            await logger.send(frames[0] + frames[1])
            while not kept:
                await asyncio.sleep(0)
            await logger.send(frames[2])
            (connection,) = source._connections
            while not connection._is_paused:
                await asyncio.sleep(0.001)
            assert len(kept) == 1 and not connection._transport.is_reading()
            room.set()
            answers = b""
            while answers.count(b"\r\n") < 3:
                answers += await logger.reader.read(4096)
            assert [one.raw for one in kept] == [parse(raw).raw for raw in frames]
            assert connection._transport.is_reading()

    run(test)


def test_who_says_no_more_is_still_answered() -> None:
    async def test() -> None:
        async with served(Shelf().keep) as source, connected(NAMES[0], source.port) as logger:
            frames = [logger.upload() for _ in range(2)]
            logger.writer.write(b"".join(frames))
            logger.writer.write_eof()
            answers = await logger.reader.read()
            assert answers.count(b"9014") == 2
            while source._connections:
                await asyncio.sleep(0.001)

    run(test)


def test_who_is_gone_before_the_answer_is_kept_and_harms_nobody() -> None:
    async def test() -> None:
        kept, room = list[Arrival](), asyncio.Event()

        async def keep(arrival: Arrival) -> None:
            await room.wait()
            kept.append(arrival)

        async with served(keep) as source:
            async with connected(NAMES[0], source.port) as logger:
                await logger.send(logger.upload())
                while not source.counts["frames"]:
                    await asyncio.sleep(0.001)
                logger.writer.transport.abort()
            room.set()
            while not source.counts["kept"] or source._connections:
                await asyncio.sleep(0.001)
            assert len(kept) == 1
            async with connected(NAMES[0], source.port) as again:
                await again.report(again.upload())

    run(test)


def test_who_is_silent_for_too_long_is_cut_off() -> None:
    async def test() -> None:
        async with (
            served(Shelf().keep, sweep_seconds=0.01, idle_seconds=0.05) as source,
            connected(NAMES[0], source.port) as logger,
        ):
            assert (await logger.report(logger.upload())).cn == 9014
            assert await logger.cut_off()
            assert source.counts["connections_timed_out"] == 1

    run(test)


def test_nothing_is_due_from_a_logger_while_the_disk_is_waited_for() -> None:
    async def test() -> None:
        deadlines: list[float] = []

        async def keep(arrival: Arrival) -> None:
            deadlines.extend(connection.deadline for connection in source._connections)

        async with served(keep) as source, connected(NAMES[0], source.port) as logger:
            for _ in range(2):
                await logger.report(logger.upload())
            assert deadlines == [inf, inf]
            assert all(connection.deadline < inf for connection in source._connections)

    run(test)


def test_there_are_only_so_many_connections() -> None:
    async def test() -> None:
        async with served(Shelf().keep, max_connections=1) as source, connected(NAMES[0], source.port) as logger:
            await logger.report(logger.upload())
            async with connected(NAMES[1], source.port) as other:
                assert await other.cut_off()
            assert (await logger.report(logger.upload())).cn == 9014
            assert source.counts["connections_refused"] == 1

    run(test)


def test_a_store_that_fails_ends_the_source() -> None:
    async def test() -> None:
        async def keep(arrival: Arrival) -> None:
            raise OSError("the disk is gone")

        source = Hj212Source(Hj212Settings.model_validate({"port": 0, "devices": [registration(NAMES[0])]}))
        serving = asyncio.create_task(source.serve(keep))
        await source.listening.wait()
        async with connected(NAMES[0], source.port) as logger:
            with pytest.raises(NotAnsweredError):
                await logger.report(logger.upload())
            with pytest.raises(OSError, match="the disk is gone"):
                await serving

    run(test)


def test_a_fault_of_ours_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(served(Shelf().keep))
            good, other = [await stack.enter_async_context(connected(name, source.port)) for name in NAMES[:2]]
            receive = source._reception.receive

            def fails(raw: bytes, now: float) -> Any:
                if parse(raw).mn == other.mn:
                    raise RuntimeError
                return receive(raw, now)

            monkeypatch.setattr(source._reception, "receive", fails)
            await other.send(other.upload())
            assert await other.cut_off()
            assert (await good.report(good.upload())).cn == 9014
            assert source.counts["connections_broken"] == 1

    run(test)


def test_when_it_is_told_to_end_nothing_stays_open() -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            async with served(Shelf().keep) as source:
                logger = await stack.enter_async_context(connected(NAMES[0], source.port))
                await logger.report(logger.upload())
            assert await logger.cut_off()
            assert not source._connections
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", source.port)

    run(test)


def test_a_device_is_registered_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Hj212Settings.model_validate({"port": 0, "devices": [registration("A"), registration("A")]})
