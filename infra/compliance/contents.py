"""What the parties of a scenario state, as contents of submissions (schemas submission-<kind>)."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from carbon import calendar, compliance
from carbon.compliance import FEN, GRAMS_PER_TONNE
from carbon.factors import FactorSet
from carbon.ledger.book import Book
from infra.compliance.scenario import Enterprise, Output, Scenario, Trade, fen

SCHEME = "CCER"
DOCUMENT = sha256(b"synthetic").digest()
"""Stands for the digest of a document."""
WH_PER_MWH, MJ_PER_GJ = 10**6, 10**3
MONTHS = 12
ELECTRICITY, HEAT = ("electricity", "MWh"), ("heat", "GJ")
"""Products, each with the unit that it is counted in."""

Content = dict[str, Any]


def benchmarked(enterprise: Enterprise, output: Output, year: int) -> list[Content]:
    """Its unit's output with its benchmarks, as an allocation states it."""
    row = f"{compliance.BENCHMARKS}.{year}.{enterprise.unit_class}"
    amounts = {"electricity_wh": output.electricity_mwh * WH_PER_MWH, "heat_mj": output.heat_gj * MJ_PER_GJ}
    rows = {"electricity": f"{row}.elec", "heat": f"{row}.heat"}
    return [{"unit": "1", **rows, **amounts, "correction": enterprise.correction}]


def plan(enterprise: Enterprise, year: int) -> Content:
    """Its planned emission in twelve parts, the rest in December; no output."""
    month, rest = divmod(enterprise.planned_t * GRAMS_PER_TONNE, MONTHS)
    months = [{"emission_g": month + (rest if n == MONTHS else 0), "output": 0} for n in range(1, MONTHS + 1)]
    return {"subject": enterprise.id, "year": year, "months": months, "product": "", "scale": 0, "unit": ""}


def allocation(
    enterprise: Enterprise,
    year: int,
    stage: str,
    output: Output,
    *,
    factors: FactorSet,
    allowed: Collection[str],
    share_percent: int = 100,
    cut: tuple[int, bytes] | None = None,
) -> Content:
    """What an output gives, less the cut that a decision (its commitment) takes off. Raises as `allocation_g`."""
    outputs = benchmarked(enterprise, output, year)
    amount = compliance.allocation_g(year, outputs, factors, share_percent, allowed)
    cut_g, decision = (0, []) if cut is None else (cut[0], [cut[1]])
    used = list(factors.untrusted(compliance.benchmark_rows(outputs)))
    made = {"outputs": outputs, "share_percent": share_percent, "amount_g": max(0, amount - cut_g)}
    off = {"cut_g": cut_g, "decision": decision}
    return {"subject": enterprise.id, "year": year, "stage": stage, **made, **off, "allowed": used}


def outputs(enterprise: Enterprise, scenario: Scenario) -> list[Content]:
    """What it put out in the year, a content a product that it has."""
    made = ((ELECTRICITY, enterprise.output.electricity_mwh), (HEAT, enterprise.output.heat_gj))
    return [
        {**_period(enterprise, scenario), "product": product, "quantity": quantity, "scale": 0, "unit": unit}
        for (product, unit), quantity in made
        if quantity
    ]


def gdp(enterprise: Enterprise, scenario: Scenario) -> Content:
    """Its value added in the year."""
    return {**_period(enterprise, scenario), "amount_fen": enterprise.value_added_cny * FEN}


def _period(enterprise: Enterprise, scenario: Scenario) -> Content:
    start, end = (calendar.year_start(year, scenario.utc_offset_minutes) for year in (scenario.year, scenario.year + 1))
    return {"subject": enterprise.id, "start": start, "end": end, "document": DOCUMENT}


def verification(enterprise: Enterprise, year: int) -> Content:
    """Its emission as the verifier finds it: CO2 of combustion."""
    grams = enterprise.verified_t * GRAMS_PER_TONNE
    source = {"source": "combustion", "gas": "CO2", "scope": 1, "emission_g": grams}
    return {"subject": enterprise.id, "year": year, "emissions_g": grams, "sources": [source], "document": DOCUMENT}


def offset(enterprise: Enterprise, year: int, first: int) -> Content:
    """The credits that it will retire, from a serial number on."""
    count = enterprise.offsets_t
    amounts = {"first": first, "count": count}
    return {"subject": enterprise.id, "scheme": SCHEME, "project": "synthetic", "vintage": year, **amounts}


def retirement(issued: Mapping[str, Any], year: int) -> Content:
    """All credits of an issue, for the year's surrender."""
    names = ("subject", "scheme", "first", "count")
    return {**{name: issued[name] for name in names}, "purpose": "COMPLIANCE", "year": year}


def transfer(trade: Trade, vintage: int) -> Content:
    """A sale on the exchange."""
    amounts = {"amount_g": trade.amount_t * GRAMS_PER_TONNE, "price_fen_t": fen(trade.price_cny)}
    return {"seller": trade.seller, "buyer": trade.buyer, "vintage": vintage, **amounts, "venue": "exchange"}


def surrender(subject: str, year: int, book: Book) -> Content | None:
    """What is still due, as far as it is held, the oldest vintage first; None for nothing."""
    due, lines = book.open_need(subject, year), []
    for vintage, held in book.holdings(subject, year).items():
        amount = min(due, sum(held))
        due -= amount
        if amount:
            lines.append({"vintage": vintage, "amount_g": amount})
    return {"subject": subject, "year": year, "lines": lines} if lines else None


def price(scenario: Scenario) -> Content:
    """The average of a month."""
    month = scenario.price.month
    return {"year": month.year, "month": month.month, "price_fen_t": fen(scenario.price.cny_t)}


def closing(subject: str, year: int, book: Book, factors: FactorSet, allowed: Collection[str]) -> Content:
    """What is short, carried on and expires. Raises ComplianceError, FactorError."""
    held = sum(map(sum, book.holdings(subject, year).values()))
    sold = book.net_sold(subject, year)
    banked = min(held, compliance.banking_cap_g(year, sold, factors, allowed))
    amounts = {"shortfall_g": book.open_need(subject, year), "banked_g": banked, "expired_g": held - banked}
    return {"subject": subject, "year": year, **amounts, "net_sold_g": sold, "allowed": []}
