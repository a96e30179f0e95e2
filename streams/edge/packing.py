"""Packing, pure: raw readings to integers of their points' scales, in columns, chained to the packet before."""

from collections.abc import Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from hashlib import sha256
from typing import NamedTuple

from carbon.packet import NOT_A_NUMBER, ZERO_DIGEST, encode_body
from streams.edge.sources import RawReading

I64_MAX = 2**63 - 1
_I64_DIGITS = 19
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Head(NamedTuple):
    """The end of a gateway's chain: the last packet's sequence, 0 before the first, and its body's SHA-256."""

    sequence: int = 0
    digest: bytes = ZERO_DIGEST

    def after(self, body: bytes) -> "Head":
        """The head once `body` is the next packet."""
        return Head(self.sequence + 1, sha256(body).digest())


def scaled(value: Decimal | None, scale: int) -> int | None:
    """`value` in units of 10^-scale, rounded half-even; None for what is no number or does not fit in 64 bits."""
    if value is None or not value.is_finite():
        return None
    if not value:
        return 0
    # the magnitude first: a short text such as 1E999999 must not become a million digits
    magnitude = value.adjusted() + scale
    if magnitude >= _I64_DIGITS:
        return None
    if magnitude < -1:
        return 0
    if scale:
        value = value.scaleb(scale, _EXACT)
    whole = int(value.to_integral_value(ROUND_HALF_EVEN))
    return whole if abs(whole) <= I64_MAX else None


def columns(readings: Sequence[RawReading], scales: Mapping[str, int]) -> tuple[list[str], dict[str, list[int]]]:
    """The point ids in order of appearance, and the columns point, at, value and flag of n integers each.

    A point without a declared scale is packed in whole units. Not a number becomes value 0 with flag X.
    """
    index: dict[str, int] = {}
    point = [index.setdefault(reading.point, len(index)) for reading in readings]
    values = [scaled(reading.value, scales.get(reading.point, 0)) for reading in readings]
    flag = [NOT_A_NUMBER if value is None else ord(r.flag) for value, r in zip(values, readings, strict=True)]
    at = [reading.at for reading in readings]
    return list(index), {"point": point, "at": at, "value": [value or 0 for value in values], "flag": flag}


def next_body(
    head: Head,
    readings: Sequence[RawReading],
    scales: Mapping[str, int],
    *,
    gateway: str,
    run: int,
    sent_at: int,
    salt: bytes,
) -> bytes:
    """The body, ready to be signed, of the packet behind `head`. `salt` is 16 fresh secret bytes."""
    points, packed = columns(readings, scales)
    return encode_body(
        gateway=gateway,
        run=run,
        sequence=head.sequence + 1,
        previous=head.digest,
        sent_at=sent_at,
        salt=salt,
        points=points,
        columns=packed,
    )
