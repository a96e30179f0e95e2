"""The one codec: Avro canonical bytes, and the Confluent wire format around them (magic 0, 4-byte schema id).

Schema ids are fixed in `schemas/avro/ids.json`, so nothing has to run to read or write a message. A decoder here is
strict: input that does not encode back to itself is refused, because Avro knows several encodings of one value and
digests are taken over bytes.
"""

import io
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

AVRO_DIR = Path(__file__).parent / "avro"
_HEADER = struct.Struct(">bI")


class CodecError(ValueError):
    """Bytes that are not the one canonical encoding of a value of a known schema."""


@cache
def schema_ids() -> dict[str, int]:
    """Schema name to its fixed id, of every schema version that was ever published."""
    ids: dict[str, int] = json.loads((AVRO_DIR / "ids.json").read_text())
    return ids


@cache
def _names() -> dict[int, str]:
    return {number: name for name, number in schema_ids().items()}


@cache
def schema_json(name: str) -> Any:
    """The Avro schema `name` as its file states it. Raises KeyError for a name without an id."""
    if name not in schema_ids():
        raise KeyError(f"no schema named {name!r} in schemas/avro/ids.json")
    return json.loads((AVRO_DIR / f"{name}.avsc").read_text())


@cache
def _parsed(name: str) -> Any:
    return fastavro.parse_schema(schema_json(name))


def encode_bare(name: str, value: Any) -> bytes:
    """Canonical Avro bytes of `value`, without a header: what is hashed and signed."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _parsed(name), value)
    return out.getvalue()


def decode_bare(name: str, data: bytes) -> Any:
    """The value of canonical bytes. Raises CodecError for anything that does not encode back to `data`."""
    try:
        value = fastavro.schemaless_reader(io.BytesIO(data), _parsed(name), None)
        again = encode_bare(name, value)
    except Exception as error:
        # fastavro raises a dozen unrelated types (EOFError, IndexError, MemoryError …) on damaged input
        raise CodecError(f"not a {name}: {error!r}") from error
    if again != data:
        raise CodecError(f"not the canonical encoding of a {name}")
    return value


def header(name: str) -> bytes:
    """The five bytes that stand before a message of schema `name` on the wire."""
    return _HEADER.pack(0, schema_ids()[name])


def encode(name: str, value: Any) -> bytes:
    """A message in Confluent wire format."""
    return header(name) + encode_bare(name, value)


def split(message: bytes) -> tuple[str, bytes]:
    """Schema name and bare bytes of a message in wire format. Raises CodecError when the header is not one of ours."""
    if len(message) < _HEADER.size:
        raise CodecError("shorter than a Confluent header")
    magic, number = _HEADER.unpack_from(message)
    name = _names().get(number)
    if magic != 0 or name is None:
        raise CodecError(f"magic {magic}, schema id {number}: not in Confluent wire format, or an unknown schema")
    return name, message[_HEADER.size :]


def decode(name: str, message: bytes) -> Any:
    """The value of a message that must be of schema `name`. Raises CodecError."""
    found, bare = split(message)
    if found != name:
        raise CodecError(f"a {found} where a {name} was expected")
    return decode_bare(name, bare)
