"""The compliance year in exact figures: allocation, offsets, shortfall, penalty, cut, banking, deadline.

Amounts are integers of grams of CO2e, money in 0.01 CNY, offset credits in whole tonnes. Every number of a rule is a
row of the factor set; one of confidence D counts only where `allowed` names it, and `FactorSet.untrusted` tells them.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from carbon.emission import round_half_even
from carbon.factors import FactorError, FactorSet

GRAMS_PER_TONNE = 1_000_000
BENCHMARKS, RULES = "allocation_benchmarks", "ets_rules"
ELECTRICITY_UNITS = ("tCO2/MWh supplied", "tCO2/MWh gross generation")
"""Until 2022 a benchmark is per electricity supplied, from 2023 on per gross generation: outputs are stated as that."""
HEAT_UNIT = "tCO2/GJ"
FINE_UNIT = "x average price of month before deadline x shortfall"
SMALL_GAIN_CNY = 500_000
SMALL_GAIN = f"CNY if gain <{SMALL_GAIN_CNY}"
"""Unit of the rows that say what may be fined for false data with such a gain."""
FEN = 100
"""In a CNY."""
YEAR_ROWS = tuple(
    f"{RULES}.{name}"
    for name in (
        *("ccer_offset_cap", "banking_cap_2019_2024", "next_year_cut_if_refused"),
        *("fine_nonsurrender_min", "fine_nonsurrender_max"),
    )
)
"""Rows that every year's surrender goes by, beside its benchmarks and its deadline."""
_BANKING = re.compile(r"(\d+) t \+ (\d+(?:\.\d+)?) x net sales (\d{4})-(\d{4})")


class ComplianceError(ValueError):
    """A benchmark of another year, class or quantity, or a year that no rule is known for."""


class FineRange(NamedTuple):
    """The least and the most that may be fined, 0.01 CNY."""

    least_fen: int
    most_fen: int


def allocation_g(
    year: int,
    outputs: Iterable[Mapping[str, Any]],
    factors: FactorSet,
    share_percent: int = 100,
    allowed: Collection[str] = (),
) -> int:
    """Allowances of a subject for a year by what its units put out, g CO2e; a cut by a decision comes off after that.

    A = Σ over units (B_e · Q_e · k + B_h · Q_h), the share of it, rounded once. B_e in t/MWh is g/Wh, B_h in t/GJ is
    1000 g/MJ. Plan 2021-2022: Q_e is electricity supplied, k the product of its correction factors (F). Plan 2023-2024:
    Q_e is gross generation, and k holds no correction for heat supply. `outputs` as in schema submission-allocation.
    Raises ComplianceError, and FactorError for a row that is unknown or not allowed.
    """
    whole = sum((_unit_g(year, unit, factors, allowed) for unit in outputs), Fraction(0))
    return _rounded(whole * share_percent / 100)


def _unit_g(year: int, output: Mapping[str, Any], factors: FactorSet, allowed: Collection[str]) -> Fraction:
    electricity, heat = output["electricity"], output["heat"]
    classes = {_benchmark_class(row, part, year) for row, part in ((electricity, "elec"), (heat, "heat"))}
    if len(classes) > 1:
        raise ComplianceError(f"{output['unit']}: {electricity} and {heat} are of two classes")
    unit = factors.row(electricity).unit
    if unit not in ELECTRICITY_UNITS:
        raise ComplianceError(f"{electricity} is in {unit}, not in {' or '.join(ELECTRICITY_UNITS)}")
    by_electricity = factors.value(electricity, unit, allowed) * correction(output["correction"])
    by_heat = factors.value(heat, HEAT_UNIT, allowed) * 1000
    return by_electricity * int(output["electricity_wh"]) + by_heat * int(output["heat_mj"])


def correction(text: str) -> Fraction:
    """A correction factor k, a decimal above 0. Raises ComplianceError."""
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) or not Fraction(text):
        raise ComplianceError(f"a correction factor is a decimal above 0, not {text!r}")
    return Fraction(text)


def _benchmark_class(row: str, part: str, year: int) -> str:
    """The unit class of a benchmark's row, `allocation_benchmarks.<year or years>.<class>.<part>`."""
    found = re.fullmatch(rf"{BENCHMARKS}\.(\d{{4}})(?:_(\d{{4}}))?\.(\w+)\.{part}", row, re.ASCII)
    if found is None:
        raise ComplianceError(f"{row!r} is no benchmark of kind {part}")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= year <= last:
        raise ComplianceError(f"{row} is not of the year {year}")
    return found[3]


