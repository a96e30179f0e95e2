"""Factor sets: what the loader refuses, with file and line, and what a caller learns of the rows it used."""

from datetime import date
from fractions import Fraction

import pytest

from carbon import factors
from carbon.factors import FactorError, FactorSet
from carbon.factors.rows import COLUMNS, STANDARD_COAL_KJ

SET = factors.load()
HEAD = ",".join(COLUMNS)
DAY = date(2027, 1, 1)
GOOD = "heat,0.11,tCO2/GJ,s,c,B,number"


def made(*rows: str, head: str = HEAD, file: str = "table.csv") -> FactorSet:
    return FactorSet("x", DAY, {file: "\n".join((head, *rows, "")).encode()})


def test_the_shipped_set_is_read_whole_and_digested():
    assert len(SET.files) == 9 and len(SET.rows) == 450
    assert SET.digest.hex() == "0f13cef13606a7fe6a6e65259de4e54a894789509641f56f96927064a40c63e3"
    assert (SET.version, SET.start) == ("2026-1", date(2026, 1, 1))
    assert factors.load() is SET
    with pytest.raises(FactorError, match="no factor set '1999'"):
        factors.load("1999")


def test_every_coefficient_of_standard_coal_rests_on_the_ncv_of_its_row():
    rows = [r for r in SET.rows.values() if r.kind == "number" and r.unit in ("kgce/kg", "kgce/m3")]
    assert len(rows) == 27
    assert SET.value("gb2589_standard_coal.kgce_definition", "kJ") == STANDARD_COAL_KJ


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a b,1,t,s,c,B,number", "the name 'a b' is not of letters"),
        (",1,t,s,c,B,number", "the name ''"),
        ("x,1,t,s,c,E,number", "confidence is A, B, C or D, not 'E'"),
        ("x,1,t,s,c,,number", "confidence is"),
        ("x,1,t,s,c,B,figure", "kind is one of number, range, list, date, text, not 'figure'"),
        ("x,1/3,t,s,c,B,number", "'1/3' is not a decimal number"),
        ("x,5-30,t,s,c,B,number", "not a decimal number"),
        ("x,-1,t,s,c,B,number", "negative"),
        ("x,7,t,s,c,B,range", "is not a range"),
        ("x,30-5,t,s,c,B,range", "is empty"),
        ("x,5-5,t,s,c,B,range", "is empty"),
        ("x,1.2.3-5,t,s,c,B,range", "not a decimal number"),
        ('x,"1,,2",t,s,c,B,list', "not a decimal number"),
        ("x,2024-13-01,date,s,c,B,date", "is not a date"),
        ("x,20241231,date,s,c,B,date", "is not a date: write 2024-12-31"),
        ("x,2024-12-31,t,s,c,B,date", "a date is in 't'"),
        ("x,1,date,s,c,B,number", "a number is in 'date'"),
        ("x,1,furlong,s,c,B,number", "a number is in 'furlong', which is not in the table of units"),
        ("x,1,-,s,c,B,number", "a number is in '-'"),
        ("x, ,-,s,c,B,text", "empty"),
        ("x,1,t,s,c,B", "6 cells under 7 columns"),
        ("x,1,t,s,c,B,number,more", "8 cells under 7 columns"),
        (GOOD, "a second row named 'heat'"),
    ],
)
def test_a_row_that_is_not_what_it_says_is_refused_by_file_and_line(row: str, says: str):
    with pytest.raises(FactorError, match=f"table.csv:3: .*{says}" if "second" in says else "table.csv:3:") as error:
        made(GOOD, row)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("rows", "file", "says"),
    [
        (("name,value,unit",), "table.csv", "table.csv:1: columns"),
        ((HEAD + ",from,ncv_kj",), "table.csv", "table.csv:1: columns"),
        ((HEAD + ",more",), "table.csv", "table.csv:1: columns"),
        ((), "table.csv", "table.csv:1: columns"),
        ((HEAD, '"x'), "table.csv", "table.csv: no CSV"),
        ((HEAD,), "../table.csv", "a table is a file of small letters"),
        ((HEAD,), "table.txt", "a table is a file of small letters"),
    ],
)
def test_a_file_that_is_no_table_is_refused(rows: tuple[str, ...], file: str, says: str):
    with pytest.raises(FactorError, match=says.replace(".", r"\.")):
        FactorSet("x", DAY, {file: "\n".join(rows).encode()})


def test_bytes_that_are_no_text_and_a_set_of_nothing_are_refused():
    with pytest.raises(FactorError, match=r"table\.csv: no CSV in UTF-8"):
        FactorSet("x", DAY, {"table.csv": b"\xff"})
    with pytest.raises(FactorError, match="has no tables"):
        FactorSet("x", DAY, {})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        # LPG with its leading 1 dropped, as a copy in the wild has it
        ("lpg,0.7143,kgce/kg,s,c,B,number,50242", "0.7143 kgce/kg is more than 0.1 % off 1.71430"),
        ("gas,0.3300,kgce/m3,s,c,B,number,38979", "more than 0.1 %"),
        ("lpg,1.7143,kgce/kg,s,c,B,number,", "states the NCV"),
        ("power,0.1232,kgce/kWh,s,c,B,number,", "more than 0.1 %"),
        ("heat,0.0345,kgce/MJ,s,c,B,number,", "more than 0.1 %"),
        ("x,1,t,s,c,B,number,5", "ncv_kj belongs to"),
        ("x,1,kgce/kg,s,c,B,number,0", "more than 0.1 %"),
    ],
)
def test_standard_coal_that_its_ncv_does_not_give_is_refused(row: str, says: str):
    with pytest.raises(FactorError, match=f"table.csv:2: .*{says}"):
        made(row, head=HEAD + ",ncv_kj")


