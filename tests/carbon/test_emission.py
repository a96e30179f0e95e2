"""Emission rules against figures worked by hand, and rounding against the definition."""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import emission, factors
from carbon.emission import EmissionRule, coefficient_per, rule_from, told
from carbon.emission.combustion import Combustion, Fuel, default_carbon_row, weighted_carbon
from carbon.emission.energy import PurchasedElectricity
from carbon.emission.figures import figures
from carbon.factors import FactorError
from carbon.ledger.books import source_of
from carbon.quantity import QuantityError
from tests.small import COEFFICIENT

SET = factors.load()
OXIDATION = "power_plant_mee.coal_oxidation_rate"
COAL = Combustion("9.5", "power_plant_mee.coal_default_carbon_per_heat_2022on", OXIDATION)
DIESEL = {"rule": "fuel", "fuel": "fuel_defaults.ndrc_other.diesel", "per": "t"}
GAS = {"rule": "fuel", "fuel": "fuel_defaults.ndrc_other.natural_gas", "per": "Nm3"}
MEASURED = {"rule": "measured_carbon", "carbon": "0.5512", "ncv": "20.1", "oxidation": OXIDATION}
DEFAULT = {"rule": "default_carbon", "ncv": "20.1", "carbon": COAL.carbon, "oxidation": OXIDATION}
GRID = {"rule": "purchased_electricity", "factor": "grid_factors.CN.national.2023"}
MARKET = GRID | {
    "contracted": "0.4",
    "contract": "0",
    "residual": "grid_factors.CN.national_excl_traded_nonfossil.2023",
}
HEAT = {"rule": "heat", "factor": "power_plant_mee.heat_default_factor"}
LIMESTONE = {"rule": "process", "factor": "process_emissions.CaCO3", "part": "0.9"}
METHANE = {"rule": "methane", "assessment": "AR5"}
WOOD = {"rule": "biogenic", "carbon": "0.45", "ncv": "15", "oxidation": OXIDATION}
STACK = {"rule": "cems_mass", "basis": "dry", "flow": "flow", "flow_basis": "dry"}
STACK_METHANE = STACK | {"rule": "cems_methane", "assessment": "AR6"}
COAL_RULE = {"rule": "combustion", "heat_rate": "9.5", "carbon": COAL.carbon, "oxidation": OXIDATION}

# rule, unit, g CO2e per unit, kgce per unit, source, gas, scope: each worked by hand
WORKED = [
    # 9.5 GJ/MWh · 0.03085 tC/GJ · 0.99 · 44/12; 9500 MJ/MWh / 29.3076 MJ/kgce
    (COAL_RULE, "MWh", Fraction("1063862.25"), Fraction(9_500_000, 29_307_600) * 1000, "combustion", "CO2", 1),
    # 43.33 GJ/t · 20.2 kgC/GJ · 0.98 = 857.76068 kgC/t; 44/12 of it 3145.12 kg (the table: 3.14512 t/t)
    (DIESEL, "t", Fraction("857760.68") * 44 / 12, Fraction(43_330) / Fraction("29.3076"), "combustion", "CO2", 1),
    # 38.931 MJ/Nm3 · 15.3 gC/MJ · 0.99 = 589.687857 gC/Nm3; 44/12 of it 2162.189 g (the table: 21.62189 t / 10^4 Nm3)
    (GAS, "Nm3", Fraction("589.687857") * 44 / 12, Fraction("38.931") / Fraction("29.3076"), "combustion", "CO2", 1),
    # 0.5512 · 0.99 · 44/12 = 2.000856 t/t; 20,100 / 29.3076 kgce/t
    (MEASURED, "t", Fraction(2_000_856), Fraction(20_100) / Fraction("29.3076"), "combustion", "CO2", 1),
    # 20.1 · 0.03085 · 0.99 · 44/12 = 2.25090855 t/t
    (DEFAULT, "t", Fraction("2250908.55"), Fraction(20_100) / Fraction("29.3076"), "combustion", "CO2", 1),
    (GRID, "kWh", Fraction("530.6"), Fraction("0.1229"), "electricity", "CO2", 2),
    # what contracts cover changes nothing of what is booked
    (MARKET, "kWh", Fraction("530.6"), Fraction("0.1229"), "electricity", "CO2", 2),
    (HEAT, "GJ", Fraction(110_000), Fraction("34.12"), "heat", "CO2", 2),
    # 0.9 · 0.4397 t/t
    (LIMESTONE, "t", Fraction(395_730), Fraction(0), "process", "CO2", 1),
    (METHANE, "kg", Fraction(28_000), Fraction(0), "methane", "CH4", 1),
    (WOOD, "t", Fraction(0), Fraction(15_000) / Fraction("29.3076"), "biogenic", "CO2", 0),
    (STACK, "kgCO2", Fraction(1000), Fraction(0), "stack", "CO2", 1),
    (STACK_METHANE, "kg", Fraction(27_900), Fraction(0), "methane", "CH4", 1),
    ({"rule": "none"}, "", Fraction(0), Fraction(0), "none", "", 0),
]  # fmt: skip
RULES = [rule_from(row[0]) for row in WORKED[:-1]]


