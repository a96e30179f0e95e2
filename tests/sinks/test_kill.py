from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.broker import Broker
from tests.sinks import kill


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[str]:
    """A broker of this test alone, because the sink reads whole topics of the catalogue."""
    with Broker(tmp_path / "kafka") as broker:
        yield broker.bootstrap


@pytest.mark.broker
@pytest.mark.slow
def test_a_sink_that_is_killed_loses_and_repeats_nothing(own_broker: str, tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    assert kill.run(own_broker, home, seed=4, rounds=3) > 0
