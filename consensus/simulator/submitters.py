"""Submitters that lie. Honest ones number their batches 1, 2, 3, … and show them to all.

Whether a liar's own batches are ever recorded is nobody's concern; what is recorded is recorded once, and the honest
streams go on.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from consensus.simulator.application import RECORD_BYTES

ROGUE = "rogue"
"""The submitter that lies."""


class Offer(NamedTuple):
    """A batch of the rogue's stream, and the share of the members that it is shown to."""

    number: int
    body: bytes
    share: float = 1.0


Rogue = Callable[[Random], list[Offer]]
"""A way to lie."""


def _body(rng: Random, records: int = 2) -> bytes:
    return rng.randbytes(RECORD_BYTES * records)


def two_batches_of_one_number(rng: Random) -> list[Offer]:
    """Rivals for the second number, more of them than are held, and the first and third."""
    return [Offer(number, _body(rng)) for number in (1, 2, 2, 2, 2, 2, 2, 3)]


def numbers_left_out(rng: Random) -> list[Offer]:
    """A stream with gaps, near and far."""
    return [Offer(number, _body(rng)) for number in (1, 3, 4, 1_000, 1 << 40)]


def replays(rng: Random) -> list[Offer]:
    """The same batches again and again."""
    first, second = Offer(1, _body(rng)), Offer(2, _body(rng))
    return [first, second, first, second, first]


def malformed_records(rng: Random) -> list[Offer]:
    """Bodies that are no whole records, or none; records that every member refuses."""
    return [Offer(1, _body(rng)[:-3]), Offer(1, b""), Offer(1, bytes(RECORD_BYTES * 4)), Offer(2, _body(rng))]


def too_many_records(rng: Random) -> list[Offer]:
    """More than a block can hold, and a batch behind it."""
    return [Offer(1, _body(rng, 17)), Offer(2, _body(rng, 4_000)), Offer(1, _body(rng, 16))]


def shown_to_some(rng: Random) -> list[Offer]:
    """Bodies that some members never get from the topic."""
    return [Offer(number, _body(rng), rng.choice((0.3, 0.6, 0.9))) for number in (1, 2, 3)]


def beyond_the_quota(rng: Random) -> list[Offer]:
    """More than a submitter may have waiting, and nothing that could be ordered."""
    return [Offer(number, _body(rng, 1)) for number in range(2, 22)]


ROGUES: tuple[Rogue, ...] = (
    two_batches_of_one_number,
    numbers_left_out,
    replays,
    malformed_records,
    too_many_records,
    shown_to_some,
    beyond_the_quota,
)
