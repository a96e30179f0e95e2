"""Quantities of claims: integers of a declared scale and unit."""

from carbon.claims.ground import not_negative
from carbon.refusal import Refusal
from carbon.registry import I64_MAX, MAX_SCALE


def scale_refusal(scale: int) -> Refusal:
    """Decimal places that 64 bits hold."""
    return Refusal.PASS if scale in range(MAX_SCALE + 1) else Refusal.WRONG_UNIT


def output_refusal(quantity: int, scale: int, unit: str, product: str) -> Refusal:
    """So much of a product."""
    return scale_refusal(scale) or not_negative(quantity, I64_MAX)
