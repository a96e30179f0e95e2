"""Packets: what is signed is what is read; anything else is refused with its reason."""

from hashlib import sha256, shake_128

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import packet, signing
from carbon.packet import PacketError
from schemas import codec
from tests.small import START, World, seed


@pytest.fixture
def world() -> World:
    return World.make()


def refused(world: World, message: bytes) -> str:
    with pytest.raises(PacketError) as error:
        world.decode(message)
    return error.value.reason


def test_a_signed_packet_is_read_as_it_was_packed(world):
    message = world.pack(START + 900_000, [("plant-0-0", START, 7), ("plant-0-2", START, -3, "C")])
    read = world.decode(message)
    assert (read.gateway, read.run, read.sequence, read.sent_at) == ("gw-0", 0, 1, START + 900_000)
    assert [read.points[i] for i in read.point] == ["plant-0-0", "plant-0-2"]
    assert read.value.tolist() == [7, -3]
    assert bytes(read.flag) == b"NC"
    assert read.digest == sha256(read.body).digest()


def test_another_key_is_refused(world):
    body = packet.body_of(world.pack(START, [("plant-0-0", START, 7)]))
    assert refused(world, packet.sign(seed("somebody"), world.channel, body)) == "wrong_signature"


def test_another_channel_and_another_kind_are_refused(world):
    body = packet.body_of(world.pack(START, [("plant-0-0", START, 7)]))
    assert refused(world, packet.sign(seed("gw-0"), sha256(b"other").digest(), body)) == "wrong_signature"
    signature = signing.sign(seed("gw-0"), "batch", world.channel, body)
    assert refused(world, codec.encode("packet", {"body": body, "signature": signature})) == "wrong_signature"


def test_unknown_gateway_and_wrong_run(world):
    assert refused(world, world.pack(START, [], gateway="gw-9")) == "unknown_gateway"
    assert refused(world, world.pack(START, [], run=1)) == "wrong_run"


def test_columns_of_different_length(world):
    fields = codec.decode_bare("packet-body", packet.body_of(world.pack(START, [("plant-0-0", START, 7)])))
    for change in (
        {"flag": b""},
        {"at": b"123"},
        {"point": b"\0\5"},
        {"points": ["a", "a"]},
        {"lost": 9},
        {"sent_at": -1},
    ):
        body = codec.encode_bare("packet-body", fields | change)
        assert refused(world, packet.sign(seed("gw-0"), world.channel, body)) == "not_a_packet"


def test_a_packet_states_so_many_sequences_lost_and_no_more(world):
    """A range of packets is passed over one by one: a signature must not buy more work than it costs."""
    world.sequence = packet.MAX_LOST
    assert world.decode(world.pack(START, [], lost=packet.MAX_LOST)).lost == packet.MAX_LOST
    world.sequence = 2 * packet.MAX_LOST
    assert refused(world, world.pack(START, [], lost=packet.MAX_LOST + 1)) == "not_a_packet"


@given(st.data())
@settings(max_examples=300)
def test_damaged_bytes_are_refused_and_never_crash(data):
    world = World.make()
    message = bytearray(world.pack(START, [("plant-0-0", START, 7), ("plant-0-1", START, 8)]))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= data.draw(st.integers(1, 255))
    refused(world, bytes(message))
    refused(world, bytes(message[:place]))


def test_salts_come_from_the_packets_salt_alone(world):
    message = world.pack(START, [("plant-0-0", START, 7), ("plant-0-1", START, 8)])
    read = world.decode(message)
    stream = shake_128(b"carbonledger/reading-salt/v1\n" + read.salt).digest(32)
    leaves = packet.evidence_leaves(read)
    for index, (name, value) in enumerate([("plant-0-0", 7), ("plant-0-1", 8)]):
        canonical = sha256(name.encode()).digest()[:16] + START.to_bytes(8, "big") + value.to_bytes(8, "big") + b"N"
        leaf = stream[16 * index : 16 * index + 16] + canonical
        assert leaves[index].tobytes() == leaf
        assert packet.leaf_hashes(read)[index] == sha256(b"\0" + leaf).digest()


@settings(max_examples=40)
@given(st.text(max_size=80), st.integers(0, 2**31 - 1), st.integers(1, 2**62), st.integers(0, 9), st.integers(0, 2**41))
def test_the_sending_time_is_read_from_a_bodys_first_bytes(
    gateway: str, run: int, sequence: int, lost: int, at: int
) -> None:
    columns = {name: [] for name in ("point", "at", "value", "flag")}
    head = {"gateway": gateway, "run": run, "sequence": sequence, "lost": lost, "previous": bytes(range(32))}
    body = packet.encode_body(**head, sent_at=at, salt=bytes(16), points=["p"] * 3, columns=columns)
    assert packet.sent_at(body) == packet.sent_at(body[: -len(b"\2p" * 3)]) == at
    with pytest.raises(IndexError):
        packet.sent_at(body[:30])
