"""Substitution: worked examples by hand, each tier at its boundary, and what no history may change."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import factors, substitution
from carbon.factors import FactorError
from carbon.substitution import AVAILABILITY_HOURS, HOUR_MS, Gap, Method, Regime, Substitution, SubstitutionError

FACTORS = factors.load()
PART75 = substitution.tier_set("part75", FACTORS)
HJ_ROWS = [f"cems_constants.hj75.sub.alpha_{name}" for name in ("ge90_le24h", "ge90_gt24h", "75_90")]
HJ75 = substitution.tier_set("hj75", FACTORS, HJ_ROWS)
POTENTIAL = 9_999
US = (Regime(0, PART75, POTENTIAL),)
CN = (Regime(0, HJ75, POTENTIAL),)


class Substituted(NamedTuple):
    """A missing hour, and what it is charged."""

    place: int
    value: int
    row: str
    method: Method


def substitute(told: Sequence[int | None], regimes: tuple[Regime, ...]) -> list[Substituted]:
    """The charges of all gaps that have ended, from a whole history at once: place n is hour n."""
    found, first = [], None
    for place, value in enumerate(told):
        if value is None:
            first = place if first is None else first
        elif first is not None:
            since = max(0, place - AVAILABILITY_HOURS)
            measured = sum(one is not None for one in told[since:place])
            before = [one for one in told[:first] if one is not None]
            gap = Gap(place - first, measured, place - since, before, value)
            charge = Substitution(regimes).at(HOUR_MS * first).charge(gap)
            found += [Substituted(hour, *charge[:3]) for hour in range(first, place)]
            first = None
    return found


def one_gap(measured: int, gap: int, regimes: tuple[Regime, ...], last: int = 100, after: int = 200) -> Substituted:
    """The value of a gap behind measured hours 1, 2, 3, … that end with `last`."""
    found = substitute([*range(1, measured), last, *[None] * gap, after], regimes)
    assert len(found) == gap and len({one[1:] for one in found}) == 1
    return found[0]


@pytest.mark.parametrize(
    ("measured", "gap", "tier", "method", "value"),
    [
        # 95.0 % and 24 hours: the mean of 100 and 200
        (456, 24, "ge95_le24h", Method.AROUND, 150),
        # 475 of 500 hours; 90 % of the 475 values is rank 428 (427.5 upwards): 1 … 474 with 100 twice holds 427 there
        (475, 25, "ge95_gt24h", Method.PERCENTILE, 427),
        # the last 720 of 2,000 hours are 1,281 … 1,999 and 100: 648 are 90 %, the 648th is 1,280 + 647
        (2000, 25, "ge95_gt24h", Method.PERCENTILE, 1_927),
        # 151 of 159 hours are 94.97 %
        (151, 8, "90_95_le8h", Method.AROUND, 150),
        # 81 of 90 hours are 90.0 %; 95 % of 81 is rank 77 (76.95 upwards): 77 of 1 … 80 and 100
        (81, 9, "90_95_gt8h", Method.PERCENTILE, 150),
        # 170 of 179 hours are 94.97 %; rank 162 (161.5): 161, as 100 stands twice
        (170, 9, "90_95_gt8h", Method.PERCENTILE, 161),
        # 89.99 % and 80.0 %: the greatest of the last 720
        (899, 100, "80_90", Method.MAXIMUM, 898),
        (4000, 1000, "80_90", Method.MAXIMUM, 3_999),
        # 79.99 %
        (3999, 1000, "lt80", Method.POTENTIAL, POTENTIAL),
    ],
)
def test_part_75(measured: int, gap: int, tier: str, method: Method, value: int) -> None:
    assert one_gap(measured, gap, US)[1:] == (value, f"part75.sub.pma_{tier}", method)


@pytest.mark.parametrize(
    ("measured", "gap", "tier", "value"),
    [
        (216, 24, "ge90_le24h", 215),
        (225, 25, "ge90_gt24h", 224),
        (3000, 1000, "75_90", 2_999),
    ],
)
def test_hj_75(measured: int, gap: int, tier: str, value: int) -> None:
    assert one_gap(measured, gap, CN)[1:] == (value, f"hj75.sub.alpha_{tier}", Method.MAXIMUM)


@pytest.mark.parametrize(
    ("regimes", "gap", "lookback"),
    [(CN, 24, 180), (CN, 25, 720), (CN, 900, 2160), (US, 900, 720)],
)
def test_the_lookback_counts_measured_hours(regimes: tuple[Regime, ...], gap: int, lookback: int) -> None:
    more = [5] * 9_000  # for the gap's availability
    history = [*more, 1000, 5, None, *[5] * (lookback - 2)]
    assert substitute([*history, *[None] * gap, 5], regimes)[-1].value == 1000
    assert substitute([*history, 5, *[None] * gap, 5], regimes)[-1].value == 5


def test_below_the_last_tier_that_is_known_it_is_the_potential_and_says_so() -> None:
    assert one_gap(2999, 1000, CN)[1:] == (POTENTIAL, "", Method.POTENTIAL)


def test_availability_is_of_the_last_8760_operating_hours() -> None:
    # 95.0 % of 8,760 hours is 438 missing: 24 in the gap and 414 before it; the 500 before all these are out of sight
    def row(missing: int, hours_in_sight: int) -> str:
        told = [1, *[None] * 500, *[10] * (hours_in_sight - missing - 25), *[None] * missing, 10, *[None] * 24, 30]
        return substitute(told, US)[-1].row

    assert row(414, 8760) == "part75.sub.pma_ge95_le24h"
    assert row(415, 8760) == row(414, 8759) == "part75.sub.pma_90_95_gt8h"


def test_with_no_hour_before_it_is_the_potential() -> None:
    assert substitute([None, *[5] * 99], US) == [Substituted(0, POTENTIAL, "part75.sub.pma_lt80", Method.POTENTIAL)]


def test_while_the_gap_is_open_the_hour_before_stands_for_the_one_behind() -> None:
    before = [*range(1, 950), 960]
    assert US[0].charge(Gap(50, 950, 1000, before, 2_000)).value == 1480
    assert US[0].charge(Gap(50, 950, 1000, before, None)).value == 960


def test_the_mean_is_half_even() -> None:
    assert one_gap(100, 1, US, 4, 5).value == 4
    assert one_gap(100, 1, US, 5, 6).value == 6


def test_the_regime_is_the_one_of_the_gaps_first_hour() -> None:
    told = [*range(100), None, None, 500]
    for start, row in ((100, "hj75.sub.alpha_ge90_le24h"), (101, "part75.sub.pma_ge95_le24h")):
        regimes = (*US, Regime(start * HOUR_MS, HJ75, POTENTIAL))
        assert {one.row for one in substitute(told, regimes)} == {row}
    assert Substitution((Regime(101 * HOUR_MS, PART75, 1),)).at(0).potential == 1


def test_what_a_rule_states_is_read_again() -> None:
    both = Substitution((*US, Regime(5, HJ75, -7)), 24)
    for rule in (f"none{both}", substitution.with_tier(f"a · b{both}", "part75.sub.pma_lt80")):
        assert substitution.stated(rule) == both
    assert both.lookback == 2160 and Substitution(US).lookback == 720
    for other in ("none", "", f"none{both} ", f"none{both}".replace("24 h", "24 h:"), " · missing hours after 24 h: "):
        assert substitution.stated(other) is None
    assert substitution.tier_row(substitution.with_tier(f"a{both}", "")) == ""
    assert substitution.tier_row(substitution.with_tier(f"a{both}", "row")) == "row"


def test_an_hour_waits_no_longer_than_it_can_be_corrected() -> None:
    assert Substitution(US, 48).waits(30 * HOUR_MS) == 30
    assert Substitution(US, 48).waits(100 * HOUR_MS) == 48


def test_an_hour_is_measured_with_45_of_60_minutes() -> None:
    assert substitution.mean(45, 60, 90) == 2
    assert substitution.mean(44, 60, 90) is None
    assert substitution.mean(3, 4, 7) == 2
    assert substitution.mean(2, 4, 7) is None
    assert substitution.mean(0, 0, 0) is None


# -- where the figures are from


def test_rows_from_memory_are_used_only_if_they_are_named() -> None:
    with pytest.raises(FactorError, match=r"hj75.sub.alpha_ge90_le24h has confidence D"):
        substitution.tier_set("hj75", FACTORS)
    with pytest.raises(FactorError, match=r"hj75.sub.alpha_75_90 has confidence D"):
        substitution.tier_set("hj75", FACTORS, HJ_ROWS[:2])
    with pytest.raises(SubstitutionError, match="no tier set 'hj76': there are part75, hj75"):
        substitution.tier_set("hj76", FACTORS)


@pytest.mark.parametrize("tier", [*PART75.tiers, *HJ75.tiers], ids=lambda tier: tier.row)
def test_a_tier_says_what_its_row_says(tier: substitution.Tier) -> None:
    row = FACTORS.row(f"cems_constants.{tier.row}")
    figures = {int(figure) for figure in re.findall(r"\d+", row.value)}
    assert figures == {figure for figure in (tier.lookback, tier.percentile) if figure}
    words = {"around": "before", "percentile": "percentile", "maximum": "maximum of last", "potential": "potential"}
    assert words[tier.method.value] in row.value
    named = [int(figure) for figure in re.findall(r"\d+", tier.row.split("_", 1)[1])]
    assert {tier.least // 10, tier.most_hours or named[0]} & set(named)


# -- what holds of any history

histories = st.lists(st.one_of(st.none(), st.integers(0, 500), st.integers(0, 500)), max_size=60)


@given(histories, histories)
def test_what_comes_later_changes_no_value(told: list[int | None], later: list[int | None]) -> None:
    before = substitute(told, US)
    assert substitute([*told, *later], US)[: len(before)] == before


@given(histories)
def test_every_missing_hour_of_an_ended_gap_gets_one_value_within_what_was_measured(told: list[int | None]) -> None:
    found = substitute(told, US)
    ended = max((place for place, value in enumerate(told) if value is not None), default=0)
    missing = [place for place in range(ended) if told[place] is None]
    assert [one.place for one in found] == missing
    values = [value for value in told if value is not None]
    for one in found:
        assert one.value == POTENTIAL if one.method is Method.POTENTIAL else min(values) <= one.value <= max(values)
