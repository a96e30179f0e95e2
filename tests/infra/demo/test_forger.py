"""The forged packets are wrong in their key, and in nothing else."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from carbon import factors, registry, signing, validation
from carbon.packet import PacketError, verify
from infra.demo import forger, parameters, scenario
from infra.demo.parameters import Parameters

CHANNEL = bytes(range(32))
SEED = bytes(32)


@pytest.fixture(scope="module")
def declared() -> Parameters:
    return parameters.load()


@pytest.fixture(scope="module")
def registered(declared: Parameters) -> registry.Registry:
    keys = {gateway: signing.public_key(SEED) for gateway in [*declared.gateways, "intake"]}
    return registry.parse(scenario.registry_bytes(declared, keys, {}), factors.load())


def test_with_the_registered_key_it_would_pass(declared: Parameters, registered: registry.Registry) -> None:
    for forged in declared.forged:
        packet = verify(forger.message(declared, forged, CHANNEL, SEED), registered, CHANNEL)
        assert len(packet) == 1 and validation.check(packet, registered).tolist() == [validation.Reason.VALID]


def test_with_another_key_the_signature_is_wrong(declared: Parameters, registered: registry.Registry) -> None:
    for forged in declared.forged:
        with pytest.raises(PacketError) as raised:
            verify(forger.message(declared, forged, CHANNEL, bytes(31) + b"\1"), registered, CHANNEL)
        assert raised.value.reason == "wrong_signature"


@pytest.mark.broker
def test_all_are_sent(
    declared: Parameters, registered: registry.Registry, broker: str, topic_factory: Callable[..., str]
) -> None:
    topic = topic_factory()
    assert forger.send(declared, CHANNEL, {"bootstrap.servers": broker}, topic) == len(declared.forged)
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "none", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = consumer.consume(len(declared.forged), timeout=60)
    finally:
        consumer.close()
    assert [message.key().decode() for message in found] == [forged.gateway for forged in declared.forged]
    for message in found:
        with pytest.raises(PacketError, match="wrong_signature"):
            verify(message.value(), registered, CHANNEL)


def test_sent_again_it_is_the_same_forgery(declared: Parameters) -> None:
    again = [forger.message(declared, forged, CHANNEL, SEED) for forged in declared.forged for _ in range(2)]
    assert len(set(again)) == len(declared.forged)
