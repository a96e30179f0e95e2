"""Frames: what the devices said whose readings one packet carries, put together and signed by the packet's gateway.

A packet says what was measured; its frames, on a topic of their own, let anyone check that against the bytes that the
devices sent. They name their packet by place and by the SHA-256 of its body. The body is compressed with zlib (RFC
1950) and signed as it stands.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from carbon import signing
from carbon.registry import Registry
from schemas import codec

KIND = "frames"
MAX_BYTES = 1_000_000
"""A body before it is compressed: nobody who reads it unpacks more."""


class FramesError(ValueError):
    """A message that is not the frames of a registered gateway; `reason` is the rule's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Message(NamedTuple):
    """One message of a device: its registered name, when it was received in ms UTC, its bytes as they came
    (HJ 212's without the password)."""

    device: str
    received: int
    raw: bytes


@dataclass(frozen=True)
class Frames:
    """The messages behind packet (gateway, run, sequence), whose body has the SHA-256 `packet`."""

    gateway: str
    run: int
    sequence: int
    packet: bytes
    messages: tuple[Message, ...]


def encode_body(*, gateway: str, run: int, sequence: int, packet: bytes, messages: Sequence[Message]) -> bytes:
    """The bytes to sign. Raises ValueError for more than MAX_BYTES before compression."""
    head = {"gateway": gateway, "run": run, "sequence": sequence, "packet": packet}
    plain = codec.encode_bare("frames-body", head | {"messages": [message._asdict() for message in messages]})
    if len(plain) > MAX_BYTES:
        raise ValueError(f"frames of {len(plain)} bytes, at most {MAX_BYTES}")
    return zlib.compress(plain)


def decode_body(body: bytes) -> Frames:
    """The frames of a body. Raises FramesError `not_frames`."""
    try:
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(body, MAX_BYTES + 1)
        if not unpacking.eof or unpacking.unused_data or len(plain) > MAX_BYTES:
            raise FramesError("not_frames", f"not one whole zlib stream of at most {MAX_BYTES} bytes")
        fields = codec.decode_bare("frames-body", plain)
    except (zlib.error, codec.CodecError) as error:
        raise FramesError("not_frames", str(error)) from error
    return Frames(**{**fields, "messages": tuple(Message(**message) for message in fields["messages"])})


def verify(message: bytes, registry: Registry, channel: bytes) -> Frames:
    """The frames of a message from meter.frames, whose gateway is registered and signed them.

    Raises FramesError: not_frames, unknown_gateway, wrong_signature, revoked_key.
    """
    try:
        fields = codec.decode("frames", message)
    except codec.CodecError as error:
        raise FramesError("not_frames", str(error)) from error
    frames = decode_body(fields["body"])
    gateway = registry.gateways.get(frames.gateway)
    if gateway is None:
        raise FramesError("unknown_gateway", f"{frames.gateway!r} is not registered")
    if not signing.verify(gateway.key, KIND, channel, fields["body"], fields["signature"]):
        raise FramesError("wrong_signature", f"not signed by the registered key of {frames.gateway}")
    if gateway.revoked:
        raise FramesError("revoked_key", f"the key of {frames.gateway} counts no more")
    return frames
