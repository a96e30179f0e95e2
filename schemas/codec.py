"""The one codec: Avro canonical bytes, and the Confluent wire format around them (magic 0, 4-byte schema id).

Schema ids are fixed in the repository, so nothing has to run to read or write a message. A decoder here is strict:
input that does not encode back to itself is refused, because Avro knows several encodings of one value and digests are
taken over bytes.

A name alone means the schema's current version. `name@n` is an older version: its bytes are checked against the schema
that wrote them and read as a value of the current one, so a message under an old id stays readable for ever.
"""

import io
import struct
from functools import cache
from typing import Any

import fastavro

from schemas.canonical import Check, integer_check
from schemas.history import all_versions, current_ids, current_schema

_HEADER = struct.Struct(">bI")


class CodecError(ValueError):
    """Bytes that are not the one canonical encoding of a value of a known schema."""


@cache
def schema_ids() -> dict[str, int]:
    """Schema name to its fixed id, of every schema version that was ever published: `name`, and `name@n` if older."""
    ids = current_ids()
    current = set(ids.values())
    older = {f"{version.name}@{version.number}": version.id for version in all_versions() if version.id not in current}
    return ids | older


@cache
def _names() -> dict[int, str]:
    return {number: name for name, number in schema_ids().items()}


def schema_name(number: int) -> str:
    """The schema `name` (or `name@n`) that an id stands for, such as a payload's. Raises CodecError for any other."""
    name = _names().get(number)
    if name is None:
        raise CodecError(f"schema id {number} is not one of ours")
    return name


@cache
def schema_json(name: str) -> Any:
    """The Avro schema `name` (or `name@n`) as its file states it. Raises KeyError for a name without an id."""
    if name not in schema_ids():
        raise KeyError(f"no schema named {name!r} in schemas/avro/ids.json or schemas/history")
    if "@" not in name:
        return current_schema(name)
    return next(version.schema for version in all_versions() if version.id == schema_ids()[name])


@cache
def _parsed(name: str) -> Any:
    return fastavro.parse_schema(schema_json(name))


@cache
def _integers(name: str) -> Check | None:
    return integer_check(schema_json(name))


def encode_bare(name: str, value: Any) -> bytes:
    """Canonical Avro bytes of `value`, without a header: what is hashed and signed.

    Raises KeyError for an unknown schema, and what fastavro raises (TypeError, ValueError, OverflowError …) for a value
    that is not of the schema: a program's error, where bytes that are wrong are a sender's.
    """
    check = _integers(name)
    if check is not None:
        check(value)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _parsed(name), value)
    return out.getvalue()


def decode_bare(name: str, data: bytes) -> Any:
    """The value of canonical bytes. Raises CodecError for anything that does not encode back to `data`."""
    try:
        value = _value(name, data)
        again = encode_bare(name, value)
    except Exception as error:
        # fastavro raises a dozen unrelated types (EOFError, IndexError, MemoryError …) on damaged input
        raise CodecError(f"not a {name}: {error!r}") from error
    if again != data:
        raise CodecError(f"not the canonical encoding of a {name}")
    return _resolved(name, data) if "@" in name else value


def read_bare(name: str, data: bytes) -> Any:
    """The value of bare bytes, without holding their encoding against the canonical one. Raises CodecError.

    Only for bytes whose exact content is fixed already, by a digest or commitment that was checked or is checked next:
    there is then one value that they can be, and whoever fixed them has refused any other encoding.
    """
    try:
        return _resolved(name, data) if "@" in name else _value(name, data)
    except Exception as error:
        # fastavro raises a dozen unrelated types on damaged input
        raise CodecError(f"not a {name}: {error!r}") from error


def read_first(name: str, data: bytes) -> Any:
    """The first field of bare bytes, read without the others: of a block-package the block, without its payloads.

    For a reader's own bytes only, of a schema whose first field is of a plain type. Raises CodecError.
    """
    try:
        return fastavro.schemaless_reader(io.BytesIO(data), _parsed(name)["fields"][0]["type"], None)
    except Exception as error:
        # fastavro raises a dozen unrelated types on damaged input
        raise CodecError(f"not a {name}: {error!r}") from error


def _value(name: str, data: bytes) -> Any:
    """The value at the start of `data`, of the schema that wrote it. Raises what fastavro raises."""
    return fastavro.schemaless_reader(io.BytesIO(data), _parsed(name), None)


def _resolved(name: str, data: bytes) -> Any:
    """What bytes of an older version mean in the current one: gone fields left out, new ones at their defaults."""
    return fastavro.schemaless_reader(io.BytesIO(data), _parsed(name), _parsed(name.partition("@")[0]))


def header(name: str) -> bytes:
    """The five bytes that stand before a message of schema `name` on the wire."""
    return _HEADER.pack(0, schema_ids()[name])


def encode(name: str, value: Any) -> bytes:
    """A message in Confluent wire format."""
    return header(name) + encode_bare(name, value)


def split(message: bytes) -> tuple[str, bytes]:
    """Schema name (`name@n` of an older version) and bare bytes of a message in wire format.

    Raises CodecError when the header is not one of ours.
    """
    if len(message) < _HEADER.size:
        raise CodecError("shorter than a Confluent header")
    magic, number = _HEADER.unpack_from(message)
    name = _names().get(number)
    if magic != 0 or name is None:
        raise CodecError(f"magic {magic}, schema id {number}: not in Confluent wire format, or an unknown schema")
    return name, message[_HEADER.size :]


def decode(name: str, message: bytes) -> Any:
    """The value of a message that must be of schema `name`, in this or an older version of it. Raises CodecError."""
    return decode_bare(*_expected(name, message))


def read(name: str, message: bytes) -> Any:
    """The same without holding the encoding against the canonical one: see `read_bare`. Raises CodecError."""
    return read_bare(*_expected(name, message))


def _expected(name: str, message: bytes) -> tuple[str, bytes]:
    found, bare = split(message)
    if found != name and found.partition("@")[0] != name:
        raise CodecError(f"a {found} where a {name} was expected")
    return found, bare