def benchmark_rows(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows that an allocation is computed from, sorted."""
    return sorted({output[name] for output in outputs for name in ("electricity", "heat")})


def offset_cap(need_g: int, factors: FactorSet, allowed: Collection[str] = ()) -> int:
    """The most offset credits (CCER) that count towards a need, in whole tonnes, rounded down.

    5 % of the allowances to surrender (Measures for the administration of carbon emissions trading (trial), art. 29).
    Need is what the verifier found (Decree 775, art. 14). Raises FactorError.
    """
    percent = factors.value(f"{RULES}.ccer_offset_cap", "% of allowances to surrender", allowed)
    return int(percent / 100 * need_g / GRAMS_PER_TONNE)


def shortfall_g(need_g: int, offsets: int, surrendered_g: int) -> int:
    """max(0, need - offsets - surrendered), g CO2e; offsets in whole tonnes, within their cap (Decree 775, art. 14)."""
    return max(0, need_g - offsets * GRAMS_PER_TONNE - surrendered_g)


def surrender_fine(missing_g: int, price_fen_t: int, factors: FactorSet, allowed: Collection[str] = ()) -> FineRange:
    """What may be fined for a shortfall: 5 to 10 times its value at the average price of the month before the deadline.

    State Council Decree 775, art. 24. Raises FactorError.
    """
    times = [factors.value(f"{RULES}.fine_nonsurrender_{end}", FINE_UNIT, allowed) for end in ("min", "max")]
    value = Fraction(missing_g * price_fen_t, GRAMS_PER_TONNE)
    return FineRange(*(_rounded(value * each) for each in times))


def next_year_cut_g(missing_g: int, refused: bool, factors: FactorSet, allowed: Collection[str] = ()) -> int:
    """What comes off the next year's allowances, g CO2e: as much as is short, and only when correction was refused.

    State Council Decree 775, art. 24; the refusal is a decision on the ledger. Raises FactorError.
    """
    if not refused:
        return 0
    return _rounded(missing_g * factors.value(f"{RULES}.next_year_cut_if_refused", "t cut per t short", allowed))


def banking_cap_g(year: int, net_sold_g: int, factors: FactorSet, allowed: Collection[str] = ()) -> int:
    """The most that a subject may carry on from a year, g CO2e: 10,000 t + 1.5 · net sales.

    Allocation plan 2023-2024, for what was allocated for 2019-2024. Who bought more than it sold has sold nothing
    net. Raises ComplianceError for another year, FactorError.
    """
    row = factors.trusted(f"{RULES}.banking_cap_2019_2024", allowed)
    found = _BANKING.fullmatch(row.value)
    if found is None:
        raise ComplianceError(f"{RULES}.{row.name}: {row.value!r} is no banking rule")
    if not int(found[3]) <= year <= int(found[4]):
        raise ComplianceError(f"no banking rule is known for {year}: {RULES}.{row.name} is of {found[3]}-{found[4]}")
    return int(found[1]) * GRAMS_PER_TONNE + _rounded(Fraction(found[2]) * max(0, net_sold_g))


def deadline(year: int, factors: FactorSet, allowed: Collection[str] = ()) -> date:
    """The last day of surrender for a compliance year. Raises ComplianceError for a year without one, FactorError."""
    try:
        row = factors.trusted(deadline_row(year), allowed)
        return date.fromisoformat(row.value)
    except FactorError as error:
        raise ComplianceError(f"the deadline of {year}: {error}") from error


def deadline_row(year: int) -> str:
    """The row of a year's deadline."""
    return f"{RULES}.deadline_{year}"


def price_month(last_day: date) -> tuple[int, int]:
    """Year and month whose average price a fine goes by: the calendar month before the one with the deadline.

    Our reading of Decree 775, art. 24, which says `the month before the time limit`.
    """
    return (last_day.year, last_day.month - 1) if last_day.month > 1 else (last_day.year - 1, 12)


def false_data_fine(gain_fen: int, factors: FactorSet, allowed: Collection[str] = ()) -> FineRange:
    """What may be fined for false data by the illegal gain, 0.01 CNY: 5 to 10 times it, or a range for a small gain.

    State Council Decree 775, art. 22: without a gain or with one below CNY 500,000, CNY 500,000 to 2,000,000. Raises
    FactorError.
    """
    if gain_fen < FEN * SMALL_GAIN_CNY:
        floor = [factors.value(f"{RULES}.fine_fraud_floor_{end}", SMALL_GAIN, allowed) for end in ("min", "max")]
        return FineRange(*(_rounded(FEN * each) for each in floor))
    times = [factors.value(f"{RULES}.fine_fraud_multiple_{end}", "x illegal gain", allowed) for end in ("min", "max")]
    return FineRange(*(_rounded(each * gain_fen) for each in times))


def false_data_cut_percent(factors: FactorSet, allowed: Collection[str] = ()) -> tuple[Fraction, Fraction]:
    """How much of the next year's allowances may be cut when correction of false data is refused, in percent.

    State Council Decree 775, art. 22. Raises FactorError.
    """
    unit = "% of next-year allowances"
    least, most = (factors.value(f"{RULES}.fraud_refused_cut_{end}", unit, allowed) for end in ("min", "max"))
    return least, most


def closing_cost_fen(missing_g: int, price_fen_t: int) -> int:
    """What the missing allowances cost at a declared price, 0.01 CNY."""
    return round_half_even(missing_g * price_fen_t, GRAMS_PER_TONNE)


def not_allowed(rows: Iterable[str], factors: FactorSet, allowed: Sequence[str]) -> list[str]:
    """Those of them that nobody allowed by name: with any, nothing may be computed."""
    return [row for row in factors.untrusted(rows) if row not in allowed]


def _rounded(value: Fraction) -> int:
    return round_half_even(*value.as_integer_ratio())
