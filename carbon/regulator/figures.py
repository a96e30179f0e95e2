"""What is known of a subject in a period, and its intensities."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from carbon.emission import round_half_even

LEAST_PEERS = 3
"""Fewer subjects with the same product are no reference for each other, and could read each other's figures from it."""

Product = tuple[str, str]
"""A product and the unit that it is counted in."""


@dataclass(frozen=True)
class Performance:
    """One subject in a period. What isn't known is None; nothing is guessed."""

    subject: str
    emission_g: int
    region: str = ""
    sector: str = ""
    outputs: Mapping[Product, Fraction] = field(default_factory=dict)
    gdp_fen: int | None = None
    planned_g: int | None = None
    """Planned for the same time."""
    held_g: int | None = None
    """Allowances held."""
    due_g: int | None = None
    """Still to be surrendered."""
    substituted_g: int | None = None
    missed_surrenders: int | None = None
    false_data: int | None = None
    before: "Performance | None" = None
    """The same subject a year before."""
    verified: bool = False

    @property
    def product(self) -> Product | None:
        """What it makes, if that is one thing: an emission can't be divided among several."""
        made = [product for product, quantity in self.outputs.items() if quantity > 0]
        return made[0] if len(made) == 1 else None

    @property
    def per_output(self) -> Fraction | None:
        """g CO2e per unit of its one product."""
        return None if self.product is None else self.emission_g / self.outputs[self.product]

    @property
    def per_gdp(self) -> Fraction | None:
        """t CO2e per 10,000 CNY of value added, which is g per fen."""
        return Fraction(self.emission_g, self.gdp_fen) if self.gdp_fen is not None and self.gdp_fen > 0 else None


@dataclass(frozen=True)
class Peers:
    """All subjects with the same product: their emission and output together."""

    subjects: int
    emission_g: int
    output: Fraction

    @property
    def per_output(self) -> Fraction:
        """g CO2e per unit of the product, weighted by output."""
        return self.emission_g / self.output


def peers(performances: Iterable[Performance], least: int = LEAST_PEERS) -> dict[Product, Peers]:
    """The reference of each product that at least so many subjects make, and make alone."""
    by_product: defaultdict[Product, list[Performance]] = defaultdict(list)
    for each in performances:
        if each.product is not None:
            by_product[each.product].append(each)
    return {
        product: Peers(len(some), sum(p.emission_g for p in some), sum((p.outputs[product] for p in some), Fraction(0)))
        for product, some in by_product.items()
        if len(some) >= least
    }


def figures(performance: Performance, references: Mapping[Product, Peers]) -> dict[str, Fraction]:
    """Those figures that a scale may look at (`carbon.rules.scale.FIGURES`) which are known of a subject."""
    reference = references.get(performance.product) if performance.product else None
    before = performance.before
    same = before is not None and before.product == performance.product
    held, due = performance.held_g, performance.due_g
    found = {
        "intensity_to_peers": _ratio(performance.per_output, reference.per_output if reference else None),
        "intensity_to_year_before": _ratio(performance.per_output, before.per_output) if before and same else None,
        "emission_to_plan": _ratio(performance.emission_g, performance.planned_g),
        # who owes nothing is covered, whatever it holds
        "cover": Fraction(1) if due == 0 and held is not None else _ratio(held, due),
        "substituted": _ratio(performance.substituted_g, performance.emission_g),
        "missed_surrenders": _count(performance.missed_surrenders),
        "false_data": _count(performance.false_data),
    }
    return {name: value for name, value in found.items() if value is not None}


def _ratio(value: Fraction | int | None, reference: Fraction | int | None) -> Fraction | None:
    return None if value is None or reference is None or reference <= 0 else Fraction(value) / reference


def _count(number: int | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def decimal(value: Fraction, places: int = 4) -> str:
    """A fraction as a decimal, rounded half-even: for people, never for a further computation."""
    scaled = round_half_even(*(value * 10**places).as_integer_ratio())
    whole, rest = divmod(abs(scaled), 10**places)
    return f"{'-' if scaled < 0 else ''}{whole}.{rest:0{places}}"
