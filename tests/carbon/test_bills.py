"""A year of an invented shop's bills from one CSV: every emission by hand, every fault with its line."""

import re
from collections.abc import Collection
from hashlib import sha256

import pytest

from carbon import bills
from carbon.bills import Biller, BillsError
from carbon.wording import Setting, WordingError
from schemas import codec
from tests.contents import OFFSET, REGISTRY, month

PAPER = sha256(b"bill.pdf").digest()


def digest_of(name: str) -> bytes:
    if name != "bill.pdf":
        raise WordingError(f"{name}: no such file")
    return PAPER


def biller(subject: str = "shop", allowed: Collection[str] = ()) -> Biller:
    return Biller(subject, REGISTRY, Setting(OFFSET, REGISTRY.factors.digest, digest_of), allowed)


HEADER = "period,energy,quantity,document\n"


def row(
    period: str = "2023-01", energy: str = "electricity", quantity: str = "1 kWh", document: str = "bill.pdf"
) -> str:
    return f"{period},{energy},{quantity},{document}\n"


def faults(text: str, **of: str) -> list[tuple[int, str]]:
    with pytest.raises(BillsError) as caught:
        bills.contents_of(text, biller(**of))
    return [tuple(fault) for fault in caught.value.faults]


def test_a_year_of_bills() -> None:
    electricity = "".join(row(f"2023-{m:02d}", quantity=f"{1000 + m}.5 kWh") for m in range(1, 13))
    others = row("2023", "natural_gas", "1000 Nm3") + row("2023-12", "heat", "10 GJ") + row("2023", "diesel", "250 kg")
    contents = bills.contents_of(HEADER + electricity + others, biller())
    assert len(contents) == 15
    # Σ (1000.5 + m) kWh · 530.6 g/kWh = 12,084 kWh · 530.6 g/kWh; each month's is a multiple of 0.1 g by itself
    assert sum(content["emission_g"] for content in contents[:12]) == pytest.approx(12_084 * 530.6, abs=6)
    assert contents[0]["emission_g"] == 531_396  # 1001.5 · 530.6 = 531,395.9
    # 1000 Nm3 · 389.31 GJ / 10^4 Nm3 · 15.3 kg/GJ · 0.99 · 44/12
    assert contents[12]["emission_g"] == round(1_000 * 0.038931 * 15.3 * 0.99 * 44 / 12 * 1_000)
    assert contents[13]["emission_g"] == 1_100_000  # 10 GJ · 0.11 t/GJ
    assert (contents[0]["start"], contents[0]["end"], contents[12]["end"]) == (month(1), month(2), month(13))
    assert {content["document"] for content in contents} == {PAPER}
    for content in contents:
        assert codec.decode_bare("submission-activity", codec.encode_bare("submission-activity", content)) == content


def test_what_a_row_may_say() -> None:
    text = (
        "\ufeffsource,factor,document,quantity,energy,period\n"
        f"workshop,,{'AB' * 32},2 MWh,electricity/province.Shandong,2022-03-01/2022-03-16\n"
        ",grid_factors.CN.national.2022, bill.pdf ,1 kWh,electricity,2023-03-31\n"
    )
    first, second = bills.contents_of(text, biller())
    assert (first["source"], first["document"], first["emission_g"]) == (
        "workshop",
        bytes.fromhex("AB" * 32),
        1_282_000,
    )
    assert first["end"] - first["start"] == 15 * 86_400_000
    assert (second["source"], second["emission_g"]) == ("electricity", 537)  # 536.6 g
    assert second["end"] == month(4)


