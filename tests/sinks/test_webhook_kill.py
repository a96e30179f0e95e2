from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.broker import Broker
from tests.sinks import webhook_kill


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[str]:
    """A broker of this test alone, because the dispatcher reads the whole topic of the catalogue."""
    with Broker(tmp_path / "kafka") as broker:
        yield broker.bootstrap


@pytest.mark.broker
@pytest.mark.slow
def test_a_dispatcher_that_is_killed_loses_no_event_and_repeats_none_under_another_id(
    own_broker: str, tmp_path: Path
) -> None:
    received = webhook_kill.run(own_broker, tmp_path / "webhooks", seed=4, rounds=2, alerts=200)
    assert len(received.bodies) == 600