@pytest.mark.parametrize(("data", "unit", "grams", "coal", "source", "gas", "scope"), WORKED)
def test_each_rule_by_hand(
    data: dict[str, str], unit: str, grams: Fraction, coal: Fraction, source: str, gas: str, scope: int
) -> None:
    rule = rule_from(data)
    assert coefficient_per(unit, rule, SET) == grams
    assert rule.standard_coal(SET) == coal * (coefficient_per_unit(rule, unit))
    assert (rule.source, rule.gas, rule.scope) == (source, gas, scope)


def coefficient_per_unit(rule: EmissionRule, unit: str) -> Fraction:
    """How many `unit` one of the rule's is."""
    return emission.ratio(rule.unit, unit) if unit else Fraction(1)


def test_coal_by_hand():
    # 1 MWh · 9.5 GJ/MWh · 0.03085 tC/GJ · 0.99 · 44/12 = 1.06386225 t
    assert COAL.coefficient(SET) == COEFFICIENT == Fraction("1.06386225") * 1
    assert emission.emission_g(1_000_000, COAL.coefficient(SET).as_integer_ratio()) == 1_063_862


def test_lignite_and_gas_convert_their_units():
    lignite = Combustion(
        "10", "fuel_defaults.ndrc_other.lignite.carbon_per_heat", "fuel_defaults.ndrc_other.lignite.oxidation"
    )
    # 10 · 28.0/1000 · 0.96 · 44/12
    assert lignite.coefficient(SET) == Fraction(10) * Fraction(28, 1000) * Fraction(96, 100) * Fraction(44, 12)


def test_electricity_is_the_grid_factor():
    assert PurchasedElectricity("grid_factors.CN.national.2023").coefficient(SET) == Fraction("0.5306")


@pytest.mark.parametrize("fuel", ["anthracite", "coke", "gasoline", "lpg", "lng", "natural_gas", "converter_gas"])
def test_a_fuels_defaults_give_the_factor_that_its_table_derives(fuel: str) -> None:
    row = f"fuel_defaults.ndrc_other.{fuel}.ef_derived"
    per = "Nm3" if fuel.endswith("gas") else "t"
    derived = SET.value(row, f"gCO2/{per}")
    assert abs(Fuel(f"fuel_defaults.ndrc_other.{fuel}", per).coefficient(SET) / derived - 1) < Fraction(1, 100_000)


def test_heat_measured_at_the_burner_needs_no_ncv():
    per_heat, per_tonne = (Fuel(DIESEL["fuel"], per).coefficient(SET) for per in ("GJ", "t"))
    assert per_heat * Fraction("43.33") == per_tonne


@pytest.mark.parametrize(("day", "carbon"), [("2022-05-31", "0.03356"), ("2022-06-01", "0.03085")])
def test_the_default_carbon_of_coal_is_that_of_the_day(day: str, carbon: str):
    assert SET.value(default_carbon_row(SET, date.fromisoformat(day)), "tC/GJ") == Fraction(carbon)


def test_biogenic_carbon_is_reported_apart():
    # 0.45 · 0.99 · 44/12 = 1.6335 t/t
    assert rule_from(WOOD).apart(SET) == 1_633_500
    assert all(rule.apart(SET) == 0 for rule in RULES if rule.source != "biogenic")


def test_the_years_carbon_is_weighted_by_consumption():
    # (100 · 0.5 + 300 · 0.6) / 400
    assert weighted_carbon([(Fraction(100), Fraction("0.5")), (Fraction(300), Fraction("0.6"))]) == Fraction("0.575")
    for nothing in ([], [(Fraction(0), Fraction(1))], [(Fraction(2), Fraction(1)), (Fraction(-1), Fraction(1))]):
        with pytest.raises(QuantityError, match="needs consumption"):
            weighted_carbon(nothing)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**6)), min_size=1, max_size=12))
@settings(max_examples=30)
def test_the_weighted_carbon_of_a_year_burns_to_what_its_months_do(months: list[tuple[int, int]]) -> None:
    exact = [(Fraction(fuel), Fraction(carbon, 10**6)) for fuel, carbon in months]
    assert weighted_carbon(exact) * sum(fuel for fuel, _ in exact) == sum(fuel * carbon for fuel, carbon in exact)


