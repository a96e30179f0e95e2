"""Frames: what the devices said is what is read; anything else is refused with its reason."""

import zlib
from hashlib import sha256

import pytest

from carbon import frames, signing
from carbon.frames import FramesError, Message
from schemas import codec
from tests.small import START, World, seed

MESSAGES = (Message("boiler-1", START, b"##0007QN=1;A=\r\n"), Message("boiler-2", START + 1, bytes(range(256))))
PLACE = {"gateway": "gw-0", "run": 0, "sequence": 3, "packet": sha256(b"a packet").digest()}


@pytest.fixture
def world() -> World:
    return World.make()


def signed(world: World, body: bytes, kind: str = frames.KIND) -> bytes:
    signature = signing.sign(seed("gw-0"), kind, world.channel, body)
    return codec.encode("frames", {"body": body, "signature": signature})


def refused(world: World, message: bytes) -> str:
    with pytest.raises(FramesError) as error:
        frames.verify(message, world.registry, world.channel)
    return error.value.reason


def test_what_devices_said_is_what_is_read(world):
    read = frames.verify(signed(world, frames.encode_body(**PLACE, messages=MESSAGES)), world.registry, world.channel)
    assert (read.gateway, read.run, read.sequence, read.packet) == tuple(PLACE.values())
    assert read.messages == MESSAGES


def test_another_kind_another_key_and_an_unknown_gateway_are_refused(world):
    body = frames.encode_body(**PLACE, messages=MESSAGES)
    assert refused(world, signed(world, body, "packet")) == "wrong_signature"
    assert refused(world, signed(world, frames.encode_body(**PLACE, messages=MESSAGES[:1]))[:-64] + bytes(64)) == (
        "wrong_signature"
    )
    unknown = frames.encode_body(**{**PLACE, "gateway": "gw-9"}, messages=MESSAGES)
    assert refused(world, signed(world, unknown)) == "unknown_gateway"


def test_damaged_bodies_are_refused(world):
    body = frames.encode_body(**PLACE, messages=MESSAGES)
    for damaged in (body[:-1], body + b"x", b"", zlib.compress(b"no frames")):
        assert refused(world, signed(world, damaged)) == "not_frames"
    assert refused(world, b"\0\0\0\0\1") == "not_frames"


def test_a_body_that_unpacks_to_more_than_the_bound_is_refused(world):
    largest = next(
        size for size in (frames.MAX_BYTES - left for left in range(200)) if len(codec_of(size)) <= frames.MAX_BYTES
    )
    assert len(codec_of(largest)) == frames.MAX_BYTES
    read = frames.decode_body(frames.encode_body(**PLACE, messages=[Message("d", 0, bytes(largest))]))
    assert len(read.messages[0].raw) == largest
    with pytest.raises(ValueError, match="at most"):
        frames.encode_body(**PLACE, messages=[Message("d", 0, bytes(largest + 1))])
    assert refused(world, signed(world, zlib.compress(codec_of(largest + 1)))) == "not_frames"


def codec_of(size: int) -> bytes:
    return codec.encode_bare("frames-body", PLACE | {"messages": [Message("d", 0, bytes(size))._asdict()]})
