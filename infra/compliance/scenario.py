"""A compliance year as its TOML file declares it: enterprises, trades, prices and dates."""

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Tonnes = Annotated[int, Field(ge=0)]
Cny = Annotated[Decimal, Field(gt=0, decimal_places=2)]


class ScenarioError(ValueError):
    """A file that is missing, or doesn't state a year."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Output(_Section):
    """What an enterprise puts out in a year."""

    electricity_mwh: Tonnes
    heat_gj: Tonnes


class Enterprise(_Section):
    """One enterprise with one unit. `corrects` says whether it surrenders what is missing once it is ordered to.

    `next_output` is that of the next year, where that is part of the example.
    """

    id: str
    name: str
    sector: str
    planned_t: Tonnes
    value_added_cny: Tonnes
    unit_class: str
    correction: str
    planned: Output
    output: Output
    next_output: Output | None = None
    verified_t: Tonnes
    offsets_t: Tonnes = 0
    corrects: bool = False


class Trade(_Section):
    """Allowances of the year's vintage sold."""

    on: date
    seller: str
    buyer: str
    amount_t: Tonnes
    price_cny: Cny


class Price(_Section):
    """The average price of a month."""

    month: date
    cny_t: Cny


class Dates(_Section):
    """When each party makes its statements."""

    plan: date
    pre_allocation: date
    outputs: date
    verification: date
    final_allocation: date
    offsets: date
    retirement: date
    surrender: date
    price: date
    decision: date
    correction: date
    refusal: date
    closing: date
    next_allocation: date


class Scenario(_Section):
    """A whole year. `allowed` names the factor rows of confidence D that may be used."""

    notice: str
    year: int
    utc_offset_minutes: int
    factors: str
    region: str
    declared_price_cny: Cny
    pre_percent: Annotated[int, Field(ge=1, le=100)]
    allowed: tuple[str, ...]
    dates: Dates
    price: Price
    enterprises: tuple[Enterprise, ...]
    trades: tuple[Trade, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = [each.id for each in self.enterprises]
        if len(set(ids)) != len(ids):
            raise ValueError("an enterprise stands twice")
        strangers = sorted({side for trade in self.trades for side in (trade.seller, trade.buyer)} - set(ids))
        if strangers:
            raise ValueError(f"a trade with {', '.join(strangers)}, which is no enterprise of the scenario")
        return self

    def without_permission(self) -> "Scenario":
        """The same with no row of confidence D allowed."""
        return self.model_copy(update={"allowed": ()})


def load(path: Path) -> Scenario:
    """The scenario of a file. Raises ScenarioError."""
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ScenarioError(f"{path} can't be read: {error.strerror}") from error
    except (ValidationError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def shipped(year: int) -> Path:
    """The file of the scenario that ships for a year. Raises ScenarioError."""
    folder = Path(__file__).parent
    path = folder / f"{year}.toml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise ScenarioError(f"no scenario ships for {year} (there are {known}): name a file by --scenario")
    return path


def fen(cny: Decimal) -> int:
    """CNY as 0.01 CNY, exact: prices have two decimal places."""
    return int(cny * 100)
