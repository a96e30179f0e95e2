"""Changes of the registry: who must have signed one, and how it is put together.

A registrar of the registry in force signs a change (`carbon.amendment`) with its own key. It comes in a batch of a
stream of its own, which no submitter signs: its number and the registry that it changes stand in what is signed.
"""

from collections.abc import Iterable
from typing import Any

from carbon import signing
from carbon.amendment import Amendment, amended
from carbon.refusal import Refusal
from carbon.registry import Registry, RegistryError
from consensus.log.leaf import REGISTRATION, Leaf
from schemas import codec

SUBMITTER, STREAM = "registrar", "registry"
KIND = "registry"
"""Kind of the signature, over the change."""


def refusal(payload: bytes, number: int, base: int, channel: bytes, registry: Registry) -> Refusal:
    """The evidence half of a change: a pure function of its bytes and of the registry at height `base`."""
    try:
        fields = codec.decode_bare("registration", payload)
        change = Amendment.decode(fields["change"])
    except codec.CodecError:
        return Refusal.MALFORMED
    if (change.number, change.base) != (number, base):
        return Refusal.MALFORMED
    if not _is_signed(fields, channel, registry):
        return Refusal.NOT_SIGNED
    try:
        amended(registry, change)
    except RegistryError:
        return Refusal.WRONG_REGISTRY
    return Refusal.PASS


def _is_signed(fields: dict[str, Any], channel: bytes, registry: Registry) -> bool:
    registrar = registry.registrars.get(fields["registrar"])
    return registrar is not None and signing.verify(registrar.key, KIND, channel, fields["change"], fields["signature"])


def is_signed(payload: bytes, channel: bytes, registry: Registry) -> bool:
    """Whether a registrar of `registry` signed a change: others don't get so far as to be recorded."""
    try:
        return _is_signed(codec.decode_bare("registration", payload), channel, registry)
    except codec.CodecError:
        return False


def change_of(payload: bytes) -> Amendment:
    """The change in the payload of a registration. Raises CodecError."""
    return Amendment.decode(codec.decode_bare("registration", payload)["change"])


def adopt(registries: dict[int, Registry], payload: bytes) -> Amendment:
    """Know the registry that an accepted change leads to, by its height; the change.

    Raises CodecError, RegistryError for what no committee accepts.
    """
    change = change_of(payload)
    registries[change.first] = amended(registries[change.base], change)
    return change


def follow(registries: dict[int, Registry], leaf: Leaf, payload: bytes) -> Amendment | None:
    """The same for a record of any kind: None unless it is such a change."""
    return adopt(registries, payload) if leaf.kind == REGISTRATION and leaf.accepted else None


def in_force(registries: Iterable[int], height: int) -> int:
    """Which of some registry heights is that of the registry in force at a height of the ledger."""
    return max(first for first in registries if first <= height)


def signed(change: Amendment, registrar: str, seed: bytes, channel: bytes) -> bytes:
    """The record of a change, signed."""
    body = change.encode()
    signature = signing.sign(seed, KIND, channel, body)
    return codec.encode_bare("registration", {"change": body, "registrar": registrar, "signature": signature})


def proposal(record: bytes) -> bytes:
    """The message of records.proposed that brings a change."""
    change = change_of(record)
    stream = {"submitter": SUBMITTER, "stream": STREAM, "number": change.number}
    kind = {"kind": REGISTRATION, "registry_height": change.base}
    columns = {"points": [STREAM], "point": bytes(2), "window": bytes(8), "payloads": [record]}
    body = codec.encode_bare("batch", stream | kind | columns)
    return codec.encode("proposal", {"body": body, "signature": bytes(signing.SIGNATURE_BYTES)})
