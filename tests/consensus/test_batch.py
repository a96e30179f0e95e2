"""A batch's body is the one canonical encoding of what it says, or no batch."""

import pytest

from carbon.record import encode_long
from consensus import batch as batches
from schemas import codec
from tests.consensus.test_contract import Scene


@pytest.fixture(scope="module")
def body() -> bytes:
    scene = Scene()
    scene.send(3)
    return scene.aggregator.batch(scene.aggregator.hours(0, 1)).body


def test_its_items_are_the_payloads_as_they_stand_in_the_body(body):
    batch = batches.decode(body)
    assert len(batch) == 3
    count = encode_long(len(batch))
    assert body == body[: batch.items_at - len(count)] + count + batch.items + b"\0"
    assert batch.items == batches.array_items(batch.payloads)


def test_an_empty_batch_has_no_items(body):
    fields = codec.decode_bare("batch", body) | {"point": b"", "window": b"", "payloads": []}
    batch = batches.decode(codec.encode_bare("batch", fields))
    assert (len(batch), batch.items) == (0, b"")


def split_in_blocks(body: bytes) -> bytes:
    """The payloads as two blocks of one Avro array: another encoding of the same value."""
    batch = batches.decode(body)
    first = batches.array_items(batch.payloads[:1])
    before = body[: batch.items_at - 1]
    return before + encode_long(1) + first + encode_long(2) + batch.items[len(first) :] + b"\0"


def sized_block(body: bytes) -> bytes:
    """A negative count, which says that the block's size follows."""
    batch = batches.decode(body)
    size = encode_long(len(batch.items))
    return body[: batch.items_at - 1] + encode_long(-3) + size + batch.items + b"\0"


def long_count(body: bytes) -> bytes:
    batch = batches.decode(body)
    return body[: batch.items_at - 1] + b"\x86\x00" + batch.items + b"\0"


def long_length(body: bytes) -> bytes:
    """The length of the first payload in one byte more than it takes."""
    batch = batches.decode(body)
    length = encode_long(len(batch.payloads[0]))
    longer = length[:-1] + bytes((length[-1] | 0x80, 0))
    return body[: batch.items_at] + longer + body[batch.items_at + len(length) :]


def long_name(body: bytes) -> bytes:
    return bytes((body[0] | 0x80, 0)) + body[1:]


@pytest.mark.parametrize("other", [split_in_blocks, sized_block, long_count, long_length, long_name])
def test_another_encoding_of_the_same_batch_is_refused(body, other):
    assert codec.read_bare("batch", other(body)) == codec.read_bare("batch", body)
    with pytest.raises(codec.CodecError):
        batches.decode(other(body))


def test_a_byte_too_many_or_too_few_is_refused(body):
    for other in (body + b"\0", body[:-1], body + body[-1:]):
        with pytest.raises(codec.CodecError):
            batches.decode(other)


def test_every_changed_byte_is_refused_or_says_something_else(body):
    said = codec.decode_bare("batch", body)
    for place in range(0, len(body), 7):
        other = body[:place] + bytes((body[place] ^ 1,)) + body[place + 1 :]
        try:
            batches.decode(other)
        except (codec.CodecError, batches.BatchError):
            continue
        assert codec.decode_bare("batch", other) != said
