"""Uncertainties against figures worked by hand, and by what must hold of any."""

from math import isclose, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import factors, registry, uncertainty
from carbon.quantity import QuantityError
from carbon.registry import RegistryError
from carbon.uncertainty import Declared, Part, budget, total
from tests.small import registry_bytes

T = 10**6
parts = st.lists(
    st.builds(Part, st.integers(1, 10**12), st.floats(0, 50), st.sampled_from("abc"), st.floats(0, 50)), min_size=1
)


def test_a_sum_by_hand():
    both = [Part(100 * T, 3, "coal", 1.5), Part(200 * T, 2, "coal", 1.5)]
    assert total(both) == pytest.approx(sqrt(3**2 + 4**2 + 4.5**2) / 3)
    assert uncertainty.text(total(both)) == "± 2.24 % (95 %)"
    # with factors of their own √(9 + 16 + 2.25 + 9) = 6.021 t of 300 t
    apart = [both[0], both[1]._replace(factor="gas")]
    assert total(apart) == pytest.approx(sqrt(9 + 16 + 2.25 + 9) / 3)


def test_a_product_by_hand():
    assert uncertainty.product(2.5, 5, 0.75, 0.5, 0.5 / 0.92) == pytest.approx(5.69, abs=0.005)
    assert uncertainty.product_together(2.5, 5, 0.75) == pytest.approx(8.25)


@given(parts)
@settings(max_examples=60)
def test_a_total_lies_between_what_is_independent_and_what_errs_together(some: list[Part]):
    found, grams = total(some), sum(part.emission_g for part in some)
    own = [part.emission_g * part.own for part in some]
    common = [part.emission_g * part.common for part in some]
    assert sqrt(sum(x * x for x in own + common)) <= found * grams * (1 + 1e-9)
    assert found * grams <= sum(own + common) * (1 + 1e-9)
    assert isclose(total(some[::-1]), found, rel_tol=1e-9, abs_tol=1e-12)
    assert isclose(total([part._replace(emission_g=7 * part.emission_g) for part in some]), found, abs_tol=1e-9)
    assert total([*some, Part(0, 50, "a", 50)]) == pytest.approx(found)
    worse = [some[0]._replace(own=some[0].own + 1), *some[1:]]
    assert total(worse) >= found


def test_what_one_meter_errs_does_not_average_out_and_what_a_hundred_do_does():
    assert total([Part(1200 * T, 5, "coal", 0)]) == 5
    assert total([Part(12 * T, 5, "coal", 0)] * 100) == pytest.approx(0.5)
    assert total([Part(12 * T, 0, "coal", 5)] * 100) == pytest.approx(5)


def test_a_total_of_nothing_has_none():
    assert total([]) is None
    assert total([Part(5, 1, "a", 0), Part(-5, 1, "a", 0)]) is None
    assert uncertainty.text(None) == "–"


@pytest.mark.parametrize(
    ("method", "percent", "tier"),
    [
        ("fuel", 1.5, 4), ("fuel", 1.51, 3), ("fuel", 2.5, 3), ("fuel", 5, 2), ("fuel", 7.5, 1), ("fuel", 7.6, None),
        ("cems_co2", 2.5, 4), ("cems_co2", 5.69, 2), ("cems_co2", 10, 1), ("cems_co2", 10.1, None),
    ],
)  # fmt: skip
def test_the_tier_that_is_met(method: str, percent: float, tier: int | None):
    assert uncertainty.tier(factors.load(), method, percent) == tier


def test_a_registration_declares_it():
    def parsed(declared: object) -> Declared | None:
        data = registry_bytes(1, more={"plant-0-0": {"uncertainty": declared}})
        return registry.parse(data, factors.load()).points["plant-0-0"].uncertainty

    assert parsed({"quantity": "2.5", "factor": "1"}) == Declared("2.5", "1")
    assert registry.parse(registry_bytes(1), factors.load()).points["plant-0-0"].uncertainty is None
    for wrong in (
        {"quantity": "-1"},
        {"quantity": "101"},
        {"quantity": 2.5},
        {"factor": "1"},
        {"quantity": "1e999"},
        5,
    ):
        with pytest.raises(RegistryError):
            parsed(wrong)
    with pytest.raises(QuantityError, match="0 to 100 %"):
        Declared("100.1")


def test_a_budget_is_of_what_is_declared_and_says_of_how_much_that_is():
    declared = {"a": (Declared("3", "1.5"), "coal"), "b": (Declared("2", "1.5"), "coal"), "x": (Declared("9"), "gas")}
    found = budget({"b": 200 * T, "a": 100 * T, "c": 50 * T}, declared)
    assert [(row.point, row.emission_g) for row in found.rows] == [("a", 100 * T), ("b", 200 * T), ("c", 50 * T)]
    assert [row.percent for row in found.rows] == [pytest.approx(sqrt(3**2 + 1.5**2)), 2.5, None]
    assert (found.all_g, found.emission_g) == (350 * T, 300 * T)
    assert found.percent == pytest.approx(sqrt(3**2 + 4**2 + 4.5**2) / 3)
    assert budget({"c": 5}, {}) == ((("c", 5, None),), 5, 0, None)


def test_a_part_is_what_a_point_declares():
    assert Part.of(100 * T, Declared("3", "1.5"), "coal") == Part(100 * T, 3.0, "coal", 1.5)
