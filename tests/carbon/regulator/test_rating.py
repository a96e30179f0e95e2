"""Grades and colours are explained by the figures that made them."""

from fractions import Fraction

import pytest

from carbon import rules
from carbon.regulator.figures import Performance
from carbon.regulator.rating import rate, ratings

COLOUR, GRADE = rules.scale("colour"), rules.scale("grade")


def test_the_worst_figure_decides_and_is_named():
    known = {"intensity_to_peers": Fraction(12, 10), "emission_to_plan": Fraction(1), "cover": Fraction(9, 10)}
    rating = rate("a", known, COLOUR)
    assert rating.outcome == "orange"
    assert [finding.figure for finding in rating.deciding] == ["intensity_to_peers", "cover"]
    assert rating.reasons.startswith(
        "intensity_to_peers 1.2000 (above 1.15, at most 1.30): orange. Emission per output"
    )
    assert "cover 0.9000 (below 0.95, at least 0.80): orange" in rating.reasons
    assert len(rating.findings) == len(COLOUR.criteria)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("0.9", "A"), ("0.900000001", "B"), ("1", "B"), ("1.0001", "C"), ("1.15", "C"), ("1.1500001", "D")],
)
def test_bounds_are_exact(value: str, outcome: str):
    assert rate("a", {"intensity_to_peers": Fraction(value)}, GRADE).outcome == outcome


def test_less_is_worse_where_more_is_better():
    for value, outcome in (("1", "green"), ("0.999", "yellow"), ("0.949", "orange"), ("0.799", "red")):
        assert rate("a", {"cover": Fraction(value), "false_data": Fraction(0)}, COLOUR).outcome == outcome


def test_too_little_is_known():
    rating = rate("a", {"intensity_to_peers": Fraction(2)}, COLOUR)
    assert rating.outcome == "grey"
    assert rating.reasons.startswith("intensity_to_peers 2.0000 (above 1.30): red")
    assert rate("a", {}, COLOUR).reasons == "no figure is known"
    assert str(rating.findings[-1]) == "false_data: not known"


def test_without_its_intensity_a_subject_has_no_grade():
    known = {"missed_surrenders": Fraction(0), "false_data": Fraction(0)}
    assert rate("a", known, GRADE).outcome == "-"
    assert rate("a", known | {"intensity_to_peers": Fraction(1, 2)}, GRADE).outcome == "A"
    assert rate("a", known | {"missed_surrenders": Fraction(1)}, GRADE).outcome == "C"


def test_a_missed_surrender_spoils_the_best_intensity():
    known = {"intensity_to_peers": Fraction(1, 2), "missed_surrenders": Fraction(1), "false_data": Fraction(0)}
    assert rate("a", known, GRADE).outcome == "C"
    assert rate("a", known, COLOUR).outcome == "red"
    assert rate("a", known | {"false_data": Fraction(1)}, GRADE).outcome == "D"


def test_subjects_are_each_others_peers():
    product = {("electricity", "MWh"): Fraction(100)}
    some = [Performance(name, tonnes * 10**6, outputs=product) for name, tonnes in (("a", 80), ("b", 100), ("c", 120))]
    # the reference is 1 t/MWh
    assert {name: rating.outcome for name, rating in ratings(some, GRADE).items()} == {"a": "A", "b": "B", "c": "D"}
