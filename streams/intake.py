"""streams.intake: the gateway of producers that pack and sign nothing. Single readings in, signed packets out.

    meter.single ──▶ read ──▶ dead letters delivered ──▶ store: packet and input offsets in one transaction ──▶ sent

The packet says what the intake received, not what was measured where: it is attested by the intake's key. What is in
the store is sent until the broker has it, after a crash with the same bytes; what isn't is read from the input again.
A packet of no readings is sent when nothing came for a while, so that windows close.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from carbon import coding, signing
from carbon.packet import AT_LIMIT
from carbon.registry import InForce, Registry
from schemas import codec, topics, tracing
from schemas.metrics import DONE, LAG, QUEUE, SEQUENCE, Figure
from schemas.observed import Observed
from schemas.topics import Bounds
from streams import flow
from streams.dead_letter import Original, counted, letters
from streams.edge.message import RefusedError, decimal_json, number
from streams.edge.packing import scaled
from streams.edge.signer import Signer
from streams.edge.sources import RawReading
from streams.edge.store import Store, StoredPacket

GROUP = "carbon.intake"
ENOUGH = 500
"""Readings that fill a packet."""
ASK_EVERY = 5.0
"""Seconds from one look for the registry in force to the next."""
KEEP_MS, KEEP_BYTES = 4 * 3_600_000, 1 << 28
"""How long what is sent is kept for a next run, and up to which size of the store."""
_FIELDS = {"point": str, "at": int, "flag": str}


@dataclass(frozen=True)
class IntakeConfig:
    """What the process needs. `kafka` is by librdkafka's names; `seed` is `gateway`'s key; durations in seconds.

    `in_force` says which registry is in force now, behind its height.
    """

    kafka: Mapping[str, str]
    channel: bytes
    in_force: InForce
    gateway: str
    seed: bytes
    data_dir: Path
    replay: bool = False
    """Old data: packets carry the latest event time instead of this machine's clock."""
    age: float = 1.0
    """How long a reading may wait for others."""
    silence: float = 60.0
    """After how long without a reading an empty packet is sent."""
    most_behind: int = flow.MOST_BEHIND
    """Packets that may wait for ingest before no further reading is taken."""
    observed: Observed = field(default_factory=Observed)


def read(message: bytes, registry: Registry, gateway: str) -> RawReading:
    """The reading of a message, JSON or Avro. Raises RefusedError: not_a_reading, unknown_point, not_a_number."""
    fields = _fields(message)
    point = registry.points.get(fields["point"])
    if point is None or point.gateway != gateway:
        raise RefusedError("unknown_point", f"{fields['point']!r} is not registered at {gateway}")
    value = number(fields["value"])
    if scaled(value, point.scale) is None:
        raise RefusedError("not_a_number", f"{fields['value']!r} is no number of 64 bits at scale {point.scale}")
    return RawReading(point.id, fields["at"], value, fields["flag"])


def _fields(message: bytes) -> dict[str, Any]:
    try:
        decoded = _json(message) if message[:1] != b"\0" else codec.decode("reading", message)
        fields = {"flag": "N", **decoded}
        for name, kind in _FIELDS.items():
            if type(fields[name]) is not kind:
                raise RefusedError("not_a_reading", f"{name} is not {kind.__name__}")
        fields["flag"].encode("ascii")
        well_formed = len(fields["flag"]) == 1 and 0 <= fields["at"] < AT_LIMIT and set(fields) == {*_FIELDS, "value"}
    except RefusedError:
        raise
    except Exception as error:
        # fastavro and codecs raise unrelated types on damaged input, RecursionError among them
        raise RefusedError("not_a_reading", f"{error!r}") from error
    if not well_formed:
        raise RefusedError("not_a_reading", "its fields are point, at (ms UTC), value and one letter of a flag")
    return fields


def _json(message: bytes) -> dict[str, Any]:
    decoded = decimal_json(message)
    if not isinstance(decoded, dict):
        raise RefusedError("not_a_reading", "not an object")
    return decoded


