"""The year's cycle: who states what and when, from the plan to the closing and the next year's cut."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from carbon import compliance, rules
from carbon.compliance import GRAMS_PER_TONNE, ComplianceError
from carbon.factors import FactorSet
from carbon.ledger.book import Book
from carbon.regulator.conduct import Fact, proposals
from infra.compliance import contents
from infra.compliance.market import CHANNEL, Market, Stated, market_of
from infra.compliance.scenario import Enterprise, Scenario, Trade, fen


class NotAllowedError(Exception):
    """Rows of confidence D that the year needs and that nobody allowed by name."""

    def __init__(self, rows: list[str]) -> None:
        super().__init__("rows of confidence D, from memory, that the scenario doesn't allow by name")
        self.rows = rows


@dataclass
class Year:
    """A year as it is played through."""

    scenario: Scenario
    market: Market
    deadline: date
    from_memory: list[str]
    """Every row of confidence D that any figure rests on."""
    missing: dict[str, int] = field(default_factory=dict)
    """What each enterprise had not surrendered when the deadline had passed, g CO2e."""

    @property
    def book(self) -> Book:
        """The books of all."""
        return self.market.book

    @property
    def factors(self) -> FactorSet:
        """The factor set that it is computed by."""
        return self.market.registry.factors

    def one(self, kind: str, subject: str) -> Stated | None:
        """The last statement of a kind about a subject that was accepted."""
        found = self.market.accepted(kind, subject)
        return found[-1] if found else None


def run(scenario: Scenario, channel: bytes = CHANNEL) -> Year:
    """Play a scenario through, with signatures for a channel.

    Raises NotAllowedError, ComplianceError, FactorError, RegistryError.
    """
    market = market_of(scenario, channel)
    factors, rows = market.registry.factors, needed_rows(scenario)
    missing = compliance.not_allowed(rows, factors, scenario.allowed)
    if missing:
        raise NotAllowedError(missing)
    deadline = compliance.deadline(scenario.year, factors, scenario.allowed)
    if (scenario.price.month.year, scenario.price.month.month) != compliance.price_month(deadline):
        raise ComplianceError(f"the price is not that of the month before the deadline {deadline}")
    if scenario.dates.decision <= deadline:
        raise ComplianceError(f"decisions on {scenario.dates.decision}, when the deadline is {deadline}")
    year = Year(scenario, market, deadline, list(factors.untrusted(rows)))
    for _, act in sorted(_acts(year), key=lambda act: act[0]):
        act()
    return year


def needed_rows(scenario: Scenario) -> list[str]:
    """The rows of the factor set that a scenario is computed from."""
    rows = [compliance.deadline_row(scenario.year), *compliance.YEAR_ROWS]
    for each in scenario.enterprises:
        rows += compliance.benchmark_rows(contents.benchmarked(each, each.output, scenario.year))
        if each.next_output is not None:
            rows += compliance.benchmark_rows(contents.benchmarked(each, each.next_output, scenario.year + 1))
    return rows


Step = Callable[[Year, Enterprise, date], None]


def _acts(year: Year) -> Iterator[tuple[date, Callable[[], None]]]:
    """Everything that is stated, with its day; what is of one day in this order."""
    scenario, dates = year.scenario, year.scenario.dates
    for trade in scenario.trades:
        yield trade.on, partial(_trade, year, trade)
    yield dates.price, partial(_price, year)
    for name, step in _STEPS.items():
        day = getattr(dates, name)
        for enterprise in scenario.enterprises:
            yield day, partial(step, year, enterprise, day)


def _trade(year: Year, trade: Trade) -> None:
    content = contents.transfer(trade, year.scenario.year)
    year.market.state(trade.on, "transfer", content, trade.seller, trade.buyer)


def _price(year: Year) -> None:
    year.market.state(year.scenario.dates.price, "price", contents.price(year.scenario), "exchange")


def _plan(year: Year, enterprise: Enterprise, day: date) -> None:
    year.market.state(day, "plan", contents.plan(enterprise, year.scenario.year), enterprise.id)


def _pre_allocation(year: Year, enterprise: Enterprise, day: date) -> None:
    scenario = year.scenario
    content = contents.allocation(
        *(enterprise, scenario.year, "PRE", enterprise.planned),
        factors=year.factors,
        allowed=scenario.allowed,
        share_percent=scenario.pre_percent,
    )
    year.market.state(day, "allocation", content, "authority")


def _outputs(year: Year, enterprise: Enterprise, day: date) -> None:
    for content in contents.outputs(enterprise, year.scenario):
        year.market.state(day, "output", content, enterprise.id)
    year.market.state(day, "gdp", contents.gdp(enterprise, year.scenario), "statistics")


def _verification(year: Year, enterprise: Enterprise, day: date) -> None:
    year.market.state(day, "verification", contents.verification(enterprise, year.scenario.year), "verifier")


def _final_allocation(year: Year, enterprise: Enterprise, day: date) -> None:
    content = contents.allocation(
        *(enterprise, year.scenario.year, "FINAL", enterprise.output),
        factors=year.factors,
        allowed=year.scenario.allowed,
    )
    year.market.state(day, "allocation", content, "authority")


def _offsets(year: Year, enterprise: Enterprise, day: date) -> None:
    if enterprise.offsets_t:
        first = 1 + sum(
            one.submission.content["count"] for one in year.market.stated if one.submission.kind == "offset"
        )
        year.market.state(day, "offset", contents.offset(enterprise, year.scenario.year, first), "ccer-registry")


def _retirement(year: Year, enterprise: Enterprise, day: date) -> None:
    issued = year.one("offset", enterprise.id)
    if issued is not None:
        content = contents.retirement(issued.submission.content, year.scenario.year)
        year.market.state(day, "retirement", content, enterprise.id)


def _surrender(year: Year, enterprise: Enterprise, day: date) -> None:
    content = contents.surrender(enterprise.id, year.scenario.year, year.book)
    if content is not None:
        year.market.state(day, "surrender", content, enterprise.id)


def _decision(year: Year, enterprise: Enterprise, day: date) -> None:
    year.missing[enterprise.id] = missing_g(year, enterprise.id)
    _decide(year, facts(year, enterprise), day)


def _correction(year: Year, enterprise: Enterprise, day: date) -> None:
    if enterprise.corrects:
        _surrender(year, enterprise, day)


def _refusal(year: Year, enterprise: Enterprise, day: date) -> None:
    missing = year.book.open_need(enterprise.id, year.scenario.year)
    if missing and not enterprise.corrects:
        records = _commitments(year, enterprise.id, "verification", "surrender", "decision")
        fact = Fact(enterprise.id, year.scenario.year, "refused_correction", {"shortfall_g": missing}, records)
        _decide(year, [fact], day)


def _closing(year: Year, enterprise: Enterprise, day: date) -> None:
    scenario = year.scenario
    content = contents.closing(enterprise.id, scenario.year, year.book, year.factors, scenario.allowed)
    year.market.state(day, "closing", content, "authority")


def _next_allocation(year: Year, enterprise: Enterprise, day: date) -> None:
    if enterprise.next_output is None:
        return
    decided = [one for one in year.market.accepted("decision", enterprise.id) if one.submission.content["cut_g"]]
    cut = (decided[-1].submission.content["cut_g"], decided[-1].commitment) if decided else None
    content = contents.allocation(
        *(enterprise, year.scenario.year + 1, "FINAL", enterprise.next_output),
        factors=year.factors,
        allowed=year.scenario.allowed,
        cut=cut,
    )
    year.market.state(day, "allocation", content, "authority")


_STEPS: dict[str, Step] = {
    "plan": _plan,
    "pre_allocation": _pre_allocation,
    "outputs": _outputs,
    "verification": _verification,
    "final_allocation": _final_allocation,
    "offsets": _offsets,
    "retirement": _retirement,
    "surrender": _surrender,
    "decision": _decision,
    "correction": _correction,
    "refusal": _refusal,
    "closing": _closing,
    "next_allocation": _next_allocation,
}
"""What is done for each enterprise, by the name of its date."""


def missing_g(year: Year, subject: str) -> int:
    """What had not been surrendered when the deadline had passed, from what was accepted until then, g CO2e."""
    of_year = [
        one
        for kind in ("retirement", "surrender")
        for one in year.market.accepted(kind, subject)
        if one.day <= year.deadline and one.submission.content["year"] == year.scenario.year
    ]
    offsets = sum(one.submission.content.get("count", 0) for one in of_year)
    surrendered = sum(line["amount_g"] for one in of_year for line in one.submission.content.get("lines", ()))
    verified = year.one("verification", subject)
    need = verified.submission.content["emissions_g"] if verified is not None else 0
    return compliance.shortfall_g(need, offsets, surrendered)


def facts(year: Year, enterprise: Enterprise) -> list[Fact]:
    """What the ledger says of an enterprise's year after the deadline."""
    subject, price = enterprise.id, fen(year.scenario.price.cny_t)
    verified, missing = enterprise.verified_t * GRAMS_PER_TONNE, year.missing[subject]
    records = _commitments(year, subject, "verification", "retirement", "surrender")
    fact = partial(Fact, subject, year.scenario.year)
    if missing:
        return [fact("missed_surrender", {"shortfall_g": missing, "price_fen_t": price}, records)]
    figures = {"planned_g": enterprise.planned_t * GRAMS_PER_TONNE, "verified_g": verified}
    return [
        fact("surrendered_on_time", {"need_g": verified}, records),
        fact("reduction", figures, _commitments(year, subject, "plan", "verification")),
    ]


def _commitments(year: Year, subject: str, *kinds: str) -> tuple[bytes, ...]:
    return tuple(one.commitment for kind in kinds for one in year.market.accepted(kind, subject))


def _decide(year: Year, found: list[Fact], day: date) -> None:
    for content in proposals(found, rules.conduct(), year.factors, year.scenario.allowed):
        year.market.state(day, "decision", content, "authority")
