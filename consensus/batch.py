"""The batch as members hold it: decoded, its submitter's signature checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from carbon import signing
from carbon.record import encode_long
from carbon.registry import Registry
from carbon.signers import Party, Submitter
from consensus import membership, registration
from consensus.log.leaf import MEMBERSHIP, REGISTRATION, SUBMISSION, WINDOW_RECORD
from consensus.submission import BATCH, STREAM
from schemas import codec

KIND = BATCH


class BatchError(ValueError):
    """A proposal that is not a well-formed batch of a registered submitter or party."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that a submitter proposes together; record i claims (points[i], windows[i]) and is payloads[i]."""

    submitter: str
    stream: str
    number: int
    kind: int
    points: list[str]
    windows: list[int]
    payloads: list[bytes]
    registry_height: int
    body: bytes
    digest: bytes
    items_at: int
    """Where the payloads' array items begin in the body; they reach up to its last byte."""

    @property
    def items(self) -> bytes:
        """The payloads as the items of an Avro array of bytes."""
        return self.body[self.items_at : -1]

    def __len__(self) -> int:
        return len(self.payloads)


def verify(message: bytes, registries: Mapping[int, Registry], channel: bytes, most_records: int) -> Batch:
    """The batch of a message from records.proposed, under that of `registries` that it names. Raises BatchError."""
    try:
        fields = codec.decode("proposal", message)
        batch = decode(fields["body"])
    except codec.CodecError as error:
        raise BatchError(str(error)) from error
    if not 0 < len(batch) <= most_records:
        raise BatchError(f"{len(batch)} records; a batch holds 1 to {most_records}")
    registry = registries.get(batch.registry_height)
    if registry is None:
        raise BatchError(f"no registry is known to be in force from height {batch.registry_height} on")
    if batch.kind in _OWN_STREAMS:
        _check_change(batch, fields["signature"], registry, channel)
        return batch
    signers: Mapping[str, Submitter | Party] = registry.parties if batch.kind == SUBMISSION else registry.submitters
    submitter = signers.get(batch.submitter)
    if submitter is None:
        raise BatchError(f"{batch.submitter!r} is not registered as who brings batches of kind {batch.kind}")
    signed = signing.context(KIND, channel) + batch.digest
    if not signing.verify_raw(submitter.key, signed, fields["signature"]):
        raise BatchError(f"not signed by the registered key of {batch.submitter}")
    return batch


_OWN_STREAMS = {
    MEMBERSHIP: (membership.SUBMITTER, membership.STREAM),
    REGISTRATION: (registration.SUBMITTER, registration.STREAM),
}
"""Of changes, which no submitter signs, by kind."""


def _check_change(batch: Batch, signature: bytes, registry: Registry, channel: bytes) -> None:
    if signature != membership.UNSIGNED:
        raise BatchError("no submitter signs a change of the committee or the registry")
    if batch.kind == REGISTRATION and not registration.is_signed(batch.payloads[0], channel, registry):
        raise BatchError("a change of the registry that no registrar signed")


def decode(body: bytes) -> Batch:
    """The batch of a body. Raises BatchError, CodecError."""
    fields = codec.read_bare("batch", body)
    names, payloads = fields["points"], fields["payloads"]
    items_at = _items_at(fields, body)
    if len(fields["point"]) != 2 * len(payloads) or len(fields["window"]) != 8 * len(payloads):
        raise BatchError("the columns of the batch differ in length")
    places = np.frombuffer(fields["point"], ">u2").tolist()
    kind, height = fields["kind"], fields["registry_height"]
    if (kind not in (WINDOW_RECORD, SUBMISSION) and kind not in _OWN_STREAMS) or height < 0 or fields["number"] < 1:
        raise BatchError("a kind, a registry height or a number that this version does not know")
    if kind == MEMBERSHIP and height:
        raise BatchError("a change of the committee refers to no registry")
    stream = (fields["submitter"], fields["stream"])
    if (_OWN_STREAMS.get(kind, stream) != stream) or (kind == WINDOW_RECORD and stream in _OWN_STREAMS.values()):
        raise BatchError("changes of the committee and of the registry have streams of their own")
    if (kind == SUBMISSION) != (fields["stream"] == STREAM):
        raise BatchError("submissions have a stream of their own")
    if kind in _OWN_STREAMS and len(payloads) != 1:
        raise BatchError("changes come one a batch")
    if places and max(places) >= len(names):
        raise BatchError("the column point does not fit the points")
    windows = np.frombuffer(fields["window"], ">i8").tolist()
    key = (fields["submitter"], fields["stream"], fields["number"], fields["kind"])
    return Batch(*key, [names[i] for i in places], windows, payloads, height, body, sha256(body).digest(), items_at)


def _items_at(fields: dict[str, Any], body: bytes) -> int:
    """Where the payloads begin in a body, which must be the canonical encoding of its fields. Raises CodecError.

    The Avro library encodes again only what stands before the payloads: they are nearly all of the body.
    """
    items = array_items(fields["payloads"])
    place = len(body) - 1 - len(items)
    count = encode_long(len(fields["payloads"])) if items else b""
    before = body[: place - len(count)]
    without = codec.decode_bare("batch", before + b"\0")
    if not body.endswith(count + items + b"\0") or without != fields | {"payloads": []}:
        raise codec.CodecError("not the canonical encoding of a batch")
    return place


@lru_cache(maxsize=4096)
def _length(length: int) -> bytes:
    return encode_long(length)


def array_items(values: Iterable[bytes]) -> bytes:
    """Byte strings as the items of an Avro array (Avro 1.12, 'Binary encoding')."""
    return b"".join([part for value in values for part in (_length(len(value)), value)])
