"""What tests of the workers on a broker share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.streams.pipeline import reset


@pytest.fixture
def bootstrap(broker: str) -> str:
    reset(broker)
    return broker


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held
