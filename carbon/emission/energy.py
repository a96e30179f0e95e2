"""Energy bought: electricity by the grid (location-based) or by contracts (market-based), and heat."""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from carbon.emission.rule import EmissionRule, declared, share
from carbon.factors import FactorSet
from carbon.quantity import Quantity

_ELECTRICITY = "gb2589_standard_coal.electricity_equivalent"
_HEAT = "gb2589_standard_coal.heat_equivalent"


class _Electricity(EmissionRule):
    unit: ClassVar[str] = "Wh"
    source: ClassVar[str] = "electricity"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 2

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """By the equivalent value (GB/T 2589-2020, Table A.2). Raises FactorError."""
        return factors.value(_ELECTRICITY, "kgce/Wh", allowed)


@dataclass(frozen=True)
class PurchasedElectricity(_Electricity):
    """Purchased electricity by the grid factor of a year and place; kg/kWh is g/Wh (MEE and NBS announcements)."""

    factor: str

    reference: ClassVar[str] = "MEE and NBS announcements of grid factors; GHG Protocol Scope 2, location-based"

    @property
    def rows(self) -> tuple[str, ...]:
        """The grid factor."""
        return (self.factor,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per Wh bought. Raises FactorError."""
        return factors.value(self.factor, "gCO2/Wh", allowed)

    def __str__(self) -> str:
        return f"purchased electricity: {self.factor}"


@dataclass(frozen=True)
class MarketElectricity(_Electricity):
    """Purchased electricity by contracts: share · contract + (1 - share) · residual mix (GHG Protocol Scope 2).

    `contracted` is the share, 0 to 1, that contracts cover, `contract` their factor in kgCO2/kWh; both declared. The
    residual mix leaves out what was sold by contract, so that nothing counts twice.
    """

    contracted: str
    contract: str
    residual: str

    reference: ClassVar[str] = "GHG Protocol Scope 2, market-based; MEE and NBS announcements of the residual mix"

    @property
    def rows(self) -> tuple[str, ...]:
        """The residual mix."""
        return (self.residual,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per Wh bought. Raises FactorError, QuantityError."""
        covered = share(self.contracted)
        rest = Quantity(1 - covered.base, covered.dimension)
        by_contract = covered * declared(self.contract, "kgCO2/kWh")
        return (by_contract + rest * factors.quantity(self.residual, "kgCO2/kWh", allowed)).to("gCO2/Wh")

    def __str__(self) -> str:
        return f"market-based electricity: {self.contracted} at {self.contract} kgCO2/kWh, the rest {self.residual}"


@dataclass(frozen=True)
class Heat(EmissionRule):
    """Purchased heat by a factor per GJ (sector guidelines)."""

    factor: str

    unit: ClassVar[str] = "GJ"
    source: ClassVar[str] = "heat"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 2
    reference: ClassVar[str] = "NDRC and MEE sector guidelines, purchased heat"

    @property
    def rows(self) -> tuple[str, ...]:
        """The factor."""
        return (self.factor,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per GJ bought. Raises FactorError."""
        return factors.value(self.factor, "gCO2/GJ", allowed)

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """By the equivalent value (GB/T 2589-2020, Table A.2). Raises FactorError."""
        return factors.value(_HEAT, "kgce/GJ", allowed)

    def __str__(self) -> str:
        return f"heat: {self.factor}"
