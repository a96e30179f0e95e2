"""Feed of `health` and `member_views`: how every process stood, and in which view each member was."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from schemas import codec, topics
from sinks.clickhouse.feed import Message, Place, PoisonedError, RowBatch, Unfit, greatest_offsets, stop
from sinks.clickhouse.rows import SOURCE, TIME

HEALTH = pa.schema(
    [
        ("process", pa.string()),
        ("topic", pa.string()),
        ("at", TIME),
        ("state", pa.string()),
        ("restarts", pa.uint32()),
        ("waiting", pa.uint64()),
        ("oldest_seconds", pa.float64()),
        ("done", pa.uint64()),
        *SOURCE,
    ]
)
VIEWS = pa.schema(
    [("epoch", pa.uint32()), ("view", pa.uint64()), ("member", pa.string()), ("first", TIME), ("last", TIME)]
)


class HealthFeed:
    """The feed of topic pipeline.health. It goes on after the greatest offset in `health`, which is written last."""

    topics = (topics.PIPELINE_HEALTH,)

    def __init__(self) -> None:
        self._health = RowBatch("health_log", HEALTH)
        self._views = RowBatch("member_views_log", VIEWS)

    @property
    def waiting(self) -> int:
        """Rows of the open batch."""
        return len(self._health)

    def resume(self, client: Any) -> Mapping[Place, int]:
        """The offsets after the greatest ones in the table."""
        return greatest_offsets(client, "health_log", self.topics[0])

    def take(self, message: Message) -> None:
        """Make rows from a message. Raises PoisonedError."""
        try:
            fields = codec.decode("health", message.value)
        except codec.CodecError as error:
            raise PoisonedError(str(error)) from error
        source = {"partition": message.partition, "offset": message.offset}
        self._health.add([fields | source], message.origin)
        if fields["view"] is not None:
            seen = {"member": fields["process"], "first": fields["at"], "last": fields["at"]}
            self._views.add([fields | seen], message.origin)

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Write the open batches, each as one part, without the messages whose rows do not fit."""
        self._views.flush(client, unfit)
        self._health.flush(client, unfit)
