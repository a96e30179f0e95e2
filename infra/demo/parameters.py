"""The declared parameters of the demonstration: `parameters.toml`, checked, with what follows from it by name.

Ratings and profiles are not declared: they are read from SimBench, and a plant's fuel must be the type it has there.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from math import floor
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from carbon.signers import Role
from streams.edge.sources import simbench
from streams.edge.sources.simbench import STEP_MS, Table

FILE = Path(__file__).with_name("parameters.toml")
DAY_ROWS = 96

Kind = Literal["out_of_range", "duplicate", "from_the_future", "not_a_number", "unknown_point"]


class ScenarioError(ValueError):
    """Parameters that contradict themselves, the data set, or the rule that plants change no balance."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """The data set's name, citation and licence, and what must be said of it."""

    source: str
    notice: str
    cite: str
    notes: tuple[str, ...]


class Time(_Section):
    """The replay's clock. `rows` quarter hours from `first`; spans, windows, lateness and limits in seconds."""

    first: datetime
    rows: int
    step_seconds: int
    window_seconds: int
    lateness_seconds: int
    future_seconds: int
    age_seconds: int
    packet_span_seconds: int


class RegistryParameters(_Section):
    """Code prefix, the gateways' run, the headroom of ranges over the rating, and the intake's id."""

    prefix: str
    run: int
    headroom_percent: int = Field(ge=100)
    intake: str


class CheckMeter(_Section):
    """A point of the intake gateway, whose readings come one by one."""

    id: str
    subject: str
    max_wh: int


class Named(_Section):
    """A subject: the region, the parent company, a plant or an enterprise."""

    id: str
    name: str


class Fuel(_Section):
    """A fuel's declared heat rate, GJ per MWh generated, and its factor rows by `table.name`."""

    heat_rate: str
    carbon: str
    oxidation: str


class Electricity(_Section):
    """The factor row of purchased electricity, and what must be said of it."""

    factor: str
    note: str


class Plant(Named):
    """A power plant of the group, and its units by SimBench's names."""

    fuel: str
    units: tuple[str, ...]


class Enterprise(Named):
    """An enterprise of the region, and its loads by SimBench's names."""

    loads: tuple[str, ...]


class Institution(_Section):
    """A party that is no enterprise: its role, and the subject that it oversees if it doesn't serve all."""

    id: str
    role: Role
    subject: str | None = None


class GapParameters(_Section):
    """The stretch [start, until) of a point that is left out."""

    point: str
    start: datetime = Field(alias="from")
    until: datetime


class PlantedParameters(_Section):
    """A bad reading: its kind, its own time, a time in its packet's span, its value in Wh.

    `gateway` says who carries a point that nobody registered.
    """

    kind: Kind
    point: str
    at: datetime
    carried: datetime
    value: int | None = None
    gateway: str | None = None


class Forged(_Section):
    """A packet of one reading in a gateway's name, signed by a key that is not its own. Value in Wh."""

    gateway: str
    point: str
    at: datetime
    value: int


class Stated(_Section):
    """What no meter says of a subject in a year: tonnes of CO2e, output in `unit`, value added in CNY."""

    subject: str
    allowances: int = Field(gt=0)
    planned: int = Field(gt=0)
    product: str
    output: int = Field(gt=0)
    unit: str
    value_added: int = Field(gt=0)


class Submissions(_Section):
    """What the parties state of the year."""

    year: int
    short: str
    """Whose allowances run out in the year."""
    region_value_added: int = Field(gt=0)
    stated: tuple[Stated, ...]


class Metered(NamedTuple):
    """A point of the scenario: whose it is, who carries it, and the SimBench unit behind it."""

    point: str
    subject: str
    gateway: str
    table: Table
    unit: simbench.Unit
    fuel: str | None


class Parameters(_Section):
    """All declared parameters."""

    data: Data
    time: Time
    registry: RegistryParameters
    check_meter: CheckMeter
    region: Named
    group: Named
    fuels: dict[str, Fuel]
    electricity: Electricity
    gateways: dict[str, tuple[str, ...]]
    plants: tuple[Plant, ...]
    enterprises: tuple[Enterprise, ...]
    submissions: Submissions
    institutions: tuple[Institution, ...]
    gap: GapParameters
    planted: tuple[PlantedParameters, ...]
    forged: tuple[Forged, ...]

    @cached_property
    def metered(self) -> tuple[Metered, ...]:
        """Every point, in the order of the file. Raises ScenarioError, SourceError."""
        return tuple(self._metered())

    def _metered(self) -> Iterator[Metered]:
        carrier = {subject: gateway for gateway, subjects in self.gateways.items() for subject in subjects}
        if len(carrier) != sum(map(len, self.gateways.values())) or carrier.keys() != self.emitters():
            raise ScenarioError("every plant and enterprise is carried by exactly one gateway")
        for plant in self.plants:
            for name in plant.units:
                unit = simbench.unit("PowerPlant", name)
                if unit.type != plant.fuel:
                    raise ScenarioError(f"{plant.id}: {name} burns {unit.type}, not {plant.fuel}")
                yield Metered(point_id(name), plant.id, carrier[plant.id], "PowerPlant", unit, plant.fuel)
        for enterprise in self.enterprises:
            for name in enterprise.loads:
                unit = simbench.unit("Load", name)
                yield Metered(point_id(name), enterprise.id, carrier[enterprise.id], "Load", unit, None)

    @property
    def parties(self) -> tuple[Institution, ...]:
        """Who may make submissions: the institutions, and of each plant, each enterprise and the group its own."""
        own = (self.group, *self.plants, *self.enterprises)
        enterprises = (Institution(id=named.id, role="enterprise", subject=named.id) for named in own)
        return (*self.institutions, *enterprises)

    def emitters(self) -> set[str]:
        """Every plant and enterprise."""
        return {plant.id for plant in self.plants} | {enterprise.id for enterprise in self.enterprises}

    def ceiling_wh(self, metered: Metered) -> int:
        """The largest energy in Wh, rounded down, that a quarter hour of a point may have; the smallest is 0."""
        rated = Fraction(metered.unit.rating) * simbench.WH_PER_MW_STEP
        return floor(rated * self.registry.headroom_percent / 100)

    def rows(self, days: int | None) -> int:
        """Quarter hours of a replay of `days`, or of all there is. Raises ScenarioError."""
        rows = self.time.rows if days is None else days * DAY_ROWS
        if not 0 < rows <= self.time.rows:
            raise ScenarioError(f"{days} days are not within the data's {self.time.rows // DAY_ROWS}")
        return rows

    def end_ms(self, days: int | None) -> int:
        """The end of a replay's last quarter hour, ms UTC."""
        return ms(self.time.first) + self.rows(days) * STEP_MS


