"""Totals of regions and sectors, and who ranks where."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from carbon.regulator.figures import Performance, Product


@dataclass(frozen=True)
class Total:
    """Several subjects together."""

    name: str
    subjects: int
    emission_g: int
    unverified_g: int
    """The part of it that no verifier has found yet."""
    outputs: Mapping[Product, Fraction]
    gdp_fen: int | None
    """As stated for the whole, else the sum of its parts when each has one."""
    per_output: Mapping[Product, Fraction]
    """g CO2e per unit, of those subjects that make that alone."""

    @property
    def per_gdp(self) -> Fraction | None:
        """t CO2e per 10,000 CNY, which is g per fen."""
        return Fraction(self.emission_g, self.gdp_fen) if self.gdp_fen is not None and self.gdp_fen > 0 else None


def total(name: str, performances: Iterable[Performance], stated_gdp_fen: int | None = None) -> Total:
    """The total of some subjects, none of which may stand above another of them.

    Value added of a whole region isn't the sum of its large emitters': what statistics state of it goes first. A sum
    that lacks a part would make the intensity too high, so there is none.
    """
    parts = list(performances)
    outputs: defaultdict[Product, Fraction] = defaultdict(Fraction)
    for part in parts:
        for product, quantity in part.outputs.items():
            outputs[product] += quantity
    gdp = [part.gdp_fen for part in parts]
    added = sum(each for each in gdp if each is not None) if parts and None not in gdp else None
    return Total(
        name,
        len(parts),
        sum(part.emission_g for part in parts),
        sum(part.emission_g for part in parts if not part.verified),
        dict(sorted(outputs.items())),
        added if stated_gdp_fen is None else stated_gdp_fen,
        _per_output(parts),
    )


def _per_output(parts: list[Performance]) -> dict[Product, Fraction]:
    emission: Counter[Product] = Counter()
    output: defaultdict[Product, Fraction] = defaultdict(Fraction)
    for part in parts:
        if part.product is not None:
            emission[part.product] += part.emission_g
            output[part.product] += part.outputs[part.product]
    return {product: emission[product] / output[product] for product in sorted(output)}


def by_region(performances: Iterable[Performance]) -> list[Total]:
    """A total for each region, by name."""
    return _by(performances, lambda performance: performance.region)


def by_sector(performances: Iterable[Performance]) -> list[Total]:
    """A total for each sector, by name."""
    return _by(performances, lambda performance: performance.sector)


def _by(performances: Iterable[Performance], name: Callable[[Performance], str]) -> list[Total]:
    groups: defaultdict[str, list[Performance]] = defaultdict(list)
    for performance in performances:
        groups[name(performance)].append(performance)
    return [total(group, groups[group]) for group in sorted(groups)]


@dataclass(frozen=True)
class Place:
    """Where a subject stands among all that are measured alike; equal intensities share a place, the next is left."""

    subject: str
    group: str
    place: int
    of: int
    intensity: Fraction


def ranked_by_output(performances: Iterable[Performance]) -> list[Place]:
    """Ranks of g CO2e per unit within each product, the least first. Who makes several things has none."""
    groups: defaultdict[str, list[tuple[Fraction, str]]] = defaultdict(list)
    for each in performances:
        if each.product is not None and each.per_output is not None:
            groups[f"{each.product[0]} ({each.product[1]})"].append((each.per_output, each.subject))
    return [place for group in sorted(groups) for place in _ranked(group, groups[group])]


def ranked_by_gdp(performances: Iterable[Performance]) -> list[Place]:
    """Ranks of t CO2e per 10,000 CNY among all whose value added is stated, the least first."""
    known = [(each.per_gdp, each.subject) for each in performances if each.per_gdp is not None]
    return _ranked("value added", known)


def _ranked(group: str, rows: list[tuple[Fraction, str]]) -> list[Place]:
    values = sorted(value for value, _ in rows)
    return [Place(subject, group, 1 + values.index(value), len(rows), value) for value, subject in sorted(rows)]
