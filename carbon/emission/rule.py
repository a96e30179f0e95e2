"""What every emission rule says of itself, and the arithmetic that they share."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from fractions import Fraction
from typing import ClassVar

from carbon.factors import FactorSet
from carbon.quantity import Quantity, QuantityError, number

C_TO_CO2 = Quantity.of(Fraction(44, 12), "tCO2") / Quantity.of(Fraction(1), "tC")
"""Carbon to CO2 by molar masses, exact; the rounded row of the factor tables is not used."""
STANDARD_COAL = Quantity.of(Fraction("29307.6"), "kJ") / Quantity.of(Fraction(1), "kgce")
"""The heat of a kilogram of standard coal: 7000 kcal at 4.1868 kJ (GB/T 2589-2020)."""


class EmissionRule(ABC):
    """From a quantity of a point or a bill to grams of CO2e. Each rule is a frozen dataclass of texts.

    The texts are rows of the factor set (`table.name`), or decimal numbers that are declared. `str` is what records
    state as their rule.
    """

    source: ClassVar[str]
    """What emits: combustion, electricity, heat, process, methane, biogenic, stack (what comes together in one) or
    none."""
    gas: ClassVar[str]
    """The gas emitted: CO2 or CH4; empty for none."""
    scope: ClassVar[int]
    """1 direct, 2 purchased energy, 0 outside both (GHG Protocol)."""
    reference: ClassVar[str]
    """The standard and clause that it follows."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """The unit of the quantity that it takes."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the factor set that it reads."""
        return ()

    def covers(self, other: "EmissionRule") -> bool:
        """Whether another rule about the same unit would count again what this one counts."""
        return self.source == other.source

    @abstractmethod
    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2e for one `unit`, exact. Raises FactorError, QuantityError; a D row only if `allowed`."""

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Kilograms of standard coal for one `unit`, exact; 0 for what is no energy. Raises as `coefficient`."""
        return Fraction(0)

    def market(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction | None:
        """Grams of CO2 for one `unit` by contracts and the residual mix, which stands beside the emission and is never
        added to it; None where nothing of the kind is declared. Raises as `coefficient`."""
        return None

    def apart(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of biogenic CO2 for one `unit`, reported apart and in no total. Raises as `coefficient`."""
        return Fraction(0)


def declared(text: str, unit: str = "1") -> Quantity:
    """A number that is declared, not read from a table; not negative. Raises QuantityError."""
    value = number(text)
    if value < 0:
        raise QuantityError(f"{text!r} is negative")
    return Quantity.of(value, unit)


def share(text: str) -> Quantity:
    """A declared share, 0 to 1. Raises QuantityError."""
    found = declared(text)
    if found.base > 1:
        raise QuantityError(f"{text!r} is more than the whole")
    return found