def point_id(name: str) -> str:
    """The point id of a SimBench unit: its name in lower case, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def ms(moment: datetime) -> int:
    """A declared moment, which must state its offset, in ms UTC. Raises ScenarioError."""
    if moment.tzinfo is None:
        raise ScenarioError(f"{moment} states no offset from UTC")
    return round(moment.timestamp()) * 1000


def load(path: Path = FILE) -> Parameters:
    """The parameters of a file. Raises ScenarioError."""
    parameters = Parameters.model_validate(tomllib.loads(path.read_text()))
    check(parameters)
    return parameters


def check(parameters: Parameters) -> None:
    """What must hold so that a plant changes no balance and the replay is what the file says. Raises ScenarioError."""
    time = parameters.time
    if ms(time.first) != simbench.FIRST_MS or time.step_seconds * 1000 != STEP_MS or time.rows > simbench.ROWS:
        raise ScenarioError("the data set starts at 2015-12-31T23:00Z and has 35,136 steps of 900 s")
    if time.packet_span_seconds % time.window_seconds or time.age_seconds < time.packet_span_seconds:
        raise ScenarioError("a packet's span must be whole windows and not longer than the age that is accepted")
    ceilings = {metered.point: parameters.ceiling_wh(metered) for metered in parameters.metered}
    if len(ceilings) != len(parameters.metered):
        raise ScenarioError("a unit stands at two points")
    if sorted(stated.subject for stated in parameters.submissions.stated) != sorted(parameters.emitters()):
        raise ScenarioError("something is stated of every plant and enterprise, and of nobody else")
    if parameters.submissions.short not in parameters.emitters():
        raise ScenarioError(f"{parameters.submissions.short}: nothing is stated of it")
    for planted in parameters.planted:
        _check_planted(parameters, planted, ceilings)
    for forged in parameters.forged:
        if forged.gateway not in parameters.gateways or forged.point not in ceilings:
            raise ScenarioError(f"forged {forged.point} of {forged.gateway}: is not registered")
    _check_gap(parameters, ceilings)


def _check_gap(parameters: Parameters, points: Mapping[str, int]) -> None:
    gap = parameters.gap
    inside = [p for p in parameters.planted if p.point == gap.point and gap.start <= p.at < gap.until]
    if gap.point not in points or inside or gap.start >= gap.until:
        raise ScenarioError("the gap must be a stretch of a metered point in which nothing is planted")


def _check_planted(parameters: Parameters, planted: PlantedParameters, ceilings: Mapping[str, int]) -> None:
    where = f"planted {planted.kind} of {planted.point} at {planted.at:%Y-%m-%dT%H:%MZ}"
    known = planted.point in ceilings and planted.gateway is None
    unknown = planted.point not in ceilings and planted.gateway in parameters.gateways
    if not (unknown if planted.kind == "unknown_point" else known):
        raise ScenarioError(f"{where}: an unknown point, and no other kind, states its gateway")
    if (planted.value is None) != (planted.kind in ("duplicate", "not_a_number")):
        raise ScenarioError(f"{where}: a value belongs to every kind but duplicate and not_a_number")
    if planted.kind == "out_of_range" and 0 <= (planted.value or 0) <= ceilings[planted.point]:
        raise ScenarioError(f"{where}: {planted.value} Wh is in range")
    if not _reason_holds(parameters, planted):
        raise ScenarioError(f"{where}: would not be refused for this reason alone, or would come late")


def _reason_holds(parameters: Parameters, planted: PlantedParameters) -> bool:
    """Whether the reading's times make it what its kind says; a duplicate must reach its window before that closes."""
    time = parameters.time
    span = time.packet_span_seconds * 1000
    at, carried = ms(planted.at), ms(planted.carried)
    start = ms(time.first) + (carried - ms(time.first)) // span * span
    match planted.kind:
        case "from_the_future":
            return at > start + span + time.future_seconds * 1000
        case "duplicate":
            end = (at // (time.window_seconds * 1000) + 1) * time.window_seconds * 1000
            return at < start < end + time.lateness_seconds * 1000 and at >= start - span
        case _:
            return start <= at < start + span
