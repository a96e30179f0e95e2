"""Sending: stored packets to meter.readings and their frames to meter.frames, in sequence order.

A packet is marked as sent only once the broker has acknowledged it and its frames; after a crash the unmarked ones are
sent again with the same bytes.
"""

import time
from collections.abc import Callable, Mapping
from threading import Event

from confluent_kafka import KafkaError, Producer

from schemas import codec, topics, tracing
from streams.edge.store import Store, StoredPacket

DRAIN_SECONDS = 10.0


class SendError(Exception):
    """A packet that the broker refused."""


class Sender:
    """Sends stored packets and marks in the store what the broker acknowledged.

    While the broker is away it tries on for ever; with `limit` packets under way it waits, until `stop`.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        gateway: str,
        store: Store,
        stop: Event,
        *,
        limit: int = 64,
        topic: str = topics.METER_READINGS,
        turned: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._stop, self._limit = store, stop, limit
        self._topic, self._key, self._turned = topic, gateway.encode(), turned
        self.last = self._marked = self.delivered = store.sent()
        self._awaited: dict[int, int] = {}
        self._refused: KafkaError | None = None
        self._producer = Producer(
            {
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                # the hash of every other Kafka client, so that a gateway stays on one partition whoever sends
                "partitioner": "murmur2_random",
                **kafka,
            }
        )

    def send(self, stored: StoredPacket) -> None:
        """Hand one packet to the producer, waiting while too many are under way. Raises SendError."""
        self._awaited[stored.sequence] = 1 + (stored.frames is not None)
        if stored.frames is not None:
            self._produce(topics.METER_FRAMES, codec.encode("frames", stored.frames._asdict()), stored.sequence)
        message = codec.encode("packet", {"body": stored.body, "signature": stored.signature})
        with tracing.span("gateway.send", sequence=stored.sequence) as headers:
            self._produce(self._topic, message, stored.sequence, headers)
        self.last = stored.sequence
        self.serve(0)
        while self.last - self.delivered >= self._limit and not self._stop.is_set():
            self.serve(0.1)

    def _produce(self, topic: str, message: bytes, sequence: int, headers: tracing.Headers = ()) -> None:
        more = {"headers": list(headers)} if headers else {}
        self._producer.produce(topic, message, self._key, on_delivery=lambda e, _: self._answered(e, sequence), **more)

    def _answered(self, error: KafkaError | None, sequence: int) -> None:
        if error is not None:
            self._refused = self._refused or error
        elif self._refused is None:
            self._awaited[sequence] -= 1
            # the two topics answer in any order: what counts is up to where all is there
            while self._awaited and not self._awaited[first := next(iter(self._awaited))]:
                del self._awaited[first]
                self.delivered = first

    def serve(self, seconds: float) -> None:
        """Take the broker's answers, waiting for one at most so long. Raises SendError."""
        self._turned()
        self._producer.poll(seconds)
        if self._refused is not None:
            raise SendError(f"packet {self.delivered + 1} was refused: {self._refused.str()}")
        if self.delivered > self._marked:
            self._store.mark_sent(self.delivered)
            self._marked = self.delivered

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until everything is acknowledged; once the process is to stop, `seconds` more. Raises SendError.

        What is left then stays in the store and is sent after the next start.
        """
        while self.last > self.delivered and not self._stop.is_set():
            self.serve(0.1)
        deadline = time.monotonic() + seconds
        while self.last > self.delivered and time.monotonic() < deadline:
            self.serve(0.1)
