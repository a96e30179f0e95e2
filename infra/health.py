"""How the pipeline stands: told to topic `pipeline.health` every few seconds, and to `alerts` where it is at fault.

Also told to `alerts` are refusals that go on: no other process has an eye on the dead letters.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from carbon import alert as alerts
from carbon.registry import InForce
from infra import metrics, runfile
from infra.errors import EnvironmentFault
from infra.faults import Faults
from infra.runfile import Member
from infra.watch import Stage, Watch
from schemas import codec, topics
from schemas.metrics import LAG, Figure
from schemas.observed import Observed
from streams.rejections import Rejections

EVERY = 10.0
"""Seconds from one look to the next."""
_READS = 20
"""Times that dead letters are read on without a look between."""
_LETTERS = (topics.READINGS_REJECTED, 0)
log = structlog.get_logger(__name__)


def rows(
    members: Iterable[Member], stages: Iterable[Stage], reports: Mapping[str, Mapping[str, Any]], at_ms: int
) -> Iterator[dict[str, Any]]:
    """What is told of a moment: for each process a message for every topic that its group reads, else one; and of
    each group without a process, as the committee's, one a topic.

    `reports` are what processes last wrote about themselves: epoch and view of the members.
    """
    read: dict[str, list[Stage]] = {}
    for stage in stages:
        read.setdefault(stage.group, []).append(stage)
    for member in members:
        about = {"process": member.process, "at": at_ms, "state": member.state, "restarts": member.restarts}
        about |= {name: reports.get(member.process, {}).get(name) for name in ("epoch", "view")}
        of_group: list[Stage | None] = [*read.pop(member.group, [])] if member.group else []
        yield from (about | _figures(stage) for stage in of_group or [None])
    for group, left in read.items():
        yield from ({"process": group, "at": at_ms, "state": "", "restarts": 0} | _figures(stage) for stage in left)


def _figures(stage: Stage | None) -> dict[str, Any]:
    if stage is None:
        return {"topic": "", "waiting": None, "oldest_seconds": None, "done": None}
    return {"topic": stage.topic, "waiting": stage.waiting, "oldest_seconds": stage.oldest, "done": stage.done}


@dataclass(frozen=True)
class HealthConfig:
    """What the process needs to know. `data`: the data folder of `up`; `store`: its own file; `source`: the channel, as
    its checkpoints name it."""

    kafka: dict[str, str]
    data: Path
    store: Path
    source: str
    in_force: InForce
    observed: Observed = field(default_factory=Observed)


class Health:
    """The process's shell. Output before state: after a crash the same letters lead to the same alerts."""

    def __init__(self, config: HealthConfig) -> None:
        self._config = config
        kept = json.loads(config.store.read_text()) if config.store.exists() else {}
        self._kept: dict[str, Any] = kept
        self._faults = Faults(kept=kept.get("faults"))
        self._rejections = Rejections(kept=kept.get("rejections"))
        self._offset: int = kept.get("offset", 0)
        _, self._registry = config.in_force()
        self._undelivered: list[str] = []
        self._lag = 0
        self._watch = Watch(config.kafka)
        self._producer = Producer(config.kafka | {"enable.idempotence": "true"})
        own = {"group.id": "carbon.health", "enable.auto.commit": "false", "auto.offset.reset": "earliest"}
        own |= {"fetch.wait.max.ms": "5000"}
        self._consumer = Consumer(config.kafka | own)
        self._consumer.assign([TopicPartition(*_LETTERS, self._offset)])

    def step(self) -> None:
        """One look, and all letters that came. A look that fails is left out."""
        self._config.observed.turned()
        now = time.time_ns() // 1_000_000
        sees, reads = self._look(now), self._read()
        if sees and reads:
            self._tell(self._rejections.tick(now, self._registry))
        self._keep()

    def _look(self, now: int) -> bool:
        """Tell how all stands; whether the broker and `up` are there to say it."""
        data = self._config.data
        try:
            members = runfile.running(data).members
            stages = self._watch.stages({member.group for member in members if member.group}, data)
        except EnvironmentFault as fault:
            log.warning("health can't be told", reason=str(fault))
            return False
        told = list(rows(members, stages, metrics.reports(data), now))
        for row in told:
            self._producer.produce(topics.PIPELINE_HEALTH, codec.encode("health", row), row["process"].encode())
        self._tell(self._faults.take(told, now))
        return True

    def _read(self) -> bool:
        """Take in dead letters; whether that is all there are."""
        for number in range(_READS):
            messages = [one for one in self._consumer.consume(500, 0.5) if _is_good(one)]
            if not messages:
                return True
            if not number:
                _, self._registry = self._config.in_force()
            for message in messages:
                self._take(message)
        return False

    def _take(self, message: Message) -> None:
        self._offset = (message.offset() or 0) + 1
        try:
            letter = codec.decode("rejection", message.value() or b"")
        except codec.CodecError as error:
            log.warning("no dead letter", offset=message.offset(), reason=str(error))
            return
        self._tell(self._rejections.take(letter, message.timestamp()[1], self._registry))

    def _tell(self, told: Iterable[alerts.Alert]) -> None:
        for alert in told:
            headers = list(alerts.headers(alert, self._config.source))
            value = codec.encode("alert", alert)
            self._send(topics.ALERTS, alert["id"], value, headers)

    def _send(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._producer.produce(topic, value, key.encode(), headers=headers, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._undelivered.append(str(error))

    def _keep(self) -> None:
        """Keep what was told, once the broker has it. Raises RuntimeError for an alert that it didn't take."""
        left = self._producer.flush(EVERY)
        if self._undelivered:
            raise RuntimeError(
                f"alerts could not be delivered: {self._undelivered[:1]}; the letters will be read again"
            )
        _, end = self._consumer.get_watermark_offsets(TopicPartition(*_LETTERS), cached=True)
        self._lag = max(0, end - self._offset)
        state = {"offset": self._offset, "faults": self._faults.dump(), "rejections": self._rejections.dump()}
        if left:
            return
        if state != self._kept:
            self._write(state)
            self._kept = json.loads(json.dumps(state))
        self._config.observed.committed()

    def _write(self, state: Mapping[str, Any]) -> None:
        store = self._config.store
        store.parent.mkdir(parents=True, exist_ok=True)
        fresh = store.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(store)

    def figures(self) -> Iterator[Figure]:
        """How it stands itself."""
        yield LAG.of(self._lag, topics.READINGS_REJECTED)

    def close(self) -> None:
        """Leave the broker."""
        self._producer.flush(5)
        self._consumer.close()
        self._watch.close()


def _is_good(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        log.warning("health hears of the broker", error=str(error))
    return error is None


def tell(config: HealthConfig, stopped: Callable[[], bool]) -> None:
    """Look and tell until `stopped`. Raises RuntimeError for an alert that the broker didn't take."""
    health = Health(config)
    config.observed.shows("health", health.figures)
    while not stopped():
        began = time.monotonic()
        health.step()
        while not stopped() and time.monotonic() < began + EVERY:
            time.sleep(0.2)
    health.close()
