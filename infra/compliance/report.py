"""What a year that was played through comes to, as rows: integers of g CO2e, 0.01 CNY and whole credits.

`from_memory` names the factor rows of confidence D that a figure rests on.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from carbon import compliance, rules
from carbon.compliance import FEN, GRAMS_PER_TONNE
from carbon.ledger import chart
from carbon.regulator.figures import Performance, decimal
from carbon.regulator.rating import ratings
from carbon.regulator.totals import ranked_by_output
from infra.compliance.contents import ELECTRICITY, HEAT
from infra.compliance.cycle import Year
from infra.compliance.scenario import Enterprise, fen

Row = dict[str, Any]
STATED = ("on", "party", "kind", "subject", "verdict")
BOOKS = ("account", "debit", "credit", "unit", "from_memory")
DECISIONS = ("on", "subject", "rule", "amount_fen", "cut_g", "from_memory")
RATINGS = ("subject", "t_per_mwh", "place", "of", "t_per_10000_cny", "grade", "colour", "from_memory")
UNMARKED = frozenset({"planned", "verified emission", "offsets that may count", "offsets retired", "bought", "sold"})
"""Figures that rest on no benchmark and no deadline."""
_MARKED_ACCOUNTS = frozenset(
    {"allowances", "banked", "expired", "issued", "surrendered", "due", "shortfall", "fines", "treasury"}
)


class _Figure(NamedTuple):
    name: str
    unit: str
    of: Callable[[Year, Enterprise], int | None]


def stated(year: Year) -> list[Row]:
    """Every statement with its verdict."""
    return [
        {"on": one.day.isoformat(), "party": one.submission.party, "kind": one.submission.kind}
        | {"subject": one.submission.subject, "verdict": "accepted" if not one.refusal else one.refusal.label}
        for one in year.market.stated
    ]


def figures(year: Year) -> list[Row]:
    """A row a figure, a column an enterprise: `figure`, `unit`, the enterprises' ids, `from_memory`."""
    return [
        {"figure": figure.name, "unit": figure.unit}
        | {each.id: figure.of(year, each) for each in year.scenario.enterprises}
        | {"from_memory": [] if figure.name in UNMARKED else year.from_memory}
        for figure in _FIGURES
    ]


def books(year: Year) -> list[Row]:
    """Every account that isn't empty."""
    return [
        {"account": name, "debit": max(0, balance), "credit": max(0, -balance), "unit": chart.parse(name).unit}
        | {"from_memory": year.from_memory if chart.parse(name).kind in _MARKED_ACCOUNTS else []}
        for name, balance in sorted(year.book.balances.items())
        if balance
    ]


def unbalanced(year: Year) -> dict[str, int]:
    """Debits less credits of all accounts by unit: 0 for each."""
    sums: dict[str, int] = {}
    for row in books(year):
        sums[row["unit"]] = sums.get(row["unit"], 0) + row["debit"] - row["credit"]
    return sums


def decisions(year: Year) -> list[Row]:
    """What was decided, by which rule and on what grounds."""
    names = ("subject", "rule", "outcome", "amount_fen", "cut_g", "reasons")
    return [
        {"on": one.day.isoformat(), **{name: one.submission.content[name] for name in names}}
        | {"from_memory": year.from_memory}
        for one in year.market.stated
        if one.submission.kind == "decision" and not one.refusal
    ]


def rated(year: Year) -> list[Row]:
    """Intensity, rank, grade and colour of each enterprise, by the default rules, which no authority issued."""
    performances = [_performance(year, each) for each in year.scenario.enterprises]
    grades, colours = (ratings(performances, rules.scale(name)) for name in ("grade", "colour"))
    places = {place.subject: place for place in ranked_by_output(performances)}
    rows = []
    for each in performances:
        place, colour = places.get(each.subject), colours[each.subject]
        rows.append(
            {"subject": each.subject, "place": place and place.place, "of": place and place.of}
            | {"t_per_mwh": None if each.per_output is None else decimal(each.per_output / GRAMS_PER_TONNE)}
            | {"t_per_10000_cny": None if each.per_gdp is None else decimal(each.per_gdp)}
            | {"grade": grades[each.subject].outcome, "colour": colour.outcome, "why": colour.reasons}
            | {"from_memory": year.from_memory}
        )
    return rows


