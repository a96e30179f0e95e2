import pytest

from tests.benchmarks.anomaly.families import HELD, TUNED
from tests.benchmarks.anomaly.planting import FIRST, Stream, streams
from tests.benchmarks.anomaly.scoring import at, judge

WINDOWS = [(300, 340), (700, 740)]


def stream() -> Stream:
    return Stream("made up", ("spike", "spike"), [FIRST] * 1000, [0.0] * 1000, WINDOWS)


def said(*places: int) -> list[float]:
    return [1.0 if n in places else 0.0 for n in range(1000)]


def test_an_alarm_where_each_window_begins_is_perfect_and_silence_is_nothing() -> None:
    assert at([stream()], [said(300, 700)], 1.0) == pytest.approx(100, abs=0.5)
    assert at([stream()], [said()], 1.0) == 0


def test_later_is_worse_and_a_second_alarm_in_a_window_changes_nothing() -> None:
    early, late = at([stream()], [said(305)], 1.0), at([stream()], [said(335)], 1.0)
    assert early > late > 0
    assert at([stream()], [said(305, 320, 335)], 1.0) == early


def test_a_false_alarm_costs_less_shortly_behind_a_window_and_nothing_in_the_probation() -> None:
    far, near = at([stream()], [said(600)], 1.0), at([stream()], [said(341)], 1.0)
    assert far == pytest.approx(-100 * 0.11 / (2 + 2 * 0.987), abs=0.1)
    assert far < near < 0
    assert at([stream()], [said(100)], 1.0) == 0


def test_the_best_threshold_lets_false_alarms_go() -> None:
    scores = said(300, 700)
    scores[600] = 0.5
    best = judge([stream()], [scores])
    assert (best.threshold, best.detected, best.windows, best.false_alarms) == (1.0, 2, 2, 0)
    assert best.score == pytest.approx(at([stream()], [scores], 1.0))


def test_streams_are_the_same_for_a_seed_and_windows_lie_behind_the_probation() -> None:
    few = {name: (TUNED | HELD)[name] for name in ("jobs", "clicks", "steps", "road")}
    made = streams(few, 3, 5)
    assert made == streams(few, 3, 5)
    assert made[0].values != streams(few, 3, 6)[0].values
    for one in made:
        n = len(one.values)
        assert len(one.times) == n
        ends = [0.14 * n, *(end for _, end in one.windows)]
        assert all(before <= begin < end <= n for before, (begin, end) in zip(ends, one.windows, strict=False))