@pytest.mark.parametrize(
    ("value", "fits"), [("1.001", True), ("1.0010001", False), ("0.999", True), ("0.9989999", False)]
)
def test_standard_coal_at_its_tolerance(value: str, fits: bool):
    row = f"x,{value},kgce/kg,s,c,B,number,29307.6"
    if fits:
        assert made(row, head=HEAD + ",ncv_kj").value("table.x", "kgce/kg") == Fraction(value)
    else:
        with pytest.raises(FactorError, match=r"0\.1 %"):
            made(row, head=HEAD + ",ncv_kj")


def test_values_are_converted_by_their_units():
    assert SET.value("fuel_defaults.ndrc_other.lignite.carbon_per_heat", "tC/GJ") == Fraction("0.028")
    assert SET.value("power_plant_mee.coal_oxidation_rate", "1") == Fraction("0.99")
    assert SET.value("ets_rules.ccer_offset_cap", "1") == Fraction("0.05")
    assert SET.value("fuel_defaults.ndrc_other.natural_gas.ncv", "GJ/Nm3") == Fraction("0.038931")
    assert SET.value("process_emissions.CaO_in_clinker", "gCO2/t") == 784_800
    assert SET.value("cems_constants.co2_1volpct_mgm3", "mg/Nm3 %") == 19_647
    assert SET.value("cems_constants.min_minutes_per_hour", "1") == 45
    assert SET.value("ets_rules.fine_fraud_floor_min", "fen") == 50_000_000


@pytest.mark.parametrize(
    ("row", "unit", "says"),
    [
        ("allocation_benchmarks.2019_2020.gas.elec", "tCO2/MWh", "no unit 'tCO2/MWh supplied'"),
        ("power_plant_mee.heat_default_factor", "kgCO2/t", "is CO2e/mass, not CO2e/energy"),
        ("power_plant_mee.direct_vs_calculated_gap", "1", "a range and not a number"),
        ("ets_rules.surrender_basis", "-", "a text and not a number"),
        ("power_plant_mee.nothing", "1", "no factor 'power_plant_mee.nothing' in set 2026-1"),
    ],
)
def test_what_does_not_convert_is_refused(row: str, unit: str, says: str):
    with pytest.raises(FactorError, match=says):
        SET.value(row, unit)


def test_a_unit_that_converts_to_no_other_is_taken_as_it_is():
    assert SET.value("allocation_benchmarks.2019_2020.gas.elec", "tCO2/MWh supplied") == Fraction("0.392")


def test_ranges_lists_and_days_are_parsed():
    assert SET.bounds("power_plant_mee.direct_vs_calculated_gap") == (5, 30)
    assert SET.row("cems_constants.minute_interval_allowed").parsed == (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
    deadline = "ets_rules.deadline_2023"
    assert SET.day(deadline, allowed={deadline}) == date(2024, 12, 31)
    for wrong in (lambda: SET.bounds("ets_rules.allowance_unit"), lambda: SET.day("ets_rules.deadline_2019_2020")):
        with pytest.raises(FactorError, match=r"a number and not a range|a text and not a date"):
            wrong()


def test_d_rows_are_refused_unless_named_and_a_caller_learns_which_it_used():
    row = "power_plant_mee.grid_factor_power_sector_2020data"
    for use in (lambda: SET.value(row, "kgCO2/kWh"), lambda: SET.day("ets_rules.deadline_2023")):
        with pytest.raises(FactorError, match="allow it by name"):
            use()
    assert SET.value(row, "kgCO2/kWh", allowed={row}) == Fraction("0.581")
    assert SET.untrusted(["power_plant_mee.heat_default_factor", row, row]) == (row,)
    with pytest.raises(FactorError, match="no factor"):
        SET.untrusted(["power_plant_mee.nothing"])


def test_a_row_is_valid_from_a_day_until_before_another():
    rows = ("a.1,1,t,s,c,B,number,,2024-01-01", "a.2,2,t,s,c,B,number,2024-01-01,2025-01-01", "a.x,9,t,s,c,B,number,,")
    dated = made(*rows, head=HEAD + ",from,until")
    days = ("2023-12-31", "2024-01-01", "2024-12-31")
    assert [dated.dated("table.a", date.fromisoformat(day)) for day in days] == ["table.a.1", "table.a.2", "table.a.2"]
    with pytest.raises(FactorError, match="0 of the 2 dated rows"):
        dated.dated("table.a", date(2025, 1, 1))
    with pytest.raises(FactorError, match="2 of the 2 dated rows"):
        made(rows[0], rows[0].replace("a.1", "a.3"), head=HEAD + ",from,until").dated("table.a", date(2020, 1, 1))
    with pytest.raises(FactorError, match=r"table\.csv:2: valid from .* never"):
        made("a,1,t,s,c,B,number,2024-01-01,2024-01-01", head=HEAD + ",from,until")


def test_the_digest_is_of_the_files_alone_in_whatever_order():
    one, other = made(GOOD), made(GOOD.replace("0.11", "0.12"))
    again = FactorSet("y", date(2028, 1, 1), dict(one.files))
    assert one.digest == again.digest != other.digest
    two = {"b.csv": b"\n".join((HEAD.encode(), b"")), "a.csv": one.files["table.csv"]}
    assert FactorSet("x", DAY, two).digest == FactorSet("x", DAY, dict(reversed(two.items()))).digest
