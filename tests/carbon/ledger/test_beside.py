"""What stands beside emissions: standard coal and market-based electricity by hand, exact, and in no total."""

from dataclasses import replace
from typing import Any

import pytest

from carbon import factors, registry
from carbon.ledger.reads import View
from carbon.ledger.structure import divided
from tests.small import HOUR, START, registry_bytes

SET = factors.load()
GRID = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
MARKET = GRID | {
    "residual": "grid_factors.CN.national_excl_traded_nonfossil.2023", "contracted": "0.4", "contract": "0",
}  # fmt: skip
WOOD = {"rule": "biogenic", "carbon": "0.45", "ncv": "15", "oxidation": "fuel_defaults.ndrc_other.bituminous.oxidation"}
POINTS = ("plant-0-0", "plant-0-1", "plant-0-2", "plant-0-3")
COAL, METER, GREEN, BOILER = POINTS
"""By a heat rate; the grid; the grid under contract; wood."""
KNOWN = registry.parse(
    registry_bytes(
        points=4, more={METER: {"emission": GRID}, GREEN: {"emission": MARKET}, BOILER: {"emission": WOOD, "unit": "t"}}
    ),
    SET,
)


def record(point: str, quantity: int, **changes: Any) -> dict[str, Any]:
    """An accepted record of 10^-scale units of a point; with `before`, the correction of one of as much."""
    one = KNOWN.points[point]
    grams, before = (None if of is None else round(of * one.coefficient) for of in (quantity, changes.get("before")))
    unit, scale = one.quantity
    about = {"subject": one.subject, "point": point, "rule": changes.get("rule", one.rule), "window_start": START}
    of = {"unit": unit, "scale": scale, "factors": SET.digest, "quantity": quantity, "emission_g": grams}
    return about | of | {"replaces": None if before is None else {"emission_g": before}}


def rows(*records: dict[str, Any], by: str = "point", known: registry.Registry = KNOWN) -> dict[str, Any]:
    view = View.at_genesis(known, 0)
    for one in records:
        view.structure.record(one)
    names = ("emission_g", "standard_coal_tce", "location_based_g", "market_based_g")
    found = divided(view.emitted("region"), [by], known)
    return {row[by]: tuple(row[name] for name in names) for row in found}


def test_a_megawatt_hour_of_each_by_hand() -> None:
    # 9.5 GJ/MWh / 29.3076 GJ/tce; 0.1229 kgce/kWh; 0.6 · 609.6 kg/MWh; 2 t · 15 GJ/t / 29.3076 GJ/tce
    found = rows(record(COAL, 10**6), record(METER, 10**6), record(GREEN, 10**6), record(BOILER, 2))
    assert found == {
        COAL: (1_063_862, 0.324148, None, None),
        METER: (530_600, 0.1229, 530_600, None),
        GREEN: (530_600, 0.1229, 530_600, 365_760),
        BOILER: (0, 1.023625, None, None),
    }


def test_what_has_no_market_based_figure_counts_location_based_beside_what_has_one_and_in_no_emission() -> None:
    both = rows(record(COAL, 10**6), record(METER, 10**6), record(GREEN, 10**6), by="subject")
    assert both == {"plant": (1_063_862 + 2 * 530_600, 0.569948, 2 * 530_600, 530_600 + 365_760)}


def test_figures_are_rounded_once_and_not_a_record_at_a_time() -> None:
    found = rows(*[record(GREEN, 1)] * 10)
    # 10 Wh · 0.6 · 0.6096 g/Wh = 3.6576 g; each Wh alone rounds to nothing, as its emission does to a gram
    assert found[GREEN] == (10, 0.000001, 10, 4)


def test_a_correction_takes_back_what_it_replaces() -> None:
    for point in (COAL, METER, GREEN):
        once, corrected = (
            rows(record(point, 7 * 10**5)),
            rows(record(point, 10**6), record(point, 7 * 10**5, before=10**6)),
        )
        assert corrected == once, point
    # no quantity follows from an emission of nothing: the first version's stays
    assert rows(record(BOILER, 2), record(BOILER, 3, before=2)) == rows(record(BOILER, 2))


@pytest.mark.parametrize("hour", [" · tier part75.sub.pma_ge95_le24h", " · stopped"])
def test_an_hour_that_is_substituted_or_of_a_stop_is_of_its_points_rule(hour: str) -> None:
    assert rows(record(COAL, 10**6, rule=KNOWN.points[COAL].rule + hour)) == rows(record(COAL, 10**6))


def test_what_a_registry_of_before_named_is_still_known() -> None:
    changed = registry.parse(registry_bytes(points=4, more={METER: {"emission": MARKET}}), SET)
    view = View.at_genesis(KNOWN, 0)
    view.structure.record(record(METER, 10**6))
    view.govern(changed)
    (row,) = divided(view.emitted("region"), [], changed)
    assert (row["standard_coal_tce"], row["market_based_g"]) == (0.1229, None)


def test_a_set_that_lacks_the_row_of_standard_coal_gives_none() -> None:
    files = {name: data for name, data in SET.files.items() if name != "gb2589_standard_coal.csv"}
    poorer = factors.FactorSet("poorer", SET.start, files)
    known = replace(KNOWN, sets=(poorer,))
    view = View.at_genesis(known, 0)
    for point in (METER, COAL):
        view.structure.record(record(point, 10**6) | {"factors": poorer.digest})
    found = {row["point"]: row for row in divided(view.emitted("region"), ["point"], known)}
    assert (found[METER]["standard_coal_tce"], found[METER]["location_based_g"]) == (None, 530_600)
    assert found[COAL]["standard_coal_tce"] == 0.324148
    (whole,) = divided(view.emitted("region"), [], known)
    assert whole["standard_coal_tce"] is None and whole["emission_g"] == 1_594_462


@pytest.mark.parametrize("sign", [1, -1])
def test_bills_count_by_the_rule_that_they_state(sign: int) -> None:
    fields = [{"name": name, "value": MARKET[name]} for name in sorted(MARKET)]
    bill = {"subject": "plant", "source": "bill", "start": START, "end": START + HOUR, "quantity": 25, "scale": 1}
    bill |= {"unit": "MWh", "rule": fields, "factors": SET.digest, "emission_g": 1_326_500}
    view = View.at_genesis(KNOWN, 0)
    view.structure.activity(bill)
    if sign < 0:
        view.structure.activity(bill, -1)
    (row,) = divided(view.emitted("plant"), [], KNOWN)
    # 2.5 MWh
    assert (row["market_based_g"], row["standard_coal_tce"]) == ((914_400, 0.30725) if sign > 0 else (0, 0.0))
    assert view.market_based("plant") == {2016: 914_400 if sign > 0 else 0}
