"""Combustion of fuels: by a declared heat rate, by a fuel's defaults, by measured carbon or the default for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import ClassVar

from carbon.emission.rule import C_TO_CO2, STANDARD_COAL, EmissionRule, declared
from carbon.factors import FactorSet
from carbon.quantity import Quantity, QuantityError


class _Burning(EmissionRule):
    source: ClassVar[str] = "combustion"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 1


@dataclass(frozen=True)
class Combustion(_Burning):
    """Generation to fuel by a declared heat rate, then carbon per heat, oxidation and 44/12.

    g/Wh = heat rate [GJ/MWh] · carbon [tC/GJ] · oxidation · 44/12, as 1 t/MWh is 1 g/Wh (MEE power guideline, defaults
    for unmeasured carbon; NDRC guideline for other industrial enterprises, Annex 2).
    """

    heat_rate: str
    carbon: str
    oxidation: str

    unit: ClassVar[str] = "Wh"
    reference: ClassVar[str] = "MEE power guideline; NDRC guideline for other industrial enterprises, Annex 2"

    @property
    def rows(self) -> tuple[str, ...]:
        """Carbon per heat, oxidation."""
        return self.carbon, self.oxidation

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per Wh generated. Raises FactorError, QuantityError."""
        carbon = factors.quantity(self.carbon, "tC/GJ", allowed) * factors.quantity(self.oxidation, "1", allowed)
        return (declared(self.heat_rate, "GJ/MWh") * carbon * C_TO_CO2).to("gCO2/Wh")

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Of the heat burnt for it. Raises QuantityError."""
        return (declared(self.heat_rate, "GJ/MWh") / STANDARD_COAL).to("kgce/Wh")

    def __str__(self) -> str:
        return f"combustion: {self.heat_rate} GJ/MWh · {self.carbon} · {self.oxidation} · 44/12"


@dataclass(frozen=True)
class Fuel(_Burning):
    """A fuel by the defaults of its table: FC · NCV · CC · OF · 44/12 (NDRC sector guidelines).

    `fuel` is what the rows ncv, carbon_per_heat and oxidation of one guideline begin with: the NCV of another guideline
    is another one. `per` is t, Nm3 or, where heat was measured, GJ; a row per tonne takes no volume.
    """

    fuel: str
    per: str

    reference: ClassVar[str] = "NDRC sector guidelines; NDRC guideline for other industrial enterprises, Annex 2"

    def __post_init__(self) -> None:
        if self.per not in ("t", "Nm3", "GJ"):
            raise QuantityError(f"a fuel is in t, Nm3 or GJ, not {self.per!r}")

    @property
    def unit(self) -> str:
        """As `per` says."""
        return self.per

    @property
    def rows(self) -> tuple[str, ...]:
        """NCV unless heat was measured, carbon per heat, oxidation."""
        parts = ("carbon_per_heat", "oxidation") if self.per == "GJ" else ("ncv", "carbon_per_heat", "oxidation")
        return tuple(f"{self.fuel}.{part}" for part in parts)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per unit of fuel. Raises FactorError."""
        carbon, oxidation = self.rows[-2:]
        burnt = self._heat(factors, allowed) * factors.quantity(carbon, "tC/GJ", allowed)
        return (burnt * factors.quantity(oxidation, "1", allowed) * C_TO_CO2).to(f"gCO2/{self.per}")

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """NCV / 29307.6, of the NCV that its emission is computed with. Raises FactorError."""
        return (self._heat(factors, allowed) / STANDARD_COAL).to(f"kgce/{self.per}")

    def _heat(self, factors: FactorSet, allowed: Collection[str]) -> Quantity:
        """Of one unit, as energy per unit."""
        return declared("1") if self.per == "GJ" else factors.quantity(self.rows[0], f"GJ/{self.per}", allowed)

    def __str__(self) -> str:
        return f"fuel: {' · '.join(self.rows)} · 44/12 per {self.per}"


@dataclass(frozen=True)
class MeasuredCarbon(_Burning):
    """A fuel whose carbon was measured: FC · Car · OF · 44/12 (MEE power guideline).

    `carbon` is Car as received, tC/t, of the period; `ncv` GJ/t as received, for standard coal alone.
    """

    carbon: str
    ncv: str
    oxidation: str

    unit: ClassVar[str] = "t"
    reference: ClassVar[str] = "MEE power guideline"

    @property
    def rows(self) -> tuple[str, ...]:
        """Oxidation."""
        return (self.oxidation,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per tonne of fuel. Raises FactorError, QuantityError."""
        carbon = declared(self.carbon, "tC/t")
        if carbon.to("tC/t") > 1:
            raise QuantityError(f"{self.carbon} tC/t is more than pure carbon")
        return (carbon * factors.quantity(self.oxidation, "1", allowed) * C_TO_CO2).to("gCO2/t")

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """NCV / 29307.6. Raises QuantityError."""
        return (declared(self.ncv, "GJ/t") / STANDARD_COAL).to("kgce/t")

    def __str__(self) -> str:
        return f"measured carbon: {self.carbon} tC/t · {self.oxidation} · 44/12 (NCV {self.ncv} GJ/t)"


@dataclass(frozen=True)
class DefaultCarbon(_Burning):
    """Coal whose carbon was not measured: FC · NCV_ar · default carbon per heat · OF · 44/12 (MEE notices).

    `ncv` is measured, GJ/t as received; `carbon` is `default_carbon_row` of the time.
    """

    ncv: str
    carbon: str
    oxidation: str

    unit: ClassVar[str] = "t"
    reference: ClassVar[str] = "MEE power guideline; MEE notice of 2022-06-08"

    @property
    def rows(self) -> tuple[str, ...]:
        """Carbon per heat, oxidation."""
        return self.carbon, self.oxidation

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per tonne of coal. Raises FactorError, QuantityError."""
        carbon = declared(self.ncv, "GJ/t") * factors.quantity(self.carbon, "tC/GJ", allowed)
        return (carbon * factors.quantity(self.oxidation, "1", allowed) * C_TO_CO2).to("gCO2/t")

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """NCV / 29307.6. Raises QuantityError."""
        return (declared(self.ncv, "GJ/t") / STANDARD_COAL).to("kgce/t")

    def __str__(self) -> str:
        return f"default carbon: {self.ncv} GJ/t · {self.carbon} · {self.oxidation} · 44/12"


def default_carbon_row(factors: FactorSet, day: date) -> str:
    """Which row coal's default carbon per heat stands in on a day. Raises FactorError (MEE notice of 2022-06-08)."""
    return factors.dated("power_plant_mee.coal_default_carbon_per_heat", day)


def weighted_carbon(months: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """The year's Car of months of (consumption t, Car tC/t), weighted by consumption: Σ FC·Car / Σ FC, exact.

    Raises QuantityError when nothing was burnt (MEE power guideline).
    """
    burnt = sum((fuel for fuel, _ in months), Fraction(0))
    if burnt <= 0 or any(fuel < 0 for fuel, _ in months):
        raise QuantityError("a mean carbon content needs consumption, none of it negative")
    return sum((fuel * carbon for fuel, carbon in months), Fraction(0)) / burnt
