"""The demonstration's forger: a packet in a gateway's name, signed with a key that nobody registered."""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from carbon import packet, signing
from infra.demo.delivery import Outgoing, deliver
from infra.demo.parameters import Forged, Parameters, ms
from schemas import topics
from streams.edge.packing import Head, next_body
from streams.edge.sources import RawReading


def message(parameters: Parameters, forged: Forged, channel: bytes, seed: bytes) -> bytes:
    """A well-formed packet of one reading that is wrong only in its key, by whoever holds `seed` (32 bytes).

    The same seed makes the same bytes, so that a packet which had to be sent twice is one forgery.
    """
    at = ms(forged.at)
    body = next_body(
        Head(),
        [RawReading(forged.point, at, Decimal(forged.value))],
        {},
        gateway=forged.gateway,
        run=parameters.registry.run,
        sent_at=at,
        salt=sha256(seed + forged.point.encode()).digest()[: packet.SALT_BYTES],
    )
    return packet.sign(seed, channel, body)


def send(
    parameters: Parameters,
    channel: bytes,
    kafka: Mapping[str, str],
    topic: str = topics.METER_READINGS,
    seed: bytes | None = None,
) -> int:
    """Send every declared forgery, with a fresh key or that of `seed`; returns how many the broker took.

    `channel` is the genesis digest (32 bytes), `kafka` the client's configuration by librdkafka's names. Raises
    NotTakenError.
    """
    seed = seed or secrets.token_bytes(signing.SEED_BYTES)
    packets = (message(parameters, forged, channel, seed) for forged in parameters.forged)
    carriers = (forged.gateway.encode() for forged in parameters.forged)
    return deliver(kafka, (Outgoing(topic, *pair) for pair in zip(carriers, packets, strict=True)))
