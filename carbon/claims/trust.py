"""Rows of the factor set that a claim is computed from: known, and trusted or allowed by name."""

from collections.abc import Collection, Iterable

from carbon.factors import FactorError, FactorSet
from carbon.refusal import Refusal


def rows_refusal(rows: Iterable[str], allowed: Collection[str], factors: FactorSet) -> Refusal:
    """Whether the set has them, and each of confidence D is allowed."""
    try:
        found = [(row, factors.row(row)) for row in rows]
    except FactorError:
        return Refusal.UNKNOWN_FACTOR
    trusted = all(factor.confidence in "ABC" or row in allowed for row, factor in found)
    return Refusal.PASS if trusted else Refusal.UNTRUSTED_FACTOR
