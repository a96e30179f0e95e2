"""The catalogue's topics on a broker: created when they are missing, compared when they are there.

A `client` is a Kafka client configuration by librdkafka's names (`Settings.client`).
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import EnvironmentFault
from schemas.topics import Bounds, Topic

_TIMEOUT = 30.0


@dataclass(frozen=True)
class Standing:
    """How one topic of the catalogue stands on the broker. `partitions` is None when it isn't there."""

    topic: Topic
    partitions: int | None
    differences: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`missing`, `differs` or `ok`."""
        if self.partitions is None:
            return "missing"
        return "differs" if self.differences else "ok"


def differences(topic: Topic, bounds: Bounds, partitions: int, found: Mapping[str, str]) -> tuple[str, ...]:
    """In words, where a topic's partitions and configuration on the broker are not those of the catalogue."""
    wanted = {"partitions": str(topic.partitions), **topic.config(bounds)}
    there = {**found, "partitions": str(partitions)}
    return tuple(f"{key} is {there.get(key)}, not {value}" for key, value in wanted.items() if there.get(key) != value)


def inspect(client: Mapping[str, str], topics: Iterable[Topic], bounds: Bounds) -> list[Standing]:
    """Compare `topics` with the broker's. Raises EnvironmentFault when it doesn't answer."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource

    admin, topics = _admin(client), list(topics)
    try:
        there = {name: len(found.partitions) for name, found in admin.list_topics(timeout=_TIMEOUT).topics.items()}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topics if topic.name in there]
        asked = admin.describe_configs(resources, request_timeout=_TIMEOUT) if resources else {}
        configs = {resource.name: _values(future.result()) for resource, future in asked.items()}
    except KafkaException as error:
        raise unreachable(client, error) from error
    return [
        Standing(topic, there[topic.name], differences(topic, bounds, there[topic.name], configs[topic.name]))
        if topic.name in there
        else Standing(topic, None)
        for topic in topics
    ]


def ensure_topics(client: Mapping[str, str], topics: Iterable[Topic], bounds: Bounds) -> list[str]:
    """Create those of `topics` that the broker lacks, and name them. Nothing that exists is changed.

    Raises EnvironmentFault when the broker doesn't answer, refuses one, or has one that differs from the catalogue.
    """
    standing = inspect(client, topics, bounds)
    if wrong := [s for s in standing if s.differences]:
        listed = "; ".join(f"{s.topic.name}: {', '.join(s.differences)}" for s in wrong)
        raise EnvironmentFault(
            f"Topics differ from the catalogue ({listed}): "
            f"alter them with Kafka's own tools, or use an empty folder or cluster"
        )
    missing = [s.topic for s in standing if s.partitions is None]
    if missing:
        _create(client, missing, bounds)
    return [topic.name for topic in missing]


def _create(client: Mapping[str, str], topics: list[Topic], bounds: Bounds) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    # replication -1: the broker's default, 1 on the embedded one and the cluster's own choice on a cluster
    new = [NewTopic(t.name, t.partitions, replication_factor=-1, config=t.config(bounds)) for t in topics]
    admin = _admin(client)  # a client that is let go of takes its requests with it
    for name, future in admin.create_topics(new, request_timeout=_TIMEOUT).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster
                raise EnvironmentFault(f"The broker refuses topic {name}: {error.args[0].str()}") from error
    _await_leaders(admin, topics)


def _await_leaders(admin: Any, topics: list[Topic]) -> None:
    """Wait until the broker leads every partition: it says that a topic is created a little before that."""
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
    deadline = time.monotonic() + _TIMEOUT
    while partitions and time.monotonic() < deadline:
        asked = admin.list_offsets({p: OffsetSpec.earliest() for p in partitions}, request_timeout=_TIMEOUT)
        partitions = []
        for partition, future in asked.items():
            try:
                future.result()
            except KafkaException:
                partitions.append(partition)
        time.sleep(0.05 if partitions else 0)
    if partitions:
        raise EnvironmentFault(f"The broker does not lead {partitions[0].topic}: see its log, or try again")


def unreachable(client: Mapping[str, str], error: Exception) -> EnvironmentFault:
    """The fault of a broker that doesn't answer a client."""
    return EnvironmentFault(
        f"The broker at {client['bootstrap.servers']} doesn't answer ({error.args[0].str()}): "
        f"start it with 'carbonledger up', or correct CARBONLEDGER_BOOTSTRAP and CARBONLEDGER_KAFKA"
    )


def _admin(client: Mapping[str, str]) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({**client, "log_level": 0})


def _values(entries: Mapping[str, Any]) -> dict[str, str]:
    return {name: entry.value for name, entry in entries.items()}
