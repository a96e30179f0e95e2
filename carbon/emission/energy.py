"""Energy bought: electricity by the grid (location-based), beside it by contracts (market-based), and heat."""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from carbon.emission.rule import EmissionRule, declared, share
from carbon.factors import FactorSet
from carbon.quantity import Quantity, QuantityError

_ELECTRICITY = "gb2589_standard_coal.electricity_equivalent"
_HEAT = "gb2589_standard_coal.heat_equivalent"


@dataclass(frozen=True)
class PurchasedElectricity(EmissionRule):
    """Purchased electricity by the grid factor of a year and place; kg/kWh is g/Wh (MEE and NBS announcements).

    The books count this location-based figure. With a row `residual` the market-based one stands beside it:
    share · contract + (1 - share) · residual mix. `contracted` is the share, 0 to 1, that contracts and certificates
    cover, `contract` their factor in kgCO2/kWh; both declared. The residual mix leaves out what was sold by contract,
    so that nothing counts twice. Raises QuantityError.
    """

    factor: str
    residual: str = ""
    contracted: str = "0"
    contract: str = "0"

    unit: ClassVar[str] = "Wh"
    source: ClassVar[str] = "electricity"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 2
    reference: ClassVar[str] = "MEE and NBS announcements of grid factors; GHG Protocol Scope 2 Guidance, chapter 6"

    def __post_init__(self) -> None:
        share(self.contracted)
        declared(self.contract, "kgCO2/kWh")
        if not self.residual and (self.contracted, self.contract) != ("0", "0"):
            raise QuantityError("what contracts leave is of a residual mix: it is named with them")

    @property
    def rows(self) -> tuple[str, ...]:
        """The grid factor, and the residual mix if it is named."""
        return (self.factor, self.residual) if self.residual else (self.factor,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per Wh bought, location-based. Raises FactorError, also for a residual mix that is none."""
        self.market(factors, allowed)
        return factors.value(self.factor, "gCO2/Wh", allowed)

    def market(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction | None:
        """Grams of CO2 per Wh bought, market-based; None where no residual mix is named. Raises FactorError."""
        if not self.residual:
            return None
        covered = share(self.contracted)
        rest = Quantity(1 - covered.base, covered.dimension)
        by_contract = covered * declared(self.contract, "kgCO2/kWh")
        return (by_contract + rest * factors.quantity(self.residual, "kgCO2/kWh", allowed)).to("gCO2/Wh")

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """By the equivalent value (GB/T 2589-2020, Table A.2). Raises FactorError."""
        return factors.value(_ELECTRICITY, "kgce/Wh", allowed)

    def __str__(self) -> str:
        location = f"purchased electricity: {self.factor}"
        if not self.residual:
            return location
        return f"{location}; market-based: {self.contracted} at {self.contract} kgCO2/kWh, the rest {self.residual}"


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
