from asyncio import AbstractEventLoop, Future, new_event_loop
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from streams.faust_app import left_group


@pytest.fixture
def loop() -> Iterator[AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


def app(task: "Future[None]") -> Any:
    client = SimpleNamespace(_coordinator=SimpleNamespace(_coordination_task=task))
    return SimpleNamespace(_consumer=SimpleNamespace(_thread=SimpleNamespace(_consumer=client)))


def test_an_error_in_aiokafkas_routine_is_seen(loop: AbstractEventLoop) -> None:
    task = loop.create_future()
    assert not left_group(app(task))
    task.set_exception(AssertionError("Did we not perform bootstrap?"))
    assert left_group(app(task))


def test_an_end_in_order_is_none(loop: AbstractEventLoop) -> None:
    done, cancelled = loop.create_future(), loop.create_future()
    done.set_result(None)
    cancelled.cancel()
    assert not left_group(app(done)) and not left_group(app(cancelled))
    assert not left_group(SimpleNamespace()), "before Faust has made its consumer"
