"""Intensities, totals and ranks against figures worked by hand."""

from fractions import Fraction

from carbon.regulator import totals
from carbon.regulator.figures import Peers, Performance, decimal, figures, peers

POWER, STEEL = ("electricity", "MWh"), ("steel", "t")
TONNE, CNY = 10**6, 100


def plant(name: str, tonnes: int, mwh: int, **more: object) -> Performance:
    outputs = {POWER: Fraction(mwh)} if mwh else {}
    return Performance(name, tonnes * TONNE, outputs=outputs, **more)  # type: ignore[arg-type]


THREE = [plant("a", 80, 100), plant("b", 180, 200), plant("c", 100, 100)]


def test_intensities_by_hand():
    # 80 t / 100 MWh = 0.8 t/MWh; 80 t / 400,000 CNY = 2 t per 10,000 CNY
    one = plant("a", 80, 100, gdp_fen=400_000 * CNY)
    assert (one.per_output, one.per_gdp) == (800_000, 2)


def test_an_emission_is_not_divided_among_products():
    both = Performance("x", 80 * TONNE, outputs={POWER: Fraction(1), STEEL: Fraction(1)})
    none = Performance("x", 80 * TONNE, outputs={POWER: Fraction(0), STEEL: Fraction(2)})
    assert (both.product, both.per_output) == (None, None)
    assert (none.product, none.per_output) == (STEEL, 40 * TONNE)


def test_the_reference_is_weighted_by_output():
    # (80 + 180 + 100) t / 400 MWh = 0.9 t/MWh, not the mean of 0.8, 0.9 and 1.0
    assert peers(THREE) == {POWER: Peers(3, 360 * TONNE, Fraction(400))}
    assert figures(THREE[0], peers(THREE))["intensity_to_peers"] == Fraction(8, 9)
    # 20 t more at 300 MWh more: (360 + 300·0.4 t) / 700 MWh
    assert peers([*THREE, plant("d", 120, 300)])[POWER].per_output == Fraction(480 * TONNE, 700)


def test_two_are_no_reference_for_each_other():
    assert peers(THREE[:2]) == {}
    assert figures(THREE[0], {}) == {}


def test_every_figure_by_hand():
    before = plant("a", 90, 100)
    known = {"planned_g": 100 * TONNE, "held_g": 60 * TONNE, "due_g": 80 * TONNE, "substituted_g": 4 * TONNE}
    one = plant("a", 80, 100, before=before, missed_surrenders=1, false_data=0, **known)
    assert figures(one, {POWER: Peers(3, 100 * TONNE, Fraction(100))}) == {
        "intensity_to_peers": Fraction(8, 10),
        "intensity_to_year_before": Fraction(8, 9),
        "emission_to_plan": Fraction(8, 10),
        "cover": Fraction(3, 4),
        "substituted": Fraction(1, 20),
        "missed_surrenders": 1,
        "false_data": 0,
    }


def test_another_product_than_the_year_before_is_not_compared():
    before = Performance("a", TONNE, outputs={STEEL: Fraction(1)})
    assert "intensity_to_year_before" not in figures(plant("a", 80, 100, before=before), {})


def test_who_owes_nothing_is_covered():
    assert figures(plant("a", 0, 0, held_g=0, due_g=0), {}) == {"cover": 1}
    assert figures(plant("a", 0, 0, held_g=None, due_g=0), {}) == {}


def test_a_total_adds_its_parts():
    whole = totals.total("region", [plant("a", 80, 100, gdp_fen=300), plant("b", 20, 0, gdp_fen=100, verified=True)])
    assert (whole.emission_g, whole.unverified_g, whole.subjects) == (100 * TONNE, 80 * TONNE, 2)
    assert (whole.gdp_fen, whole.outputs, whole.per_output) == (400, {POWER: 100}, {POWER: 800_000})
    assert whole.per_gdp == Fraction(100 * TONNE, 400)


def test_a_sum_that_lacks_a_part_is_no_gdp_but_what_is_stated_is():
    parts = [plant("a", 80, 100, gdp_fen=300), plant("b", 20, 0)]
    assert totals.total("region", parts).gdp_fen is None
    assert totals.total("region", parts).per_gdp is None
    assert totals.total("region", parts, 1000).gdp_fen == 1000
    assert totals.total("region", []).gdp_fen is None


def test_totals_of_groups_add_up_to_the_whole():
    parts = [plant("a", 80, 1, region="n", sector="x"), plant("b", 20, 1, region="s", sector="x")]
    parts.append(plant("c", 7, 1, region="s", sector="y"))
    whole = totals.total("all", parts)
    assert [(t.name, t.emission_g) for t in totals.by_region(parts)] == [("n", 80 * TONNE), ("s", 27 * TONNE)]
    assert [(t.name, t.subjects) for t in totals.by_sector(parts)] == [("x", 2), ("y", 1)]
    for groups in (totals.by_region(parts), totals.by_sector(parts)):
        assert sum(group.emission_g for group in groups) == whole.emission_g
        assert sum(group.outputs[POWER] for group in groups) == whole.outputs[POWER]


def test_ranks_are_within_a_product_and_ties_share_them():
    steel = Performance("s", TONNE, outputs={STEEL: Fraction(1)})
    ranks = totals.ranked_by_output([*THREE, plant("e", 40, 50), steel, plant("none", 5, 0)])
    assert [(rank.subject, rank.place, rank.of) for rank in ranks if rank.group == "electricity (MWh)"] == [
        ("a", 1, 4),
        ("e", 1, 4),
        ("b", 3, 4),
        ("c", 4, 4),
    ]
    assert [rank.subject for rank in ranks if rank.group == "steel (t)"] == ["s"]


def test_ranks_by_value_added():
    rows = [plant("a", 80, 0, gdp_fen=100), plant("b", 20, 0, gdp_fen=100), plant("c", 1, 0)]
    assert [(rank.subject, rank.place) for rank in totals.ranked_by_gdp(rows)] == [("b", 1), ("a", 2)]


def test_decimals_are_rounded_half_even():
    assert [decimal(Fraction(n, 8), 2) for n in (1, 3, -1)] == ["0.12", "0.38", "-0.12"]
    assert decimal(Fraction(1, 3)) == "0.3333"
