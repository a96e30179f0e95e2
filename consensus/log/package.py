"""The block-package: a certified block with the salts and payloads behind its leaves, as a member keeps it."""

from typing import NamedTuple

import numpy as np

from carbon.record import encode_long
from consensus.log.follower import LedgerError
from schemas import codec

_LONGER = np.array([1 << bits for bits in range(6, 63, 7)])
"""From which size on Avro takes another byte to say it."""


class Package(NamedTuple):
    """The message of `ledger.blocks`, the salts one behind the other, the payloads in leaf order."""

    block: bytes
    salts: bytes
    payloads: list[bytes]


def read(data: bytes) -> Package:
    """The parts of a package. Raises LedgerError for anything but their canonical encoding."""
    try:
        package = Package(**codec.read_bare("block-package", data))
    except codec.CodecError as error:
        raise LedgerError(str(error)) from error
    # written again it would take three times as long: with all payloads in one block of the array, Avro's other
    # encodings of a size are longer
    block, salts, payloads = package
    start = b"".join((encode_long(len(block)), block, encode_long(len(salts)), salts, encode_long(len(payloads))))
    sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
    size = len(start) + int((sizes + 1 + np.searchsorted(_LONGER, sizes, "right")).sum()) + bool(payloads)
    if len(data) != size or not data.startswith(start):
        raise LedgerError("not the canonical encoding of a block-package")
    return package