def test_methane_weighs_what_the_named_assessment_says():
    of = {a: rule_from({"rule": "methane", "assessment": a}).coefficient(SET) for a in ("AR5", "AR6", "AR5_ccf")}
    assert of == {"AR5": 28 * 10**6, "AR6": Fraction("27.9") * 10**6, "AR5_ccf": 34 * 10**6}
    fossil = rule_from({"rule": "methane", "assessment": "AR6", "origin": "fossil"})
    with pytest.raises(FactorError, match="allow it by name"):
        fossil.coefficient(SET)
    assert fossil.coefficient(SET, fossil.rows) == Fraction("29.8") * 10**6
    assert SET.untrusted(fossil.rows) == ("gwp.GWP100.CH4_fossil.AR6",)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"rule": "alchemy"},
        {"rule": "heat"},
        {"rule": "heat", "factor": "x", "more": "y"},
        {"rule": "heat", "factor": 5},
        {**DIESEL, "per": "bucket"},
        {"rule": "methane", "assessment": "AR7"},
        {"rule": "methane", "assessment": "AR5", "origin": "cow"},
    ],
)
def test_what_is_no_rule_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no emission rule|no rule|texts|a fuel is in|no potential"):
        rule_from(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({**COAL_RULE, "heat_rate": "-9.5"}, "negative"),
        ({**COAL_RULE, "heat_rate": "1e999999999"}, "not a decimal"),
        ({**COAL_RULE, "carbon": OXIDATION}, "tC/GJ is carbon/energy, not a pure number"),
        ({**COAL_RULE, "carbon": "nothing"}, "no factor"),
        ({**MEASURED, "carbon": "1.01"}, "more than pure carbon"),
        ({**MARKET, "contracted": "1.01"}, "more than the whole"),
        ({**MARKET, "contract": "-0.1"}, "negative"),
        ({**LIMESTONE, "part": "1.01"}, "more than the whole"),
        ({**WOOD, "carbon": "1.01"}, "more than the whole"),
        ({**WOOD, "oxidation": "nothing"}, "no factor"),
        ({**DIESEL, "per": "Nm3"}, "normal volume"),
        ({**GAS, "per": "t"}, "normal volume"),
        ({**HEAT, "factor": GRID["factor"] + "x"}, "no factor"),
    ],
)
def test_what_a_rule_cant_be_computed_from_is_refused(data: dict[str, str], says: str) -> None:
    with pytest.raises((FactorError, QuantityError), match=says):
        rule_from(data).coefficient(SET)


@pytest.mark.parametrize(("rule", "unit"), [(DIESEL, "Nm3"), (GAS, "m3"), (GRID, "t"), (HEAT, "Pa"), (METHANE, "tCO2")])
def test_a_quantity_of_another_dimension_is_refused(rule: dict[str, str], unit: str) -> None:
    with pytest.raises(QuantityError):
        coefficient_per(unit, rule_from(rule), SET)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (COAL_RULE, f"combustion: 9.5 GJ/MWh · {COAL.carbon} · {OXIDATION} · 44/12"),
        (GRID, "purchased electricity: grid_factors.CN.national.2023"),
        ({"rule": "none"}, "none"),
    ],
)
def test_what_records_state_stays(data: dict[str, str], text: str) -> None:
    assert str(rule_from(data)) == text


def test_every_rule_says_another_text_and_where_it_is_from():
    assert {type(rule) for rule in RULES} == {*emission.RULES.values()} - {emission.Unbooked}
    assert len({str(rule) for rule in RULES}) == len(RULES)
    assert all(rule.reference for rule in RULES)
    assert all(SET.row(row) for rule in RULES for row in rule.rows)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_text_of_a_record_tells_the_rule_and_what_emits(rule: EmissionRule) -> None:
    for text in (str(rule), f"{rule} · confidence D: {OXIDATION}", f"{rule} · missing hours after 24 h: part75"):
        assert (told(text), source_of(text)) == (type(rule), rule.source)
    assert told("alchemy: gold") is None


def test_a_quantity_comes_to_its_emission_standard_coal_and_biogenic_carbon():
    # 1.5 MWh · 1063.86225 kg/MWh; 1.5 MWh · 9.5 GJ/MWh / 29.3076 MJ/kgce = 486.222 kgce
    assert figures(15, 1, "MWh", COAL, SET) == (1_595_793, 486_222, 0, None)
    # 2 kg · 15 MJ/kg / 29.3076 MJ/kgce = 1.0236 kgce; 2 · 0.45 · 0.99 · 44/12 = 3.267 kg
    assert figures(2, 0, "kg", rule_from(WOOD), SET) == (0, 1_024, 3_267, None)
    with pytest.raises(QuantityError):
        figures(2, 0, "kg", COAL, SET)


