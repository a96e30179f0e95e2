"""Measures in heavy-pollution weather, and what the meters show of them, worked by hand."""

from carbon import rules
from carbon.regulator.figures import Performance
from carbon.regulator.weather import Kept, Usual, compare, measures

RULES = rules.weather()
HOUR = 3_600_000


def test_grade_and_level_decide_who_does_what():
    subjects = [Performance("z", 0), Performance("a", 0), Performance("h", 0, sector="heating"), Performance("n", 0)]
    grades = {"z": "A", "a": "C", "h": "D"}
    rows = measures("ORANGE", subjects, grades, RULES)
    assert [(row["subject"], row["grade"], row["limit_percent"]) for row in rows] == [
        ("a", "C", 50),
        ("h", "D", 100),
        ("n", "-", 80),
        ("z", "A", 100),
    ]
    assert rows[0]["reason"] == "ORANGE, grade C: half"
    assert rows[1]["reason"] == "heating: homes need the heat"
    assert rows[2]["reason"] == "ORANGE, no known grade, so as grade B: a fifth less"


def test_a_higher_level_and_a_worse_grade_never_allow_more():
    limits = {key: limit.percent for key, limit in RULES.limits.items()}
    for grades in zip("ABC", "BCD", strict=True):
        assert all(limits[level, grades[0]] >= limits[level, grades[1]] for level in ("YELLOW", "ORANGE", "RED"))
    for grade in "ABCD":
        assert limits["YELLOW", grade] >= limits["ORANGE", grade] >= limits["RED", grade]


def test_the_meters_show_who_kept_it():
    # usual: 240 kg in 24 h, 10 kg/h; the alert takes 6 h, so 60 kg; half of it is 30 kg
    rows = [{"subject": name, "limit_percent": 50} for name in ("a", "b", "c", "d")]
    usual = {name: Usual(240_000, 24 * HOUR) for name in ("a", "b", "c")}
    found = compare({"start": 0, "end": 6 * HOUR, "measures": rows}, usual, {"a": 30_000, "b": 30_001, "d": 7})
    assert found[0] == Kept("a", 50, 60_000, 30_000, 30_000)
    assert [row.kept for row in found] == [True, False, None, None]
    assert (found[0].percent, found[3].percent) == (50, None)


def test_a_limit_is_rounded_once():
    # 1 g in 2 h: 0.5 g in 1 h is 0 g; 3 g in 2 h: 1.5 g, half of it 0.75 g is 1 g, not half of 2 g or of 1 g
    assert Usual(1, 2 * HOUR).during(HOUR) == 0
    assert Usual(3, 2 * HOUR).during(HOUR, 50) == 1
    assert Usual(5, 2 * HOUR).during(HOUR, 60) == 2
