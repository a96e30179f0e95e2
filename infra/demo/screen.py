"""Every declared parameter as tables for the screen, with the ratings and factors that they lead to."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from carbon.emission import rule_from
from carbon.factors import FactorSet
from infra.demo import scenario
from infra.demo.parameters import Metered, Parameters, PlantedParameters


def screen(parameters: Parameters, factors: FactorSet) -> Group:
    """All tables, to be printed with rich. Raises FactorError when a named factor row does not exist."""
    head = (_data(parameters), _times(parameters), _rules(parameters, factors))
    return Group(
        *head,
        _subjects(parameters),
        _parties(parameters),
        _stated(parameters),
        _points(parameters),
        _planted(parameters),
    )


def _data(parameters: Parameters) -> RenderableType:
    data = parameters.data
    return Group(*(Text(line) for line in (data.source, data.cite, data.notice, *data.notes)), Text())


def _times(parameters: Parameters) -> Table:
    table = Table("parameter", "value", title="Declared: time and registry", title_justify="left")
    check_meter = {f"check meter's {name}": value for name, value in parameters.check_meter}
    values = parameters.time.model_dump() | parameters.registry.model_dump() | check_meter
    for name, value in values.items():
        table.add_row(name.replace("_", " "), _moment(value) if isinstance(value, datetime) else f"{value}")
    return table


def _rules(parameters: Parameters, factors: FactorSet) -> Table:
    table = Table(
        "fuel or supply",
        "heat rate (declared)",
        "factor rows",
        "g CO2/Wh",
        title=f"Declared: emission rules, factor set {factors.version}",
        title_justify="left",
        caption=parameters.electricity.note,
        caption_justify="left",
    )
    for name, fuel in parameters.fuels.items():
        coefficient = rule_from({"rule": "combustion", **fuel.model_dump()}).coefficient(factors)
        table.add_row(
            name, f"{fuel.heat_rate} GJ/MWh", f"{fuel.carbon}\n{fuel.oxidation}\n44/12", f"{float(coefficient):.6f}"
        )
    factor = parameters.electricity.factor
    coefficient = rule_from({"rule": "purchased_electricity", "factor": factor}).coefficient(factors)
    table.add_row("purchased electricity", "-", factor, f"{float(coefficient):.6f}")
    return table


def _subjects(parameters: Parameters) -> Table:
    region, group = parameters.region, parameters.group
    table = Table("subject", "name", "under", "emits by", title="Declared: subjects", title_justify="left")
    table.add_row(region.id, region.name, "-", "-")
    table.add_row(group.id, group.name, region.id, "-")
    for plant in parameters.plants:
        table.add_row(plant.id, plant.name, group.id, plant.fuel)
    for enterprise in parameters.enterprises:
        table.add_row(enterprise.id, enterprise.name, region.id, "purchased electricity")
    return table


def _parties(parameters: Parameters) -> Table:
    table = Table("party", "role", "speaks for", title="Declared: who may make submissions", title_justify="left")
    for party in parameters.parties:
        table.add_row(party.id, party.role, party.subject or "all")
    return table


def _stated(parameters: Parameters) -> Table:
    stated = parameters.submissions
    columns = ("subject", "allowances t", "planned t", "output", "product", "value added CNY")
    title = f"Declared, figures of nobody: submissions of {stated.year}; the allowances of {stated.short} run out"
    table = Table(*columns, title=title, title_justify="left")
    for one in stated.stated:
        amounts = f"{one.allowances}", f"{one.planned}", f"{one.output} {one.unit}"
        table.add_row(one.subject, *amounts, one.product, f"{one.value_added}")
    table.add_row(parameters.region.id, "-", "-", "-", "-", f"{stated.region_value_added}")
    return table


def _points(parameters: Parameters) -> Table:
    columns = ("gateway", "subject", "point", "SimBench unit", "rated MW", "profile", "range Wh", "object")
    table = Table(*columns, title=f"{len(parameters.metered)} points", title_justify="left")
    for metered in parameters.metered:
        table.add_row(*_cells(parameters, metered))
    return table


def _cells(parameters: Parameters, metered: Metered) -> Iterator[str]:
    yield from (metered.gateway, metered.subject, metered.point, metered.unit.name, metered.unit.rating)
    yield from (metered.unit.column, f"0…{parameters.ceiling_wh(metered)}", scenario.object_id(metered.point))


def _planted(parameters: Parameters) -> Table:
    columns = ("kind", "point", "at", "value Wh", "gateway", "in the packet of")
    table = Table(*columns, title="Planted, and left out", title_justify="left")
    for planted in parameters.planted:
        table.add_row(*_planted_cells(parameters, planted))
    for forged in parameters.forged:
        table.add_row("wrong_signature", forged.point, _moment(forged.at), f"{forged.value}", forged.gateway, "its own")
    gap = parameters.gap
    table.add_row("gap", gap.point, f"{_moment(gap.start)} until {_moment(gap.until)}", "-", "-", "-")
    return table


def _planted_cells(parameters: Parameters, planted: PlantedParameters) -> Iterator[str]:
    values = {"duplicate": "the real one again", "not_a_number": "not a number"}
    yield from (planted.kind, planted.point, _moment(planted.at))
    yield from (values.get(planted.kind, f"{planted.value}"), scenario.carrier(parameters, planted))
    yield _moment(planted.carried)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"
