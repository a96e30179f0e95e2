"""The compliance year against figures worked by hand, and its rules at their boundaries."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import compliance, factors
from carbon.compliance import ComplianceError
from carbon.factors import FactorError
from carbon.ledger.book import Book
from carbon.ledger.standing import GRAMS_PER_CREDIT, OFFSET_SHARE

SET = factors.load()
GWH, GJ, TONNE = 10**9, 10**3, 10**6  # in Wh, MJ and g


def output(period: str, wh: int, mj: int = 0, k: str = "1", unit_class: str = "coal_gt300MW") -> dict[str, object]:
    rows = {part: f"allocation_benchmarks.{period}.{unit_class}.{part}" for part in ("elec", "heat")}
    amounts = {"electricity_wh": wh, "heat_mj": mj, "correction": k}
    return {"unit": "1", "electricity": rows["elec"], "heat": rows["heat"], **amounts}


def allowed(*outputs: dict[str, object]) -> list[str]:
    return compliance.benchmark_rows(outputs)


def test_allocation_of_2019_by_hand():
    # 1,000 GWh · 0.877 t/MWh · 0.98 = 859,460 t; 500,000 GJ · 0.126 t/GJ = 63,000 t; 922,460 t in all
    one = output("2019_2020", 1000 * GWH, 500_000 * GJ, "0.98")
    assert compliance.allocation_g(2019, [one], SET) == compliance.allocation_g(2020, [one], SET) == 922_460 * TONNE


def test_allocation_of_2022_takes_electricity_supplied_and_its_correction():
    # 2,000 GWh · 0.8177 · 1.05 = 1,717,170 t; 1,000,000 GJ · 0.1105 = 110,500 t
    one = output("2022", 2000 * GWH, 1_000_000 * GJ, "1.05")
    assert compliance.allocation_g(2022, [one], SET, allowed=allowed(one)) == 1_827_670 * TONNE


def test_allocation_of_2023_adds_its_units_and_rounds_once():
    # 3,000 GWh · 0.795 = 2,385,000 t; 200,000 GJ · 0.1038 = 20,760 t; 1,000 GWh of gas · 0.3305 = 330,500 t; 70 % of it
    units = [output("2023", 3000 * GWH, 200_000 * GJ), output("2023", 1000 * GWH, unit_class="gas")]
    assert compliance.allocation_g(2023, units, SET, allowed=allowed(*units)) == 2_736_260 * TONNE
    assert compliance.allocation_g(2023, units, SET, 70, allowed(*units)) == 1_915_382 * TONNE
    # 0.877 g each of 1 Wh and 1 Wh: 1.754 g, not 1 g + 1 g
    assert compliance.allocation_g(2019, [output("2019_2020", 1)] * 2, SET) == 2


def test_benchmarks_from_memory_must_be_allowed_by_name():
    one = output("2023", GWH)
    with pytest.raises(FactorError, match=r"allocation_benchmarks\.2023\.coal_gt300MW\.elec"):
        compliance.allocation_g(2023, [one], SET)
    rows = [*allowed(one), "ets_rules.ccer_offset_cap"]
    assert SET.untrusted(rows) == tuple(sorted(allowed(one)))
    assert compliance.not_allowed(rows, SET, allowed(one)[:1]) == allowed(one)[1:]


@pytest.mark.parametrize(
    ("year", "change", "what"),
    [
        (2021, {}, "not of the year 2021"),
        (2018, {}, "not of the year 2018"),
        (2019, {"heat": "allocation_benchmarks.2019_2020.gas.heat"}, "two classes"),
        (2019, {"heat": "allocation_benchmarks.2019_2020.gas.elec"}, "no benchmark of kind heat"),
        (2019, {"electricity": "ets_rules.ccer_offset_cap"}, "no benchmark of kind elec"),
        (2019, {"correction": "0"}, "above 0"),
        (2019, {"correction": "-1"}, "above 0"),
        (2019, {"correction": "1/2"}, "above 0"),
    ],
)
def test_allocation_refuses(year: int, change: dict[str, str], what: str):
    with pytest.raises(ComplianceError, match=what):
        compliance.allocation_g(year, [output("2019_2020", GWH) | change], SET)


def test_offsets_are_five_percent_in_whole_tonnes():
    # 5 % of 1,000,019.999999 t is 50,000.99999995 t
    assert compliance.offset_cap(1_000_020 * TONNE - 1, SET) == 50_000
    assert compliance.offset_cap(1_000_020 * TONNE, SET) == 50_001


def test_shortfall_by_hand():
    # 100,000 t - 5,000 credits - 90,000 t = 5,000 t
    assert compliance.shortfall_g(100_000 * TONNE, 5_000, 90_000 * TONNE) == 5_000 * TONNE
    assert compliance.shortfall_g(100_000 * TONNE, 5_000, 95_000 * TONNE) == 0
    assert compliance.shortfall_g(100_000 * TONNE, 5_000, 96_000 * TONNE) == 0


def test_fine_is_five_to_ten_times_the_value_of_what_is_short():
    # 5,000 t · 98.50 CNY = 492,500 CNY; times 5 and 10
    assert compliance.surrender_fine(5_000 * TONNE, 9_850, SET) == (246_250_000, 492_500_000)
    # 1 g · 1 CNY/t = 10^-4 fen: times 5 and 10 still less than half a fen
    assert compliance.surrender_fine(1, 100, SET) == (0, 0)


def test_next_year_is_cut_only_by_a_refusal_to_correct():
    assert compliance.next_year_cut_g(5_000 * TONNE, False, SET) == 0
    assert compliance.next_year_cut_g(5_000 * TONNE, True, SET) == 5_000 * TONNE


def test_banking_cap_by_hand():
    # 10,000 t + 1.5 · 4,001 t = 16,001.5 t
    assert compliance.banking_cap_g(2023, 4_001 * TONNE, SET) == 16_001_500_000
    assert compliance.banking_cap_g(2024, -4_001 * TONNE, SET) == 10_000 * TONNE
    with pytest.raises(ComplianceError, match="no banking rule is known for 2025"):
        compliance.banking_cap_g(2025, 0, SET)


@pytest.mark.parametrize("net_sold_g", [0, 1, 3, 4_001 * TONNE])
def test_the_book_caps_what_is_carried_on_by_the_same_rule(net_sold_g: int):
    book = Book()
    book.balances["traded:mill:2023"] = net_sold_g
    assert book.banking_cap("mill", 2023) == compliance.banking_cap_g(2023, net_sold_g, SET)


def test_the_book_caps_offsets_by_the_same_rule():
    for need_g in (1_000_020 * TONNE - 1, 1_000_020 * TONNE):
        assert need_g // (OFFSET_SHARE * GRAMS_PER_CREDIT) == compliance.offset_cap(need_g, SET)


def test_the_deadline_is_data():
    row = "ets_rules.deadline_2023"
    with pytest.raises(ComplianceError, match=row):
        compliance.deadline(2023, SET)
    last_day = compliance.deadline(2023, SET, [row])
    assert (last_day, compliance.price_month(last_day)) == (date(2024, 12, 31), (2024, 11))
    assert compliance.price_month(date(2026, 1, 31)) == (2025, 12)
    with pytest.raises(ComplianceError, match="the deadline of 2031: no factor"):
        compliance.deadline(2031, SET, [row])


def test_what_closing_a_shortfall_costs():
    # 5,000 t · 98.50 CNY
    assert compliance.closing_cost_fen(5_000 * TONNE, 9_850) == 49_250_000


def test_false_data_by_hand():
    # a gain of 700,000 CNY: 3,500,000 to 7,000,000; below 500,000 the range that is stated
    assert compliance.false_data_fine(70_000_000, SET) == (350_000_000, 700_000_000)
    assert compliance.false_data_fine(50_000_000, SET) == (250_000_000, 500_000_000)
    assert compliance.false_data_fine(49_999_999, SET) == (50_000_000, 200_000_000)
    assert compliance.false_data_cut_percent(SET) == (50, 100)


AMOUNTS = st.integers(0, 10**15)


@settings(max_examples=50)
@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_an_allocation_is_linear_in_outputs_and_never_falls(wh: int, more: int, mj: int):
    one, other, both = (output("2019_2020", amount, mj) for amount in (wh, more, wh + more))
    given = [compliance.allocation_g(2019, units, SET) for units in ([one], [other], [both], [one, other])]
    assert abs(given[3] - given[0] - given[1]) <= 1
    assert given[2] >= given[0]
    # the heat of both is counted twice in the units apart
    heat = compliance.allocation_g(2019, [output("2019_2020", 0, mj)], SET)
    assert abs(given[3] - given[2] - heat) <= 1


@settings(max_examples=50)
@given(AMOUNTS, st.integers(0, 10**6), AMOUNTS, st.integers(0, 10**6))
def test_a_shortfall_is_what_is_left_and_its_fine_rises_with_it(need: int, offsets: int, surrendered: int, price: int):
    missing = compliance.shortfall_g(need, offsets, surrendered)
    assert missing == 0 or missing + offsets * TONNE + surrendered == need
    assert compliance.shortfall_g(need, offsets, surrendered + missing) == 0
    fine, more = (compliance.surrender_fine(grams, price, SET) for grams in (missing, missing + TONNE))
    assert fine.least_fen <= fine.most_fen and fine.least_fen <= more.least_fen
    assert abs(fine.most_fen - 2 * fine.least_fen) <= 1
