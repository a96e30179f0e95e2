"""Fixtures of all tests. The broker is a real one, started once a session in a folder of its own, on free ports."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from infra.broker import Broker
from infra.topics import ensure_topics
from schemas.topics import Bounds, Topic


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a real Kafka broker, for the whole session."""
    home = tmp_path_factory.mktemp("broker")
    with Broker(home, message_bytes=Bounds().message_bytes) as running:
        yield running.bootstrap


@pytest.fixture
def topic_factory(broker: str) -> Callable[..., str]:
    """A function that creates a topic of its own for this test and names it: partitions, then topic settings."""

    def create(partitions: int = 1, **settings: str) -> str:
        dotted = {name.replace("_", "."): value for name, value in settings.items()}
        topic = Topic(f"test.{uuid4().hex}", "any", "none", "of one test", partitions, settings=dotted)
        ensure_topics({"bootstrap.servers": broker}, [topic], Bounds())
        return topic.name

    return create
