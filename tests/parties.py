"""Parties for tests, with the keys of `tests.small`, and what they submit."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from carbon import signing, submission
from consensus import batch as batches
from consensus import submission as submissions
from consensus.batch import Batch
from tests.small import World, seed

AUTHORITY, OFFICE, PLANT, VERIFIER, EXCHANGE = "authority", "office", "plant-co", "verifier-co", "exchange"
_ROLES = {
    AUTHORITY: ("regulator", "region"),
    OFFICE: ("statistics", "region"),
    PLANT: ("enterprise", "plant"),
    VERIFIER: ("verifier", None),
    EXCHANGE: ("exchange", None),
    "credits": ("offset registry", None),
    "laboratory": ("laboratory", None),
}
PARTIES = [
    {"id": name, "key": signing.public_key(seed(name)).hex(), "role": role, "subject": subject}
    for name, (role, subject) in _ROLES.items()
]

PRICE = {"year": 2016, "month": 1, "price_fen_t": 7_900}


def payload(
    world: World,
    party: str,
    number: int,
    kind: str = "price",
    content: Mapping[str, Any] | None = None,
    signers: Sequence[str] = (),
) -> bytes:
    """A submission of a party, signed by it or by `signers`; a price unless said otherwise."""
    salt = sha256(f"{party} {number}".encode()).digest()[: submission.SALT_BYTES]
    body = submission.body_of(party, number, kind, PRICE if content is None else content, salt)
    return submission.signed(body, {name: seed(name) for name in signers or (party,)}, world.channel)


def message(
    world: World,
    party: str,
    number: int,
    payloads: Sequence[bytes],
    signer: str | None = None,
    registry_height: int = 0,
) -> bytes:
    """The message of a party's batch, signed by it or by another."""
    return submissions.proposal(payloads, party, seed(signer or party), number, registry_height, world.channel)


def batch(world: World, party: str, number: int, payloads: Sequence[bytes], registry_height: int = 0) -> Batch:
    sent = message(world, party, number, payloads, registry_height=registry_height)
    return batches.verify(sent, {registry_height: world.registry}, world.channel, 2_000)
