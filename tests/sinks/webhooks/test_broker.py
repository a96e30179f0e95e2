"""The topic of alerts as the dispatcher reads it: how far it is behind."""

from typing import Any

import pytest
from confluent_kafka import TopicPartition

from sinks.webhooks import broker
from sinks.webhooks.broker import Alerts
from tests.sinks.messages import alert


class Message:
    """An alert at an offset."""

    def __init__(self, offset: int) -> None:
        self.place = offset

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self.place

    def value(self) -> bytes:
        return alert(f"coverage/{self.place}", "coverage", None)

    def timestamp(self) -> tuple[int, int]:
        return 2, 7


class Consumer:
    """A topic that holds offsets 4 to 9."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.next = 0

    def assign(self, places: list[TopicPartition]) -> None:
        self.next = places[0].offset if places[0].offset >= 0 else 4

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        return 4, 10

    def consume(self, most: int, timeout: float) -> list[Message]:
        first, self.next = self.next, min(10, self.next + 2)
        return [Message(offset) for offset in range(first, self.next)]


@pytest.mark.parametrize(("offset", "lags"), [(6, [2, 0, 0]), (0, [4, 2, 0]), (99, [4, 2, 0])])
def test_the_lag_is_what_was_not_read(offset: int, lags: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An offset that the topic doesn't hold is another topic's: it is read from its start."""
    monkeypatch.setattr(broker, "Consumer", Consumer)
    alerts = Alerts({}, offset)
    found = []
    for _ in lags:
        alerts.read(0.0)
        found.append(alerts.lag)
    assert found == lags
