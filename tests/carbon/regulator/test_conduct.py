"""Reward and punishment, worked by hand, and never beyond the law's range."""

from dataclasses import replace
from fractions import Fraction

import pytest

from carbon import factors, rules
from carbon.compliance import ComplianceError
from carbon.regulator.conduct import Fact, proposals
from carbon.rules.conduct import FACTS, Conduct
from carbon.submission import body_of

SET, RULES = factors.load(), rules.conduct()
TONNE, CNY = 10**6, 100
EVIDENCE = (b"\1" * 32,)


def propose(kind: str, rule_set: Conduct = RULES, **figures: int) -> dict[str, object] | None:
    found = proposals([Fact("mill", 2023, kind, figures, EVIDENCE)], rule_set, SET)
    assert len(found) <= 1
    return found[0] if found else None


def altered(name: str, **parameters: str) -> Conduct:
    made = [
        replace(rule, parameters={key: Fraction(text) for key, text in parameters.items()})
        if rule.name == name
        else rule
        for rule in RULES.rules
    ]
    return replace(RULES, rules=tuple(made))


def test_a_missed_surrender_is_fined_by_article_24():
    found = propose("missed_surrender", shortfall_g=5_000 * TONNE, price_fen_t=9_850)
    assert found is not None
    # 5,000 t · 98.50 CNY · 5 = 2,462,500 CNY
    assert (found["amount_fen"], found["cut_g"], found["records"]) == (2_462_500 * CNY, 0, [EVIDENCE[0]])
    assert "5,000 t short at CNY 98.50 a tonne, times 5" in str(found["reasons"])
    assert "CNY 2,462,500.00 to CNY 4,925,000.00" in str(found["reasons"])


def test_only_a_refusal_cuts_the_next_year():
    found = propose("refused_correction", shortfall_g=5_000 * TONNE)
    assert found is not None
    assert (found["amount_fen"], found["cut_g"], found["year"]) == (0, 5_000 * TONNE, 2023)


@pytest.mark.parametrize(
    ("gain_cny", "fine_cny"), [(0, 500_000), (499_999, 500_000), (500_000, 2_500_000), (700_000, 3_500_000)]
)
def test_false_data_is_fined_by_article_22(gain_cny: int, fine_cny: int):
    found = propose("false_data", gain_fen=gain_cny * CNY)
    assert found is not None and found["amount_fen"] == fine_cny * CNY


def test_refusal_after_false_data_cuts_half():
    found = propose("refused_false_data", next_year_g=1_001)
    # 500.5 g, to the even
    assert found is not None and found["cut_g"] == 500


def test_a_reduction_is_rewarded_from_five_percent_on():
    # 100,000 t planned, 95,000 t verified: 5,000 t · 5 CNY
    found = propose("reduction", planned_g=100_000 * TONNE, verified_g=95_000 * TONNE)
    assert found is not None and found["amount_fen"] == -25_000 * CNY
    assert propose("reduction", planned_g=100_000 * TONNE, verified_g=95_000 * TONNE + 1) is None
    assert propose("reduction", planned_g=0, verified_g=0) is None
    most = propose("reduction", planned_g=10**9 * TONNE, verified_g=0)
    assert most is not None and most["amount_fen"] == -1_000_000 * CNY


def test_who_surrendered_in_time_is_named():
    found = propose("surrendered_on_time", need_g=7)
    assert found is not None
    assert (found["amount_fen"], found["cut_g"], found["rule"]) == (0, 0, "on_time")
    assert str(found["reasons"]).endswith("need_g 0.000007 t")


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "figures"),
    [
        ("missed_surrender", {"times": "4.9"}, "missed_surrender", {"shortfall_g": TONNE, "price_fen_t": 100}),
        ("missed_surrender", {"times": "10.1"}, "missed_surrender", {"shortfall_g": TONNE, "price_fen_t": 100}),
        ("false_data", {"times": "11", "floor_cny": "500000"}, "false_data", {"gain_fen": 10**9}),
        ("false_data", {"times": "5", "floor_cny": "499999"}, "false_data", {"gain_fen": 0}),
        ("refused_false_data", {"percent": "49"}, "refused_false_data", {"next_year_g": 1}),
        ("refused_false_data", {"percent": "101"}, "refused_false_data", {"next_year_g": 1}),
    ],
)
def test_no_rule_goes_beyond_the_law(name: str, parameters: dict[str, str], kind: str, figures: dict[str, int]):
    with pytest.raises(ComplianceError, match="the law's range"):
        propose(kind, altered(name, **parameters), **figures)


def test_a_fact_without_its_figures_is_refused():
    with pytest.raises(ComplianceError, match="missed_surrender of mill without price_fen_t"):
        propose("missed_surrender", shortfall_g=1)


def test_a_proposal_is_the_content_of_a_decision():
    facts = [Fact("mill", 2023, kind, dict.fromkeys(FACTS[kind], 1), EVIDENCE) for kind in FACTS]
    found = proposals(facts, RULES, SET)
    assert {content["rule"] for content in found} >= {"on_time", "missed_surrender", "false_data"}
    for content in found:
        assert body_of("authority", 1, "decision", content, bytes(16))


def test_the_records_of_a_decision_are_sorted_and_stand_once():
    fact = Fact("mill", 2023, "surrendered_on_time", {"need_g": 1}, (b"\2" * 32, b"\1" * 32, b"\2" * 32))
    (found,) = proposals([fact], RULES, SET)
    assert found["records"] == [b"\1" * 32, b"\2" * 32]
