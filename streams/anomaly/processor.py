"""The anomaly processor: from verified packets to what is unusual of their points.

Each point's state, the last packet of each gateway and the place in each partition are kept in one transaction, after
what was sent: after a crash the same packets lead to the same messages with the same ids. What people said of anomalies
is learned in such a transaction, behind what was sent: no packet is told of both with it and without.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from carbon import alert as alerts
from carbon import anomaly as anomalies
from carbon import coding
from carbon.packet import PacketError
from carbon.registry import InForce, Registry
from consensus.log.genesis import Genesis
from schemas import codec, topics
from schemas.metrics import LAG, Figure
from schemas.observed import Observed
from streams.anomaly.assessments import Assessment, Assessments, verdict_of
from streams.anomaly.store import WatchedFile
from streams.anomaly.telling import alert_of, anomaly_of
from streams.anomaly.watcher import Watcher
from streams.registrations import Standing

LOG = logging.getLogger(__name__)
GROUP = "carbon.anomaly"
KEEP_SECONDS = 10.0
Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class AnomalyConfig:
    """What the processor needs to know. `registry` is that of the genesis, `in_force` says which is now. `per_month`:
    the false alarms of a point in 30 days that the user accepts."""

    kafka: dict[str, str]
    genesis: Genesis
    registry: Registry
    in_force: InForce
    store: Path
    per_month: float = 1.0
    observed: Observed = field(default_factory=Observed)
    """What the process says of itself."""


class Anomalies:
    """The processor's shell."""

    def __init__(self, config: AnomalyConfig) -> None:
        self._config, self._file = config, WatchedFile(config.store)
        states, place = self._file.load()
        _, self._registry = config.in_force()
        offset_ms = config.genesis.utc_offset_minutes * 60_000
        self._watcher = Watcher(self._registry, config.per_month, states, place["heads"], offset_ms)
        self._offsets: dict[str, int] = {str(n): 0 for n in range(topics.METER_PARTITIONS)} | place["offsets"]
        self._undelivered: list[str] = []
        self._kept, self._dirty = time.monotonic(), False
        self._producer = Producer(config.kafka | {"enable.idempotence": "true", "linger.ms": "5"})
        options = {"group.id": GROUP, "enable.auto.commit": "false", "auto.offset.reset": "earliest"}
        self._consumer = Consumer(config.kafka | options)
        self._consumer.assign(self._places())
        kept = self._file.standing()
        self._standing = Standing() if kept is None else Standing.load(kept)
        ledger = config.kafka, config.genesis, config.registry, GROUP, self._standing
        self._ledger = Assessments(*ledger, self.learn)
        self._lag = 0
        config.observed.shows("processor", self.figures)

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(topics.READINGS_CODED, int(n), offset) for n, offset in self._offsets.items()]

    def step(self, timeout: float = 0.5) -> bool:
        """Read what there is and tell what follows; whether there was anything to do."""
        if self._config.observed.turned():
            self._lag = sum(self._behind(place) for place in self._places())
        messages = self._consumer.consume(500, timeout)
        for message in messages:
            self._take(message)
        if self._dirty and (not messages or time.monotonic() - self._kept > KEEP_SECONDS):
            self.keep()
        self._ledger.step(0.0)
        return bool(messages)

    def _take(self, message: Message) -> None:
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                time.sleep(0.2)
            return
        self._offsets[str(message.partition())] = message.offset() + 1
        self._dirty = True
        self.packet(message.value() or b"")

    def packet(self, coded: bytes) -> None:
        """Take in one message of readings.coded. One that is none is passed over: ingest alone writes there."""
        try:
            packet, _ = coding.decode(coded)
        except PacketError as error:
            LOG.warning("no coded packet: %s", error)
            return
        reasons = np.frombuffer(codec.decode(coding.SCHEMA, coded)["reasons"], np.uint8)
        for found in self._watcher.take(packet, reasons):
            anomaly = anomaly_of(found, self._registry)
            self._send(topics.ANOMALIES, anomaly["key"], codec.encode("anomaly", anomaly))
            alert = alert_of(anomaly)
            headers = alerts.headers(alert, self._config.genesis.origin)
            self._send(topics.ALERTS, alert["id"], codec.encode("alert", alert), headers)

    def _send(self, topic: str, key: str, value: bytes, headers: Headers = ()) -> None:
        self._producer.produce(topic, value, key.encode(), headers=list(headers), on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._undelivered.append(str(error))

    def learn(self, said: list[Assessment]) -> None:
        """Take in what people said next of anomalies, behind all that was told before. Raises RuntimeError."""
        self._deliver()
        for name in dict.fromkeys(one.anomaly for one in said):
            verdict = verdict_of([*self._file.said_of(name), *(one for one in said if one.anomaly == name)])
            raised = anomalies.raised(name)
            if raised is not None and verdict is not None:
                self._watcher.learn(raised, confirmed=verdict == "confirmed")
        self._write(said)

    def keep(self) -> None:
        """Output before state before offset; then the registry in force. Raises RuntimeError when undelivered."""
        self._deliver()
        self._write()
        self._consumer.commit(offsets=self._places(), asynchronous=True)
        self._config.observed.committed()
        self._kept, self._dirty = time.monotonic(), False
        _, self._registry = self._config.in_force()
        self._watcher.follow(self._registry)

    def _deliver(self) -> None:
        if self._producer.flush(30) or self._undelivered:
            raise RuntimeError(f"messages could not be delivered: {self._undelivered[:1]}; packets will be read again")

    def _write(self, said: Sequence[Assessment] = ()) -> None:
        states = {point: self._watcher.state(point) for point in sorted(self._watcher.changed)}
        place = {"offsets": self._offsets, "heads": self._watcher.heads}
        self._file.keep(states, place, self._standing.dump(), said)
        self._watcher.changed.clear()

    def _behind(self, place: TopicPartition) -> int:
        """Messages behind where a partition is read, as the broker last said."""
        _, end = self._consumer.get_watermark_offsets(place, cached=True)
        return max(0, int(end) - int(place.offset))

    def figures(self) -> Iterator[Figure]:
        """How it stands."""
        yield LAG.of(self._lag, topics.READINGS_CODED)
        yield from self._ledger.figures()

    def close(self) -> None:
        """Leave the broker."""
        self._producer.flush(5)
        self._consumer.close()
        self._ledger.close()
