"""The emission model: from a quantity of a point to grams of CO2e, in exact arithmetic.

A rule is data of the point; its coefficient is one exact fraction in g CO2e per unit of the point, so a record's
emission is quantity × coefficient, rounded half-even once, after the last multiplication. 44/12 is exact.
"""

from dataclasses import dataclass
from fractions import Fraction

from carbon.factors import FactorSet

C_TO_CO2 = Fraction(44, 12)


@dataclass(frozen=True)
class Combustion:
    """Generation to fuel by a declared heat rate, then carbon per heat, oxidation and 44/12.

    g/Wh = heat rate [GJ/MWh] · carbon [tC/GJ] · oxidation · 44/12, as 1 t/MWh is 1 g/Wh (MEE power guideline, defaults
    for unmeasured carbon; NDRC guideline for other industrial enterprises, Annex 2).
    """

    heat_rate: str
    carbon: str
    oxidation: str

    def coefficient(self, factors: FactorSet) -> Fraction:
        """Grams of CO2 per Wh generated. Raises FactorError."""
        carbon = factors.value(self.carbon, "tC/GJ")
        return Fraction(self.heat_rate) * carbon * factors.value(self.oxidation, "1") * C_TO_CO2

    def __str__(self) -> str:
        return f"combustion: {self.heat_rate} GJ/MWh · {self.carbon} · {self.oxidation} · 44/12"


@dataclass(frozen=True)
class PurchasedElectricity:
    """Purchased electricity by the grid factor of a year and place; kg/kWh is g/Wh (MEE and NBS announcements)."""

    factor: str

    def coefficient(self, factors: FactorSet) -> Fraction:
        """Grams of CO2 per Wh bought. Raises FactorError."""
        return factors.value(self.factor, "kgCO2/kWh")

    def __str__(self) -> str:
        return f"purchased electricity: {self.factor}"


@dataclass(frozen=True)
class Unbooked:
    """What is measured to check other points, and emits nothing by itself: a temperature, oxygen, a counter."""

    def coefficient(self, factors: FactorSet) -> Fraction:
        """None."""
        return Fraction(0)

    def __str__(self) -> str:
        return "none"


EmissionRule = Combustion | PurchasedElectricity | Unbooked


def rule_from(data: dict[str, str]) -> EmissionRule:
    """The rule that a point's registration states. Raises ValueError."""
    fields = {key: value for key, value in data.items() if key != "rule"}
    match data["rule"]:
        case "combustion":
            return Combustion(**fields)
        case "purchased_electricity":
            return PurchasedElectricity(**fields)
        case "none":
            return Unbooked(**fields)
        case other:
            raise ValueError(f"no emission rule named {other!r}")


def round_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to even; denominator > 0."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient & 1 == 1))


def emission_g(quantity: int, coefficient: tuple[int, int]) -> int:
    """Grams of CO2e of an integer quantity by a coefficient (numerator, denominator), rounded half-even once."""
    return round_half_even(quantity * coefficient[0], coefficient[1])
