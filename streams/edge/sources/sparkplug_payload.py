"""The payload of Sparkplug B as a protobuf message, with the fields that a host reads (Sparkplug 3.0, 6.4.1).

What is not named here, data sets and templates among it, protobuf keeps as unknown fields.
"""

from decimal import Decimal
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from streams.edge.message import number

PACKAGE = "carbonledger.sparkplug"

INT8, INT16, INT32, INT64, BOOLEAN = 1, 2, 3, 4, 11
_SIGNED = {INT8, INT16, INT32, INT64}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
}
_MESSAGES = {
    "PropertyValue": [("type", 1, "uint32"), ("is_null", 2, "bool"), ("int_value", 3, "uint32")],
    "PropertySet": [("keys", 1, "*string"), ("values", 2, "*PropertyValue")],
    "Metric": [
        ("name", 1, "string"),
        ("alias", 2, "uint64"),
        ("timestamp", 3, "uint64"),
        ("datatype", 4, "uint32"),
        ("is_historical", 5, "bool"),
        ("is_null", 7, "bool"),
        ("properties", 9, "PropertySet"),
        ("int_value", 10, "|uint32"),
        ("long_value", 11, "|uint64"),
        ("float_value", 12, "|float"),
        ("double_value", 13, "|double"),
        ("boolean_value", 14, "|bool"),
        ("string_value", 15, "|string"),
    ],
    "Payload": [("timestamp", 1, "uint64"), ("metrics", 2, "*Metric"), ("seq", 3, "uint64")],
}
"""Name, number and type of each field: * is repeated, | one of the values."""


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package=PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind[0] == "|" for _, _, kind in fields):
            message.oneof_decl.add(name="value")
        for field, place, kind in fields:
            _add(message, field, place, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


def _add(message: Any, name: str, place: int, kind: str) -> None:
    bare = kind.lstrip("*|")
    label = _Field.LABEL_REPEATED if kind[0] == "*" else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=place, label=label, type=_SCALARS.get(bare, _Field.TYPE_MESSAGE))
    if bare not in _SCALARS:
        field.type_name = f".{PACKAGE}.{bare}"
    if kind[0] == "|":
        field.oneof_index = 0


Payload = _payload_class()
"""Raises DecodeError for what is none, like every protobuf message."""


def value(metric: Any, datatype: int) -> Decimal | None:
    """The exact number of a metric; of a float the shortest decimal that means it; None where it is no number.

    A signed integer stands in an unsigned field as its two's complement, a UInt32 in either field.
    """
    kind = metric.WhichOneof("value")
    if kind is None or metric.is_null:
        return None
    stated = getattr(metric, kind)
    match kind:
        case "int_value" | "long_value":
            bits = 32 if kind == "int_value" else 64
            return Decimal(stated - (1 << bits) if datatype in _SIGNED and stated >> (bits - 1) else stated)
        case "float_value":
            return Decimal(str(np.float32(stated)))
        case "double_value":
            return Decimal(repr(stated))
        case "string_value":
            return number(stated)
        case _:
            return None
