"""Extracts for finance, tax and green finance: plain rows, each with the accounts behind it and how far to trust it.

Whoever reads a row sees whether a verifier found the emission and which factor rows of confidence D are in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carbon.compliance import closing_cost_fen
from carbon.regulator.figures import Performance, decimal
from carbon.regulator.rating import Rating

FISCAL = ("subject", "year", "item", "amount_g", "amount_fen", "accounts", "verified", "from_memory", "note")
TAX = ("subject", "year", "item", "amount_g", "amount_fen", "accounts", "verified", "from_memory", "note")
GREEN_FINANCE = (
    *("subject", "year", "emission_g", "t_per_10000_cny", "g_per_unit", "unit", "grade", "colour", "why"),
    *("accounts", "verified", "from_memory"),
)
"""Columns of the three tables; amounts in g CO2e and 0.01 CNY."""


@dataclass(frozen=True)
class YearOfAccounts:
    """What a subject's accounts say of a year: g CO2e, 0.01 CNY."""

    subject: str
    year: int
    allocated_g: int = 0
    sold_g: int = 0
    sold_fen: int = 0
    bought_g: int = 0
    bought_fen: int = 0
    fines_fen: int = 0
    rewards_fen: int = 0
    accounts: tuple[str, ...] = ()
    """The accounts that it was read from."""
    verified: bool = False
    from_memory: tuple[str, ...] = ()
    """Factor rows of confidence D that any of it rests on."""


def fiscal(years: Iterable[YearOfAccounts], price_fen_t: int) -> list[dict[str, Any]]:
    """What was given for nothing, at a declared price, and what was fined and rewarded (columns FISCAL)."""
    rows = []
    for each in years:
        value = closing_cost_fen(each.allocated_g, price_fen_t)
        priced = f"at a declared price of {price_fen_t} fen a tonne"
        rows.append(_row(each, "allocated for nothing", each.allocated_g, value, priced))
        rows.append(_row(each, "fines", None, each.fines_fen, "decided"))
        rows.append(_row(each, "rewards", None, each.rewards_fen, "decided"))
    return rows


def tax(years: Iterable[YearOfAccounts]) -> list[dict[str, Any]]:
    """What allowances were sold and bought for (columns TAX)."""
    rows = []
    for each in years:
        rows.append(_row(each, "allowances sold", each.sold_g, each.sold_fen, "as both sides signed"))
        rows.append(_row(each, "allowances bought", each.bought_g, each.bought_fen, "as both sides signed"))
    return rows


def _row(year: YearOfAccounts, item: str, amount_g: int | None, amount_fen: int, note: str) -> dict[str, Any]:
    return {
        "subject": year.subject,
        "year": year.year,
        "item": item,
        "amount_g": amount_g,
        "amount_fen": amount_fen,
        **_sources(year),
        "note": note,
    }


def green_finance(
    years: Iterable[YearOfAccounts],
    performances: Mapping[str, Performance],
    grades: Mapping[str, Rating],
    colours: Mapping[str, Rating],
) -> list[dict[str, Any]]:
    """What a bank asks for: emission, intensity, grade and colour with their reasons (columns GREEN_FINANCE)."""
    return [_financed(each, performances[each.subject], grades[each.subject], colours[each.subject]) for each in years]


def _financed(year: YearOfAccounts, performance: Performance, grade: Rating, colour: Rating) -> dict[str, Any]:
    per_gdp, per_output, product = performance.per_gdp, performance.per_output, performance.product
    return {
        "subject": year.subject,
        "year": year.year,
        "emission_g": performance.emission_g,
        "t_per_10000_cny": None if per_gdp is None else decimal(per_gdp),
        "g_per_unit": None if per_output is None else decimal(per_output),
        "unit": None if product is None else f"{product[0]} ({product[1]})",
        "grade": grade.outcome,
        "colour": colour.outcome,
        "why": colour.reasons,
        **_sources(year),
    }


def _sources(year: YearOfAccounts) -> dict[str, Any]:
    accounts, rows = " ".join(year.accounts), " ".join(year.from_memory)
    return {"accounts": accounts, "verified": year.verified, "from_memory": rows}