def _performance(year: Year, enterprise: Enterprise) -> Performance:
    need, missing = enterprise.verified_t * GRAMS_PER_TONNE, year.missing[enterprise.id]
    made = ((ELECTRICITY, enterprise.output.electricity_mwh), (HEAT, enterprise.output.heat_gj))
    return Performance(
        enterprise.id,
        need,
        region=year.scenario.region,
        sector=enterprise.sector,
        outputs={product: Fraction(quantity) for product, quantity in made if quantity},
        gdp_fen=enterprise.value_added_cny * FEN,
        planned_g=enterprise.planned_t * GRAMS_PER_TONNE,
        held_g=need - missing,
        due_g=need,
        missed_surrenders=int(missing > 0),
        verified=True,
    )


def _allocated(stage: str, later: int = 0) -> Callable[[Year, Enterprise], int | None]:
    def amount(year: Year, enterprise: Enterprise) -> int | None:
        given = [one.submission.content for one in year.market.accepted("allocation", enterprise.id)]
        stated = (stage, year.scenario.year + later)
        return next((each["amount_g"] for each in given if (each["stage"], each["year"]) == stated), None)

    return amount


def _traded(side: str) -> Callable[[Year, Enterprise], int]:
    def amount(year: Year, enterprise: Enterprise) -> int:
        sales = (
            one.submission.content
            for one in year.market.stated
            if one.submission.kind == "transfer" and not one.refusal
        )
        return sum(sale["amount_g"] for sale in sales if sale[side] == enterprise.id)

    return amount


def _surrendered(late: bool) -> Callable[[Year, Enterprise], int]:
    def amount(year: Year, enterprise: Enterprise) -> int:
        made = (one for one in year.market.accepted("surrender", enterprise.id) if (one.day > year.deadline) == late)
        return sum(line["amount_g"] for one in made for line in one.submission.content["lines"])

    return amount


def _held(kind: str, *parts: str) -> Callable[[Year, Enterprise], int]:
    return lambda year, enterprise: year.book.held(kind, enterprise.id, year.scenario.year, *parts)


def _fine(end: int) -> Callable[[Year, Enterprise], int]:
    def amount(year: Year, enterprise: Enterprise) -> int:
        price = fen(year.scenario.price.cny_t)
        return compliance.surrender_fine(year.missing[enterprise.id], price, year.factors, year.scenario.allowed)[end]

    return amount


def _cost(year: Year, enterprise: Enterprise) -> int:
    return compliance.closing_cost_fen(year.missing[enterprise.id], fen(year.scenario.declared_price_cny))


def _cut(year: Year, enterprise: Enterprise) -> int:
    return sum(one.submission.content["cut_g"] for one in year.market.accepted("decision", enterprise.id))


def _cap(year: Year, enterprise: Enterprise) -> int:
    return compliance.offset_cap(enterprise.verified_t * GRAMS_PER_TONNE, year.factors, year.scenario.allowed)


G, CREDITS, MONEY = "g", "t", "fen"
_FIGURES = (
    _Figure("planned", G, lambda _, each: each.planned_t * GRAMS_PER_TONNE),
    _Figure("allocated in advance", G, _allocated("PRE")),
    _Figure("allocated in all", G, _allocated("FINAL")),
    _Figure("verified emission", G, lambda _, each: each.verified_t * GRAMS_PER_TONNE),
    _Figure("offsets that may count", CREDITS, _cap),
    _Figure("offsets retired", CREDITS, _held("retired", "compliance")),
    _Figure("bought", G, _traded("buyer")),
    _Figure("sold", G, _traded("seller")),
    _Figure("surrendered by the deadline", G, _surrendered(late=False)),
    _Figure("missing at the deadline", G, lambda year, each: year.missing[each.id]),
    _Figure("cost of closing it at the declared price", MONEY, _cost),
    _Figure("least fine", MONEY, _fine(0)),
    _Figure("most fine", MONEY, _fine(1)),
    _Figure("fined", MONEY, _held("fines")),
    _Figure("rewarded", MONEY, _held("rewards")),
    _Figure("surrendered later", G, _surrendered(late=True)),
    _Figure("short at the closing", G, _held("shortfall")),
    _Figure("cut of the next year's allowances", G, _cut),
    _Figure("carried on", G, _held("banked")),
    _Figure("expired", G, _held("expired")),
    _Figure("allocated for the next year", G, _allocated("FINAL", later=1)),
)
