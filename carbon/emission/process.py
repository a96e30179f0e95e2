"""What doesn't burn fossil fuel: processes, methane, biomass, and points that emit nothing by themselves."""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from carbon.emission.rule import C_TO_CO2, STANDARD_COAL, EmissionRule, declared, share
from carbon.factors import FactorSet
from carbon.quantity import QuantityError

ASSESSMENTS = ("AR4", "AR5", "AR5_ccf", "AR6")
"""Assessment reports of the IPCC whose warming potentials are in the factor tables."""


@dataclass(frozen=True)
class Process(EmissionRule):
    """A product or carbonate by its factor: quantity · part · factor (sector guidelines; stoichiometry).

    `factor` is a row in tCO2 per tonne of the material that was weighed; `part` is the declared share of it that
    counts: the carbonate in a mineral times how much of it is calcined.
    """

    factor: str
    part: str = "1"

    unit: ClassVar[str] = "t"
    source: ClassVar[str] = "process"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 1
    reference: ClassVar[str] = "sector guidelines for process emissions; stoichiometry of carbonates"

    @property
    def rows(self) -> tuple[str, ...]:
        """The factor."""
        return (self.factor,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per tonne. Raises FactorError, QuantityError."""
        return (share(self.part) * factors.quantity(self.factor, "tCO2/t", allowed)).to("gCO2/t")

    def __str__(self) -> str:
        return f"process: {self.factor} · {self.part}"


@dataclass(frozen=True)
class Methane(EmissionRule):
    """Methane by its warming potential over 100 years in the named assessment: mass · GWP100 (IPCC).

    `assessment` is AR4, AR5, AR5_ccf or AR6; `origin` empty, fossil or nonfossil.
    """

    assessment: str
    origin: str = ""

    unit: ClassVar[str] = "t"
    source: ClassVar[str] = "methane"
    gas: ClassVar[str] = "CH4"
    scope: ClassVar[int] = 1
    reference: ClassVar[str] = "IPCC assessment reports, GWP100"

    def __post_init__(self) -> None:
        if self.assessment not in ASSESSMENTS or self.origin not in ("", "fossil", "nonfossil"):
            raise QuantityError(f"no potential of {self.origin} methane in {self.assessment!r}")

    @property
    def rows(self) -> tuple[str, ...]:
        """The warming potential."""
        return (f"gwp.GWP100.CH4{self.origin and '_' + self.origin}.{self.assessment}",)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2e per tonne of CH4. Raises FactorError."""
        return factors.value(self.rows[0], "gCO2e/t", allowed)

    def __str__(self) -> str:
        return f"methane: {self.rows[0]}"


@dataclass(frozen=True)
class Biogenic(EmissionRule):
    """Biomass: its CO2 is reported apart and counts in no total (GHG Protocol Corporate Standard, chapter 9).

    g/t = carbon [tC/t, declared] · oxidation · 44/12; `ncv` GJ/t, declared.
    """

    carbon: str
    ncv: str
    oxidation: str

    unit: ClassVar[str] = "t"
    source: ClassVar[str] = "biogenic"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 0
    reference: ClassVar[str] = "GHG Protocol Corporate Standard, chapter 9"

    @property
    def rows(self) -> tuple[str, ...]:
        """Oxidation."""
        return (self.oxidation,)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Nothing that counts. Raises as `apart`, so that nothing unknown passes for nothing."""
        return 0 * self.apart(factors, allowed)

    def standard_coal(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """NCV / 29307.6. Raises QuantityError."""
        return (declared(self.ncv, "GJ/t") / STANDARD_COAL).to("kgce/t")

    def apart(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of biogenic CO2 per tonne. Raises FactorError, QuantityError."""
        carbon = share(self.carbon) * declared("1", "tC/t")
        return (carbon * factors.quantity(self.oxidation, "1", allowed) * C_TO_CO2).to("gCO2/t")

    def __str__(self) -> str:
        return f"biogenic: {self.carbon} tC/t · {self.oxidation} · 44/12 (NCV {self.ncv} GJ/t), reported apart"


@dataclass(frozen=True)
class Unbooked(EmissionRule):
    """What is measured to check other points, and emits nothing by itself: a temperature, oxygen, a counter."""

    unit: ClassVar[str] = ""
    source: ClassVar[str] = "none"
    gas: ClassVar[str] = ""
    scope: ClassVar[int] = 0
    reference: ClassVar[str] = ""

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """None."""
        return Fraction(0)

    def __str__(self) -> str:
        return "none"
