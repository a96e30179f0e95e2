"""What a regulator makes of the accounts of its region at a moment: ratings, extracts, measures, proposals."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from carbon import calendar, compliance
from carbon.compliance import ComplianceError
from carbon.ledger.book import Book
from carbon.ledger.reads import View
from carbon.planning.days import year_of
from carbon.registry import Registry
from carbon.regulator import extracts, totals, weather
from carbon.regulator.conduct import Fact, proposals
from carbon.regulator.extracts import YearOfAccounts
from carbon.regulator.figures import Performance, decimal
from carbon.regulator.rating import Rating, ratings
from carbon.regulator.statements import Statements, YearStated
from carbon.rules.conduct import Conduct
from carbon.rules.scale import Scale
from carbon.rules.weather import Weather
from carbon.subjects import regions

EXTRACTS = {"fiscal": extracts.FISCAL, "tax": extracts.TAX, "green-finance": extracts.GREEN_FINANCE}
"""Their columns, by name."""


Yearly = Mapping[tuple[str, int], int]
"""By subject and year."""


def yearly(days: Mapping[str, Mapping[int, int]]) -> tuple[Yearly, Yearly]:
    """What subjects emit in a year, and the last day of it on which they do, of `Structure.days`."""
    emissions: Counter[tuple[str, int]] = Counter()
    recorded: dict[tuple[str, int], int] = {}
    for subject, of_days in days.items():
        for day, grams in of_days.items():
            key = subject, year_of(day)
            emissions[key] += grams
            recorded[key] = max(day, recorded.get(key, day))
    return emissions, recorded


@dataclass(frozen=True)
class Oversight:
    """A region's compliance year as it stands at a moment: whatever is in it that isn't a region itself."""

    region: str
    year: int
    time_ms: int
    registry: Registry
    book: Book
    statements: Statements
    emissions: Yearly
    """What points and bills say that a subject emitted in a year, g CO2e."""
    recorded: Yearly = field(default_factory=dict)
    """The last day of it on which they post something (`carbon.planning.days`)."""

    @classmethod
    def of(cls, view: View, region: str, year: int) -> "Oversight":
        """At the moment of a view."""
        stands = view.registry, view.books.book, view.regulated
        return cls(region, year, view.time_ms, *stands, *yearly(view.structure.days))

    @cached_property
    def subjects(self) -> list[str]:
        """Whoever lies in the region at the moment and emitted or stated something in the year, by name."""
        known = {subject for subject, year in (*self.emissions, *self.statements.years) if year == self.year}
        return sorted(name for name in known if self._lies_in(name))

    def _lies_in(self, name: str) -> bool:
        is_region = self.registry.subjects[name].regional
        return not is_region and self.region in regions(name, self.time_ms, self.registry)

    @cached_property
    def performances(self) -> list[Performance]:
        """Each of them in the year."""
        return [self._performance(name) for name in self.subjects]

    def _performance(self, name: str) -> Performance:
        emitted, holdings = self.emissions.get((name, self.year), 0), self.book.holdings(name, self.year)
        is_given = bool(holdings) or (name, self.year) in self.book.allocated
        is_verified = (name, self.year) in self.book.verified
        return self.statements.performance(
            *(name, self.year, emitted, self.emissions.get((name, self.year - 1))),
            until=self.recorded.get((name, self.year)),
            region=self.region,
            sector=self.registry.subjects[name].sector or "",
            held_g=sum(map(sum, holdings.values())) if is_given else None,
            due_g=self.book.open_need(name, self.year) if is_verified else emitted,
        )

    def rated(self, name: str) -> dict[str, Rating]:
        """Ratings on the scale `grade` or `colour` in force, by subject."""
        scale = self.statements.rules[name]
        assert isinstance(scale, Scale)
        return ratings(self.performances, scale)

    def ranking(self) -> Iterator[dict[str, Any]]:
        """A row each: figures, rank per output, grade and colour with the findings that made them.

        Intensities are decimals for people, and `from_memory` the factor rows of confidence D behind a row.
        """
        grades, colours = self.rated("grade"), self.rated("colour")
        places = {place.subject: place for place in totals.ranked_by_output(self.performances)}
        for each in self.performances:
            place, grade, colour = places.get(each.subject), grades[each.subject], colours[each.subject]
            yield {
                "subject": each.subject,
                "sector": each.sector or None,
                "emission_g": each.emission_g,
                "verified": each.verified,
                "product": each.product and f"{each.product[0]} ({each.product[1]})",
                "g_per_unit": None if each.per_output is None else decimal(each.per_output),
                "place": place and place.place,
                "of": place and place.of,
                "t_per_10000_cny": None if each.per_gdp is None else decimal(each.per_gdp),
                "grade": grade.outcome,
                "grade_why": grade.reasons,
                "colour": colour.outcome,
                "why": colour.reasons,
                "from_memory": " ".join(self.statements.accounts(each.subject, self.year).from_memory),
            }

    @cached_property
    def total(self) -> totals.Total:
        """The region as a whole; its value added is what is stated of it, if anything is."""
        stated = self.statements.years.get((self.region, self.year))
        return totals.total(self.region, self.performances, stated.gdp_fen if stated else None)

    @property
    def accounts(self) -> list[YearOfAccounts]:
        """Their accounts' year."""
        return [self.statements.accounts(name, self.year) for name in self.subjects]

    def extract(self, name: str, price_fen_t: int) -> list[dict[str, Any]]:
        """One of the extracts, by its name in `EXTRACTS`; what is given for nothing is valued at a declared price."""
        if name == "fiscal":
            return extracts.fiscal(self.accounts, price_fen_t)
        if name == "tax":
            return extracts.tax(self.accounts)
        by_name = {each.subject: each for each in self.performances}
        return extracts.green_finance(self.accounts, by_name, self.rated("grade"), self.rated("colour"))

    def measures(self, level: str) -> list[dict[str, Any]]:
        """Who would limit or stop what at an alert of a level, by the grades of this year."""
        rules = self.statements.rules["weather"]
        assert isinstance(rules, Weather)
        grades = {name: rating.outcome for name, rating in self.rated("grade").items()}
        return weather.measures(level, self.performances, grades, rules)

    def proposals(self, refused: Collection[str] = (), allowed: Collection[str] = ()) -> list[dict[str, Any]]:
        """The decisions that the rules in force propose for the year; `refused` names who refused to correct.

        None before the deadline has passed. Raises ComplianceError, FactorError.
        """
        rules, factors = self.statements.rules["conduct"], self.registry.factors
        assert isinstance(rules, Conduct)
        last_day = compliance.deadline(self.year, factors, allowed)
        end_ms = calendar.month_start(last_day.year, last_day.month, self.statements.utc_offset_minutes)
        end_ms += last_day.day * calendar.DAY_MS
        if self.time_ms < end_ms:
            return []
        price = self.statements.prices.get(compliance.price_month(last_day))
        found = [fact for name in self.subjects for fact in self._facts(name, end_ms, price, name in refused)]
        return proposals(found, rules, factors, allowed)

    def false_data(
        self, gains: Mapping[str, int], refused: Collection[str] = (), allowed: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """The decisions that the rules in force propose for false data that an inspection found.

        `gains` is what each subject gained by them, 0.01 CNY, 0 where that isn't known; `refused` names who refused to
        correct. The inspection stands in no record: the regulator's signature vouches for it. Raises ComplianceError,
        FactorError.
        """
        rules = self.statements.rules["conduct"]
        assert isinstance(rules, Conduct)
        found = [self._false_data(name, gains[name], name in refused) for name in sorted(gains)]
        return proposals(found, rules, self.registry.factors, allowed)

    def _false_data(self, name: str, gain_fen: int, refused: bool) -> Fact:
        stated, after = (self.statements.years.get((name, year), YearStated()) for year in (self.year, self.year + 1))
        records = tuple(stated.records.values())
        if not refused:
            return Fact(name, self.year, "false_data", {"gain_fen": gain_fen}, records)
        if not after.allocated:
            raise ComplianceError(f"nothing is allocated to {name} for {self.year + 1}, of which a part could be cut")
        return Fact(name, self.year, "refused_false_data", {"next_year_g": after.allocated_g}, records)

    def _facts(self, name: str, end_ms: int, price: int | None, refused: bool) -> list[Fact]:
        """What the ledger says of a subject whose deadline was at an instant, as it stands now."""
        book, stated = self.book, self.statements.years.get((name, self.year))
        if stated is None or stated.verified_g is None:
            return []
        missing = book.open_need(name, self.year) + book.held("shortfall", name, self.year)
        fact = partial(Fact, name, self.year, records=tuple(stated.records.values()))
        if missing and refused:
            return [fact("refused_correction", {"shortfall_g": missing})]
        if missing:
            return [
                fact("missed_surrender", {"shortfall_g": missing} | ({} if price is None else {"price_fen_t": price}))
            ]
        found = [] if stated.surrendered_ms >= end_ms else [fact("surrendered_on_time", {"need_g": stated.verified_g})]
        if stated.plan is not None:
            figures = {"planned_g": stated.plan.total_g, "verified_g": stated.verified_g}
            found.append(fact("reduction", figures))
        return found