class OtherKeyError(Exception):
    """A seed that is not that of the registered run."""


@dataclass
class Position:
    """Where the input stands behind a packet: the next offset of each partition, and the latest event time, ms UTC."""

    offsets: dict[int, int] = field(default_factory=dict)
    latest: int = 0

    @classmethod
    def load(cls, text: str) -> "Position":
        """The position of a text that `dump` made; the beginning for an empty one."""
        data = json.loads(text or '{"offsets": {}, "latest": 0}')
        return cls({int(p): offset for p, offset in data["offsets"].items()}, data["latest"])

    def dump(self) -> str:
        """The position as text."""
        return json.dumps({"offsets": self.offsets, "latest": self.latest})

    def behind(self, messages: Sequence[Message], readings: Sequence[RawReading]) -> "Position":
        """The position once these messages, which held these readings, are taken."""
        offsets = self.offsets | {m.partition(): m.offset() + 1 for m in messages}
        return Position(offsets, max([self.latest, *(reading.at for reading in readings)]))


class Intake:
    """The process: one consumer, one store, one producer. `stop` ends it after the packet in hand."""

    def __init__(self, config: IntakeConfig, store: Store, stop: Event) -> None:
        self._config, self._store, self._stop = config, store, stop
        self._height, self._registry = config.in_force()
        self._signer = self._begin()
        self._asked = time.monotonic()
        self._position = Position.load(store.position())
        self._producer = Producer(
            {
                **config.kafka,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "message.max.bytes": Bounds().message_bytes,
            }
        )
        self._consumer = Consumer({**config.kafka, "group.id": GROUP, "enable.auto.commit": False})
        self._ingest = flow.Downstream(config.kafka, flow.INGEST, topics.METER_READINGS, config.most_behind)
        self._quiet_since = time.monotonic()
        self._lag = 0
        config.observed.shows("intake", self.figures)

    def _begin(self) -> Signer:
        """The signer of the registered run, which begins with what is kept. Raises OtherKeyError, RunOverError."""
        config, gateway = self._config, self._registry.gateways[self._config.gateway]
        if signing.public_key(config.seed) != gateway.key:
            raise OtherKeyError(f"run {gateway.run} of {gateway.id} has another key: start it with that key's seed")
        signer = Signer(gateway.id, gateway.run, config.seed, config.channel, self._scales())
        self._store.begin(signer.run, signer.again)
        return signer

    def _scales(self) -> dict[str, int]:
        return {point.id: point.scale for point in self._registry.points_of[self._config.gateway]}

    def _follow(self) -> None:
        """Look once in a while whether points have come. Raises OtherKeyError once another run is in force."""
        if time.monotonic() - self._asked >= ASK_EVERY:
            height, registry = self._config.in_force()
            if height > self._height:
                self._height, self._registry = height, registry
                self._signer = self._begin()
            self._asked = time.monotonic()

    def run(self) -> None:
        """Send what was left, then take the input until `stop`."""
        self._send(list(self._store.unsent()))
        self._assign()
        while not self._stop.is_set():
            if self._config.observed.turned():
                self._lag = sum(map(self._behind, self._consumer.assignment()))
            if self._ingest.look():
                self._stop.wait(flow.LOOK_EVERY)
                continue
            messages = self._gather()
            silent = time.monotonic() - self._quiet_since >= self._config.silence
            if messages or silent:
                self._quiet_since = time.monotonic()
                self._take(messages)
        self._consumer.close()
        self._ingest.close()

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        sequence = self._store.head().sequence
        yield SEQUENCE.of(sequence)
        yield QUEUE.of(sequence - self._store.sent(), "unsent packets")
        yield LAG.of(self._lag, topics.METER_SINGLE)

    def _behind(self, place: TopicPartition) -> int:
        _, end = self._consumer.get_watermark_offsets(place, cached=True)
        return max(0, int(end) - self._position.offsets.get(place.partition, 0))

    def _assign(self) -> None:
        """Go on where the store says, whatever the group's committed offsets are: they only show the lag."""
        described = self._consumer.list_topics(topics.METER_SINGLE, timeout=30).topics[topics.METER_SINGLE]
        offsets = self._position.offsets
        places = [TopicPartition(topics.METER_SINGLE, p, offsets.get(p, 0)) for p in described.partitions]
        self._consumer.assign(places)
        self._config.observed.committed()

    def _gather(self) -> list[Message]:
        """What came: up to a packet's readings, none older than `age`."""
        gathered: list[Message] = []
        deadline = time.monotonic() + self._config.age
        while len(gathered) < ENOUGH and not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            new = self._consumer.consume(ENOUGH - len(gathered), timeout=min(left, 0.2))
            gathered += [message for message in new if message.error() is None]
        return gathered

    def _take(self, messages: Sequence[Message]) -> None:
        self._follow()
        readings = [reading for message in messages if (reading := self._read(message)) is not None]
        if not self._delivered():
            # told to stop with a dead letter under way: its message is read again after the next start
            return
        position = self._position.behind(messages, readings)
        self._send([self._keep(readings, position)])
        self._config.observed.count(DONE, by=len(messages))
        self._config.observed.committed()
        if messages:
            self._consumer.commit(offsets=[TopicPartition(topics.METER_SINGLE, *at) for at in position.offsets.items()])

    def _read(self, message: Message) -> RawReading | None:
        """The reading of a message; None when it went to the dead letters."""
        value = message.value() or b""
        try:
            return read(value, self._registry, self._config.gateway)
        except RefusedError as error:
            place = (topics.METER_SINGLE, message.partition() or 0, message.offset() or 0)
            original = Original("intake", *place, _bytes(message.key()), value)
            found = letters(original, [coding.whole(error.reason, error.detail)])
            for letter in counted(found, self._config.observed):
                self._produce(topics.READINGS_REJECTED, letter.key, letter.value, letter.headers)
            return None

    def _keep(self, readings: Sequence[RawReading], position: Position) -> StoredPacket:
        """Pack, sign and store: from here on the packet's bytes never change, and its input is never read again."""
        config = self._config
        sent_at = position.latest if config.replay else time.time_ns() // 1_000_000
        stored = self._store.append(*self._signer.packet(self._store.head(), readings, sent_at), position.dump())
        self._position = position
        return stored

    def _send(self, stored: Sequence[StoredPacket]) -> None:
        for one in stored:
            message = codec.encode("packet", {"body": one.body, "signature": one.signature})
            with tracing.span("intake.send", sequence=one.sequence) as headers:
                self._produce(topics.METER_READINGS, self._config.gateway.encode(), message, list(headers) or None)
        if self._delivered() and stored:
            self._store.mark_sent(stored[-1].sequence)

    def _produce(self, topic: str, key: bytes | None, value: bytes, headers: Any = None) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=_check)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self) -> bool:
        """Wait until the broker has everything; when told to stop, whether it had soon enough.

        Raises KafkaException for what it refuses.
        """
        while self._producer.flush(1.0) and not self._stop.is_set():
            self._config.observed.turned()
        left: int = self._producer.flush(10.0)
        return left == 0


def _check(error: Any, _: Message) -> None:
    if error is not None:
        raise KafkaException(error)


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def main(config: IntakeConfig, stop: Event | None = None) -> None:
    """Run the intake in the foreground until SIGTERM.

    Raises StoreError when another one runs on the same folder, OtherKeyError for a seed that is not the registered one.
    """
    ended = stop or _at_sigterm()
    with Store(config.data_dir / "intake.sqlite", keep_ms=KEEP_MS, keep_bytes=KEEP_BYTES) as store:
        Intake(config, store, ended).run()


def _at_sigterm() -> Event:
    stop = Event()
    end: Callable[..., None] = lambda *_: stop.set()  # noqa: E731
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    return stop