def test_rows_from_memory_need_to_be_allowed_and_are_named() -> None:
    text = HEADER + row("2023", "mee_power.diesel", "1 t")
    ((line, reason),) = faults(text)
    assert (line, "allow it by name" in reason) == (2, True)
    rows = [f"fuel_defaults.mee_power.diesel.{part}" for part in ("carbon_per_heat", "ncv", "oxidation")]
    (content,) = bills.contents_of(text, biller(allowed=[*rows, "more.rows"]))
    assert content["allowed"] == rows


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"period": "2023-13"}, "no month"),
        ({"period": "March"}, "March"),
        ({"period": "2023-02/2023-01"}, "2023-02"),
        ({"period": "2022-12-01/2023-02-01"}, "wrong_period"),
        ({"period": "0000"}, "year"),
        ({"period": "1985"}, "no factor 'grid_factors.CN.national.1985'"),
        ({"energy": "coal"}, "no factor 'fuel_defaults.ndrc_other.coal"),
        ({"energy": "diesel", "quantity": "20 L"}, "not in 'L'"),
        ({"energy": "natural_gas", "quantity": "20 m3"}, "not in 'm3'"),
        ({"energy": "natural_gas", "quantity": "20 t"}, "Nm3"),
        ({"energy": "diesel/north", "quantity": "1 t"}, "goes by the rows of its guideline"),
        ({"energy": "electricity/moon"}, "no factor"),
        ({"energy": "two words", "quantity": "1 t"}, "no factor|malformed"),
        ({"energy": "heat", "quantity": "1 t"}, "mass, not energy|energy, not mass"),
        ({"quantity": "0 kWh"}, "not_positive"),
        ({"quantity": "-1 kWh"}, "not_positive"),
        ({"quantity": "1 t"}, "mass"),
        ({"quantity": "1"}, "a number and a unit"),
        ({"quantity": "1 million kWh"}, "million"),
        ({"quantity": "99999999 GWh"}, "absurd"),
        ({"quantity": "10.000000000000000000 kWh"}, "more digits"),
        ({"document": "other.pdf"}, "no such file"),
        ({"document": ""}, "no such file"),
        ({"document": "ab" * 31}, "no such file"),
    ],
)
def test_a_row_that_is_not_taken_says_why(changes: dict[str, str], says: str) -> None:
    ((line, reason),) = faults(HEADER + row("2022-06") + row(**changes))
    assert line == 3

    assert re.search(says, reason), reason


def test_every_fault_is_told_with_its_line() -> None:
    text = HEADER + row(quantity="0 kWh") + "\n" + row("2023-02") + row("2023-02", quantity="much")
    assert [line for line, _ in faults(text)] == [2, 5]


def test_doubled_and_overlapping_bills_of_a_source() -> None:
    text = HEADER + row("2023-02") + row("2023-01") + row("2023-02") + row("2023-01-31/2023-02-02") + row("2023-03")
    found = faults(text)
    assert found == [
        (4, "electricity: is the same bill as line 2"),
        (5, "electricity: overlaps line 2"),
        (5, "electricity: overlaps line 3"),
    ]


def test_a_long_bill_overlaps_all_within() -> None:
    found = faults(HEADER + row("2023") + row("2023-02") + row("2023-05"))
    assert found == [(3, "electricity: overlaps line 2"), (4, "electricity: overlaps line 2")]


def test_another_source_may_have_the_same_months() -> None:
    text = HEADER + row() + row(energy="heat", quantity="1 GJ") + row("2023-02")
    assert len(bills.contents_of(text, biller())) == 3


def test_the_committee_would_not_take_a_metered_source_or_a_regions_bills() -> None:
    header = HEADER.replace("document", "document,source")
    metered = header + row("2023-03").replace("\n", ",plant-0-1\n")
    assert faults(metered, subject="works") == [(2, "the committee would refuse it: metered")]
    assert faults(HEADER + row(), subject="region") == [(2, "the committee would refuse it: wrong_subject")]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the columns are period, energy, quantity, document"),
        (HEADER, 1, "no bills"),
        ("period,energy,quantity\n2023,diesel,1 t\n", 1, "the columns are"),
        (HEADER.replace("period", "period,price"), 1, "the columns are"),
        (HEADER.replace("period", "period,period"), 1, "the columns are"),
        (HEADER + "2023,diesel\n", 2, "not 4 cells"),
        (HEADER + row() + "2023,diesel,1 t,bill.pdf,more\n", 3, "not 4 cells"),
        (HEADER + '"2023"x,diesel,1 t,bill.pdf\n', 2, "not CSV"),
        (HEADER + row() * (bills.MOST_BILLS + 1), bills.MOST_BILLS + 2, "more than 1000 bills"),
    ],
)
def test_what_is_no_file_of_bills(text: str, line: int, says: str) -> None:
    ((found, reason),) = faults(text)
    assert (found, says in reason) == (line, True)
