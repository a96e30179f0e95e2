"""Changes of the registry for tests: made of entries and signed with the keys of `tests.small`."""

import json
from collections.abc import Sequence
from typing import Any

from carbon import amendment, factors, signing
from carbon.registry import Registry
from consensus import batch as batches
from consensus import registration
from consensus.batch import Batch
from schemas import codec
from tests.small import World, seed

REGISTRAR = "registrar"
REGISTRARS = [{"id": REGISTRAR, "key": signing.public_key(seed(REGISTRAR)).hex()}]

Put = tuple[str, dict[str, Any]]


def entry(now: Registry, section: str, name: str, **changes: Any) -> Put:
    """An entry of a registry with some fields changed."""
    (found,) = [entry for entry in json.loads(now.file)[section] if entry["id"] == name]
    return section, found | changes


def rotation(now: Registry, gateway: str, key: str) -> Put:
    """A gateway's next run, with the key of `seed(key)`."""
    before = now.gateways[gateway]
    retired = [old.hex() for old in (*before.retired, before.key)]
    section, found = entry(now, "gateways", gateway, run=before.run + 1, retired=retired)
    kept = {name: value for name, value in found.items() if name != "revoked"}
    return section, kept | {"key": signing.public_key(seed(key)).hex()}


def changed_tables(was: bytes, becomes: bytes) -> dict[str, bytes]:
    """The tables of the shipped factor set, with one text changed."""
    tables = {name: data.replace(was, becomes) for name, data in factors.load().files.items()}
    assert tables != factors.load().files
    return tables


def record(
    world: World,
    now: Registry,
    first: int,
    *put: Put,
    number: int = 1,
    base: int = 0,
    signer: str = REGISTRAR,
    drop: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The payload of a change, signed by the seed of `signer`."""
    made = amendment.amendment(now, number, base, first, put, drop)
    return registration.signed(made, REGISTRAR, seed(signer), world.channel)


def batch(payload: bytes) -> Batch:
    return batches.decode(codec.decode("proposal", registration.proposal(payload))["body"])