def test_the_market_based_figure_stands_beside_the_location_based_one():
    # 1.5 MWh · 530.6 kg/MWh; by contracts 1.5 · (0.4 · 0 + 0.6 · 609.6) = 548.64 kg; 1.5 · 122.9 kgce
    assert figures(15, 1, "MWh", rule_from(MARKET), SET) == (795_900, 184_350, 0, 548_640)
    # nothing under contract: all by the residual mix; no residual mix named: none
    rest = rule_from(GRID | {"residual": MARKET["residual"]})
    assert rest.market(SET) == Fraction("0.6096")
    assert rule_from(GRID).market(SET) is None
    # 0.25 · 0.2 + 0.75 · 0.6096
    some = rule_from(MARKET | {"contracted": "0.25", "contract": "0.2"})
    assert some.market(SET) == Fraction("0.5072")
    assert str(some) == (
        "purchased electricity: grid_factors.CN.national.2023; market-based: 0.25 at 0.2 kgCO2/kWh, "
        "the rest grid_factors.CN.national_excl_traded_nonfossil.2023"
    )


def test_contracts_without_a_residual_mix_and_a_residual_mix_that_is_none_are_refused():
    with pytest.raises(QuantityError, match="residual mix"):
        rule_from(GRID | {"contracted": "0.4", "contract": "0"})
    for residual, says in (("nothing", "no factor"), ("grid_factors.CN.fossil.2022", "allow it by name")):
        with pytest.raises(FactorError, match=says):
            rule_from(MARKET | {"residual": residual}).coefficient(SET)
    allowed = ("grid_factors.CN.fossil.2022",)
    assert SET.untrusted(rule_from(MARKET | {"residual": allowed[0]}).rows) == allowed


def test_a_rule_covers_its_source_and_a_booked_stack_all_that_burns_and_calcines():
    of = dict(zip((row[0]["rule"] for row in WORKED), [*RULES, rule_from({"rule": "none"})], strict=True))
    assert all(
        one.covers(other) == (one.source == other.source) for one in RULES for other in RULES if one != of["cems_mass"]
    )
    covered = {name for name, rule in of.items() if of["cems_mass"].covers(rule)}
    assert covered == {"combustion", "fuel", "measured_carbon", "default_carbon", "process", "cems_mass"}
    assert not any(rule_from(STACK | {"booked": "no"}).covers(rule) for rule in RULES)


@given(st.sampled_from(RULES), st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
@settings(max_examples=60)
def test_an_emission_is_linear_and_rises_with_its_quantity(rule: EmissionRule, one: int, other: int) -> None:
    coefficient = rule.coefficient(SET)
    ratio = coefficient.as_integer_ratio()
    apart = emission.emission_g(one, ratio) + emission.emission_g(other, ratio)
    assert abs(emission.emission_g(one + other, ratio) - apart) <= 1
    assert abs(emission.emission_g(one, ratio) - one * coefficient) <= Fraction(1, 2)
    if one <= other:
        assert emission.emission_g(one, ratio) <= emission.emission_g(other, ratio)


@given(st.sampled_from([(r, u) for r in RULES for u in ("kg", "t", "kWh", "GJ", "Nm3")]), st.integers(1, 10**9))
@settings(max_examples=60)
def test_the_unit_that_a_quantity_is_stated_in_changes_no_emission(of: tuple[EmissionRule, str], amount: int) -> None:
    rule, unit = of
    try:
        there = emission.ratio(unit, rule.unit)
    except QuantityError:
        with pytest.raises(QuantityError):
            coefficient_per(unit, rule, SET)
        return
    assert amount * coefficient_per(unit, rule, SET) == amount * there * rule.coefficient(SET)


def test_more_carbon_oxidation_or_heat_emits_more():
    rates = [Combustion(rate, COAL.carbon, OXIDATION).coefficient(SET) for rate in ("8", "9.5", "10")]
    carbons = [rule_from({**MEASURED, "carbon": c}).coefficient(SET) for c in ("0.4", "0.5512", "1")]
    contracts = [rule_from({**MARKET, "contracted": c}).market(SET) for c in ("1", "0.4", "0")]
    assert all(values == sorted(set(values)) for values in (rates, carbons, contracts))


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_round_half_even(numerator, denominator):
    wanted = round(Fraction(numerator, denominator))
    assert emission.round_half_even(numerator, denominator) == wanted


@pytest.mark.parametrize(("half", "even"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2)])
def test_ties_go_to_even(half, even):
    assert emission.round_half_even(half, 2) == even
    assert (Decimal(half) / 2).quantize(Decimal(1), ROUND_HALF_EVEN) == even
