"""Fixtures of all tests. The broker is a real one, started once a session in a folder of its own, on free ports."""

import shutil
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from hypothesis import settings

from infra.broker import Broker
from infra.topics import ensure_topics
from schemas.topics import Bounds, Topic

# what an example takes says something about the machine alone
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--extra", action="store_true", help="run the tests that need more than Python, and only them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` skips the extra tests by name; `make test-extra` runs them, or says what is missing.

    Files of the streams come first: their tests wait long one after the other, and would be the end that all wait for.
    """
    wanted = config.getoption("--extra")
    items.sort(key=lambda item: item.path.parent.name != "streams")
    for item in items:
        mark = item.get_closest_marker("extra")
        if (mark is not None) != wanted:
            what = f"needs {', '.join(mark.args) or 'minutes'}: make test-extra" if mark else "not an extra test"
            item.add_marker(pytest.mark.skip(reason=what))
        elif mark is not None and (missing := [tool for tool in mark.args if shutil.which(tool) is None]):
            item.add_marker(pytest.mark.skip(reason=f"missing on this machine: {', '.join(missing)}"))
    if wanted:
        items[:] = [item for item in items if item.get_closest_marker("extra")]


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
