"""Rows of table `rates_log`: what stands beside the emission of a quantity, by the rules that the ledger brings."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pyarrow as pa

from carbon.ledger.beside import Basis, Rates
from carbon.ledger.structure import basis_of_bill
from carbon.registry import Registry
from carbon.submission import Submission

RATES = pa.schema(
    [
        ("rule", pa.string()),
        ("unit", pa.string()),
        ("scale", pa.uint8()),
        ("factors", pa.string()),
        ("standard_coal", pa.string()),
        ("market", pa.string()),
    ]
)


def rows_of(registry: Registry, rates: Rates) -> Iterator[dict[str, Any]]:
    """The rows of a registry that `rates` knows: a point's rule by the set in force."""
    for point in registry.points.values():
        if point.emission.gas:
            yield row_of(Basis(point.rule, *point.quantity, registry.factors.digest), point.rule, rates)


def row_of_bill(bill: Submission, leaf_index: int, rates: Rates) -> dict[str, Any]:
    """The row of accepted activity data at a place in the log."""
    return row_of(basis_of_bill(bill.content), f"leaf {leaf_index}", rates)


def row_of(basis: Basis, rule: str, rates: Rates) -> dict[str, Any]:
    """The row of a basis under the rule's name in the tables."""
    rate = rates.rate(basis)
    coal, market = (None, None) if rate is None else (rate.standard_coal, rate.market)
    exact = {"standard_coal": _text(coal), "market": _text(market)}
    return {"rule": rule, "unit": basis.unit, "scale": basis.scale, "factors": basis.factors.hex()} | exact


def _text(rate: Fraction | None) -> str:
    return "" if rate is None else f"{rate.numerator}/{rate.denominator}"
