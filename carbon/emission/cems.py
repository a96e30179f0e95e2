"""CEMS direct mass as the emission rule of a concentration point: with which other points its mass is computed.

G [kg/h] = C [mg/Nm3, dry] · Q [Nm3/h, dry] · 10^-6, and from actual, wet gas
Q_dry = Q · 273/(273+t) · (Ba+Ps)/101325 · (1−Xsw) (HJ 212-2017, D.2). `carbon.stack_mass` computes it.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, get_args

from carbon.emission.process import Methane
from carbon.emission.rule import EmissionRule
from carbon.factors import FactorSet

Basis = Literal["dry", "wet"]
"""Whether water vapour is counted in the gas that a concentration or a flow is of."""
_INSTANTS = re.compile("[1-9]|[1-5][0-9]|60", re.ASCII)
MASS_SCALE = 3
"""A window's quantity: integers of 10^-3 g of the gas."""


@dataclass(frozen=True)
class CemsMass(EmissionRule):
    """CO2 by mass from a concentration and the points named here, all of its gateway, at the same instant.

    `basis` is that of the concentration. A flow in m3 is actual gas and takes a temperature, a static pressure and a
    barometric pressure, measured or registered in Pa; one in Nm3 (273 K, 101325 Pa) takes none of them. Moisture is
    named where the two bases differ. Raises ValueError.
    """

    basis: Basis
    flow: str
    flow_basis: Basis
    temperature: str | None = None
    static_pressure: str | None = None
    barometric_pressure: str | None = None
    barometric_pa: str | None = None
    moisture: str | None = None
    booked: str = "yes"
    """Whether the mass is the unit's emission. If no, it stands in its records as a quantity and emits 0 g, beside an
    emission that is calculated."""
    instants: str | None = None
    """How many instants a minute must have so that any of them counts: 12 of one every five seconds (HJ 212-2017,
    D.2.2). Without it every instant counts, as where readings are of minutes already."""

    name: ClassVar[str] = "cems mass"
    """What its text begins with."""
    unit: ClassVar[str] = "gCO2"
    source: ClassVar[str] = "stack"
    gas: ClassVar[str] = "CO2"
    scope: ClassVar[int] = 1
    reference: ClassVar[str] = "HJ 212-2017, D.2"

    def __post_init__(self) -> None:
        if not {self.basis, self.flow_basis} <= set(get_args(Basis)):
            raise ValueError("a basis is dry or wet")
        if self.booked not in ("yes", "no"):
            raise ValueError("a mass is booked: yes or no")
        if (self.moisture is None) != (self.basis == self.flow_basis):
            raise ValueError("moisture is named where one basis is dry and the other wet, and only there")
        is_actual = (self.temperature is not None, self.static_pressure is not None)
        ambient = (self.barometric_pressure is not None) + (self.barometric_pa is not None)
        if (*is_actual, ambient) not in {(True, True, 1), (False, False, 0)}:
            raise ValueError("temperature, static and one barometric pressure are named together")
        if self.instants is not None and not _INSTANTS.fullmatch(self.instants):
            raise ValueError("a minute has 1 to 60 instants")
        if len(set(self.partners)) != len(self.partners):
            raise ValueError("each partner is another point")

    @property
    def partners(self) -> tuple[str, ...]:
        """The points that must have a valid reading at the instant."""
        named = (self.flow, self.temperature, self.static_pressure, self.barometric_pressure, self.moisture)
        return tuple(name for name in named if name is not None)

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2 per gram; 0 for what is not booked."""
        return Fraction(self.booked == "yes")

    def covers(self, other: EmissionRule) -> bool:
        """All of the gas that a unit emits by itself comes through its stack."""
        return self.booked == "yes" and (other.scope, other.gas) == (1, self.gas)

    def __str__(self) -> str:
        gas = f"{self.name}: {self.basis} concentration · {self.flow_basis} flow {self.flow}"
        if self.temperature is not None:
            ambient = self.barometric_pressure or f"{self.barometric_pa} Pa"
            gas += f" · temperature {self.temperature} · pressure {self.static_pressure} + {ambient}"
        if self.moisture is not None:
            gas += f" · moisture {self.moisture}"
        if self.instants is not None:
            gas += f" · minutes of {self.instants} instants"
        return gas if self.booked == "yes" else f"{gas} · not booked"


@dataclass(frozen=True)
class CemsMethane(CemsMass):
    """CH4 by mass from a concentration, as CO2 is, and by its warming potential in the named assessment (IPCC, GWP100).

    `assessment` and `origin` are those of methane that is weighed. Raises ValueError.
    """

    assessment: str = ""
    origin: str = ""

    name: ClassVar[str] = "cems methane"
    unit: ClassVar[str] = "g"
    source: ClassVar[str] = "methane"
    gas: ClassVar[str] = "CH4"
    reference: ClassVar[str] = "HJ 212-2017, D.2; IPCC assessment reports, GWP100"

    def __post_init__(self) -> None:
        super().__post_init__()
        Methane(self.assessment, self.origin)

    @property
    def weighed(self) -> Methane:
        """The same methane, weighed."""
        return Methane(self.assessment, self.origin)

    @property
    def rows(self) -> tuple[str, ...]:
        """The warming potential."""
        return self.weighed.rows

    def coefficient(self, factors: FactorSet, allowed: Collection[str] = ()) -> Fraction:
        """Grams of CO2e per gram of CH4; 0 for what is not booked. Raises FactorError."""
        per_gram = self.weighed.coefficient(factors, allowed) / 10**6
        return per_gram if self.booked == "yes" else 0 * per_gram

    def __str__(self) -> str:
        return f"{super().__str__()} · {self.rows[0]}"
