import io
import struct
from contextlib import suppress

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from tests.schemas.values import values

CURRENT = sorted(name for name in codec.schema_ids() if "@" not in name)
BALANCE = {"account": "a:s", "subject": "s", "debit_g": 300, "credit_g": -1, "records": 0, "height": 7}
BALANCE |= {"kind": "a", "unit": "g", "year": None, "detail": ""}
BALANCE_BYTES = bytes.fromhex("06613a73 0273 d804 01 00 0e 0261 0267 00 00")
BATCH = {
    "submitter": "s",
    "stream": "g",
    "number": 1,
    "kind": 1,
    "registry_height": 0,
    "points": ["p", "q"],
    "point": b"\0\1",
    "window": bytes(8),
    "payloads": [],
}


def messages() -> st.SearchStrategy[tuple[str, bytes]]:
    def of(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        return values(codec.schema_json(name)).map(lambda value: (name, codec.encode(name, value)))

    return st.sampled_from(CURRENT).flatmap(of)


@pytest.mark.parametrize("name", CURRENT)
def test_every_schema_brings_its_values_back(name: str) -> None:
    @given(values(codec.schema_json(name)))
    def round_trip(value: object) -> None:
        message = codec.encode(name, value)
        assert codec.decode(name, message) == value
        assert codec.split(message) == (name, codec.encode_bare(name, value))
        assert message == codec.header(name) + codec.encode_bare(name, value)

    round_trip()


def test_the_bytes_are_these_for_ever() -> None:
    assert codec.encode("balance", BALANCE) == b"\x00\x00\x00\x00\x97" + BALANCE_BYTES
    assert codec.schema_name(151) == "balance"


@given(messages(), st.data())
def test_a_truncated_message_is_refused(message: tuple[str, bytes], data: st.DataObject) -> None:
    name, whole = message
    with pytest.raises(codec.CodecError):
        codec.decode(name, whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(messages(), st.binary(min_size=1, max_size=12))
def test_bytes_after_a_message_are_refused(message: tuple[str, bytes], more: bytes) -> None:
    name, whole = message
    with pytest.raises(codec.CodecError):
        codec.decode(name, whole + more)


@given(messages(), st.data())
def test_a_damaged_message_is_refused_or_is_another_canonical_one(
    message: tuple[str, bytes], data: st.DataObject
) -> None:
    name, whole = message
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 4)))
    damaged = whole[:start] + data.draw(st.binary(max_size=12)) + whole[end:]
    try:
        value = codec.decode(name, damaged)
    except codec.CodecError:
        return
    assert codec.encode(name, value) == damaged


@given(st.sampled_from(CURRENT), st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(name: str, data: bytes) -> None:
    try:
        value = codec.decode_bare(name, data)
    except codec.CodecError:
        return
    assert codec.encode_bare(name, value) == data


def lenient(name: str, data: bytes) -> object:
    """What Avro reads in `data` when it does not mind how it was encoded."""
    return fastavro.schemaless_reader(io.BytesIO(data), codec.schema_json(name), None)


@pytest.mark.parametrize(
    "padded",
    [
        BALANCE_BYTES.replace(b"\xd8\x04", b"\xd8\x84\x00"),
        BALANCE_BYTES.replace(b"\x0e", b"\x8e\x00"),
        BALANCE_BYTES.replace(b"\x00\x0e", b"\x80\x80\x80\x00\x0e"),
        b"\x86\x00" + BALANCE_BYTES[1:],
    ],
)
def test_a_padded_varint_is_refused_although_avro_reads_it(padded: bytes) -> None:
    assert lenient("balance", padded) == BALANCE
    with pytest.raises(codec.CodecError, match="not the canonical encoding"):
        codec.decode_bare("balance", padded)


@given(messages())
def test_what_is_canonical_reads_the_same_without_that_check(message: tuple[str, bytes]) -> None:
    name, whole = message
    assert codec.read(name, whole) == codec.decode(name, whole)
    assert codec.read_bare(*codec.split(whole)) == codec.decode(name, whole)


def test_reading_alone_takes_any_encoding_of_a_value() -> None:
    padded = BALANCE_BYTES.replace(b"\x0e", b"\x8e\x00")
    assert codec.read_bare("balance", padded) == BALANCE


@given(st.sampled_from(CURRENT), st.binary(max_size=200))
def test_reading_arbitrary_bytes_raises_nothing_but_a_codec_error(name: str, data: bytes) -> None:
    with suppress(codec.CodecError):
        codec.read_bare(name, data)


@pytest.mark.parametrize("array", [b"\x02\x02p\x02\x02q\x00", b"\x03\x08\x02p\x02q\x00"])
def test_an_array_in_blocks_or_with_its_size_is_refused_although_avro_reads_it(array: bytes) -> None:
    canonical = codec.encode_bare("batch", BATCH)
    other = canonical.replace(b"\x04\x02p\x02q\x00", array)
    assert other != canonical
    assert lenient("batch", other) == BATCH
    with pytest.raises(codec.CodecError, match="not the canonical encoding"):
        codec.decode_bare("batch", other)


@pytest.mark.parametrize("header", [b"\x00" + struct.pack(">I", 99_999), b"\x01\x00\x00\x00\x0d", b"\x00" * 5])
def test_an_unknown_id_and_another_magic_are_refused(header: bytes) -> None:
    for read in (codec.split, lambda message: codec.decode("balance", message)):
        with pytest.raises(codec.CodecError, match="unknown schema"):
            read(header + BALANCE_BYTES)


@pytest.mark.parametrize("short", [b"", b"\x00", b"\x00\x00\x00\x00"])
def test_less_than_a_header_is_refused(short: bytes) -> None:
    with pytest.raises(codec.CodecError, match="shorter"):
        codec.split(short)


def test_a_message_of_another_schema_is_refused() -> None:
    with pytest.raises(codec.CodecError, match="a balance where a block was expected"):
        codec.decode("block", codec.encode("balance", BALANCE))


def test_an_unknown_name_or_number_is_refused() -> None:
    with pytest.raises(KeyError):
        codec.encode("no-such-schema", {})
    with pytest.raises(codec.CodecError):
        codec.schema_name(99_999)


def test_an_int_of_more_than_32_bits_is_neither_written_nor_read() -> None:
    with pytest.raises(OverflowError):
        codec.encode_bare("batch", BATCH | {"kind": 2**31})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, codec.schema_json("batch"), BATCH | {"kind": 2**31})
    with pytest.raises(codec.CodecError, match="32 bits"):
        codec.decode_bare("batch", out.getvalue())


def test_a_float_is_not_cut_to_an_integer() -> None:
    with pytest.raises(TypeError):
        codec.encode_bare("balance", BALANCE | {"debit_g": 1.5})


def test_a_left_out_field_takes_its_default() -> None:
    reading = {"point": "p", "at": 1, "value": "1.5"}
    assert codec.decode("reading", codec.encode("reading", reading)) == reading | {"flag": "N"}


def test_the_first_field_is_read_without_the_others() -> None:
    fields = {"block": b"a block", "salts": bytes(16), "payloads": [b"one", b"two"]}
    data = codec.encode_bare("block-package", fields)
    assert codec.read_first("block-package", data) == b"a block"
    assert codec.read_first("block-package", data[:8]) == b"a block"
    with pytest.raises(codec.CodecError):
        codec.read_first("block-package", data[:7])
