"""Quantities of claims: integers of a declared scale and unit, of a dimension that fits, within bounds."""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from carbon.claims.ground import name
from carbon.quantity import QuantityError, ratio
from carbon.refusal import Refusal
from carbon.registry import MAX_SCALE

MOST_OF: Mapping[str, int] = {"Wh": 10**16, "t": 10**10, "m3": 10**13, "Nm3": 10**13, "1": 10**15}
"""The most of each dimension in one submission, by a unit of it; declared: more than a country uses in a year."""
PRODUCTS: Mapping[str, str] = {
    "electricity": "Wh",
    "heat": "Wh",
    "clinker": "t",
    "cement": "t",
    "steel": "t",
    "aluminium": "t",
    "paper": "t",
    "glass": "t",
}
"""What products are measured in, by the same units; any other product in whichever it states."""


@lru_cache(maxsize=1024)
def measured_in(unit: str) -> str | None:
    """The unit of `MOST_OF` that measures the same as a unit, which is one word; None for any other."""
    if unit == "1" or name(unit):
        return "1" if unit == "1" else None
    return next((base for base in MOST_OF if base != "1" and _measures(unit, base)), None)


def _measures(unit: str, base: str) -> bool:
    try:
        return ratio(unit, base) > 0
    except QuantityError:
        return False


def quantity_refusal(quantity: int, scale: int, unit: str, least: int) -> Refusal:
    """So much of a unit, `least` 0 or 1 of the integer."""
    base = measured_in(unit)
    if base is None or scale not in range(MAX_SCALE + 1):
        return Refusal.WRONG_UNIT
    if quantity < least:
        return Refusal.NOT_POSITIVE
    amount = Fraction(quantity, 10**scale) * ratio(unit, base)
    return Refusal.ABSURD if amount > MOST_OF[base] else Refusal.PASS


def output_refusal(quantity: int, scale: int, unit: str, product: str) -> Refusal:
    """So much of a product, in what it is measured in."""
    if measured_in(unit) != PRODUCTS.get(product, measured_in(unit)):
        return Refusal.WRONG_UNIT
    return quantity_refusal(quantity, scale, unit, 0)
