"""Extracts tell which accounts they are from, whether a verifier found them, and which rows are from memory."""

from fractions import Fraction

from carbon.regulator import extracts
from carbon.regulator.extracts import YearOfAccounts
from carbon.regulator.figures import Performance
from carbon.regulator.rating import Finding, Rating

ROW = "allocation_benchmarks.2023.gas.elec"
YEAR = YearOfAccounts(
    "mill", 2023, 3_000_000, 1_000_000, 7_000, 2_000_000, 15_000, 500, -1, ("allowances:mill:2023",), True, (ROW,)
)


def test_fiscal_by_hand():
    rows = extracts.fiscal([YEAR], 9_850)
    # 3 t at 98.50 CNY
    assert [(row["item"], row["amount_g"], row["amount_fen"]) for row in rows] == [
        ("allocated for nothing", 3_000_000, 29_550),
        ("fines", None, 500),
        ("rewards", None, -1),
    ]
    assert all(set(row) == set(extracts.FISCAL) and row["from_memory"] == ROW for row in rows)


def test_tax_by_hand():
    rows = extracts.tax([YEAR])
    assert [(row["item"], row["amount_g"], row["amount_fen"]) for row in rows] == [
        ("allowances sold", 1_000_000, 7_000),
        ("allowances bought", 2_000_000, 15_000),
    ]
    assert all(set(row) == set(extracts.TAX) and row["verified"] for row in rows)


def test_green_finance_says_why():
    finding = Finding("cover", Fraction(1), "green", "at least 1.00", "Because.")
    performance = Performance("mill", 2_000_000, outputs={("steel", "t"): Fraction(3)}, gdp_fen=1_000_000)
    ratings = {"mill": Rating("mill", "green", (finding,))}
    (row,) = extracts.green_finance([YEAR], {"mill": performance}, {"mill": Rating("mill", "A", ())}, ratings)
    assert set(row) == set(extracts.GREEN_FINANCE)
    # 2 t / 10,000 CNY; 2,000,000 g / 3 t
    assert (row["t_per_10000_cny"], row["g_per_unit"], row["unit"]) == ("2.0000", "666666.6667", "steel (t)")
    assert (row["grade"], row["colour"], row["why"]) == ("A", "green", "cover 1.0000 (at least 1.00): green. Because.")
    assert (row["accounts"], row["verified"], row["from_memory"]) == ("allowances:mill:2023", True, ROW)
