import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.anomaly import UnivariateDetector

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def times(n: int, minutes: float = 5) -> list[datetime]:
    return [FIRST + timedelta(minutes=minutes * i) for i in range(n)]


def daily(n: int = 3000, seed: int = 1) -> np.ndarray:
    """Five minutes of a daily course of 20 about 100, noise 1."""
    rng = np.random.default_rng(seed)
    return 100 + 20 * np.sin(2 * np.pi * np.arange(n) / 288) + rng.normal(0, 1, n)


def scores(values: np.ndarray) -> np.ndarray:
    return np.array(UnivariateDetector().scores(times(len(values)), values.tolist()))


def spiked(values: np.ndarray) -> None:
    values[2000] += 30


def shifted(values: np.ndarray) -> None:
    values[2000:] += 40


def noisy(values: np.ndarray) -> None:
    values[2000:2200] += np.random.default_rng(2).normal(0, 8, 200)


def stuck(values: np.ndarray) -> None:
    values[2000:2060] = values[2000]


def quieter(values: np.ndarray) -> None:
    values[2000:2200] = values[2000] + np.random.default_rng(2).normal(0, 0.02, 200)


def displaced(values: np.ndarray) -> None:
    values[2000:2288] = values[2144:2432]


@pytest.mark.parametrize("change", [spiked, shifted, noisy, stuck, quieter, displaced])
def test_what_a_stream_never_did_stands_out_above_all_that_it_did_before(change) -> None:
    values = daily()
    change(values)
    found = scores(values)
    assert found[2000:2200].max() > 1.2 * found[450:2000].max()


def test_a_quiet_stream_is_seldom_above_once_in_a_thousand() -> None:
    found = scores(daily(10_000))
    assert (found > 0.3).sum() <= 20


def test_what_was_said_is_not_said_again_at_once_and_something_rarer_is() -> None:
    values = daily()
    values[2000], values[2010], values[2020] = values[2000] + 25, values[2010] + 25, values[2020] + 900
    found = scores(values)
    assert found[2000] > 0.3
    assert found[2010] == 0
    assert found[2020] > found[2000]


def test_the_unit_of_the_values_does_not_matter() -> None:
    values = daily()
    spiked(values)
    np.testing.assert_allclose(scores(values * 1024), scores(values), atol=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_changes_nothing(bad: float) -> None:
    detector, state = UnivariateDetector(), ""
    for at, value in zip(times(300), daily(300).tolist(), strict=True):
        detector.score(at, value)
    state = json.dumps(detector.state())
    assert detector.score(FIRST, bad) == 0.0
    assert json.dumps(detector.state()) == state


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=150),
    seconds=st.lists(st.integers(-10, 10**7), min_size=150, max_size=150),
)
def test_any_values_at_any_times_get_a_score(values: list[float], seconds: list[int]) -> None:
    detector = UnivariateDetector()
    for second, value in zip(seconds, values, strict=False):
        assert 0 <= detector.score(FIRST + timedelta(seconds=second), value) <= 1
    json.dumps(detector.state(), allow_nan=False)


@pytest.mark.parametrize("cut", [1, 40, 1500])
def test_a_restored_detector_goes_on_to_the_byte(cut: int) -> None:
    at, values = times(2400), daily(2400).tolist()
    whole, first = UnivariateDetector(), UnivariateDetector()
    expected = whole.scores(at, values)
    begun = first.scores(at[:cut], values[:cut])
    second = UnivariateDetector.restore(json.loads(json.dumps(first.state())))
    assert begun + second.scores(at[cut:], values[cut:]) == expected
    assert json.dumps(second.state()) == json.dumps(whole.state())


def test_a_state_is_a_copy() -> None:
    detector = UnivariateDetector()
    detector.scores(times(300), daily(300).tolist())
    state = detector.state()
    before = json.dumps(state)
    UnivariateDetector.restore(state).scores(times(300), daily(300).tolist())
    detector.scores(times(300), daily(300).tolist())
    assert json.dumps(state) == before


def test_memory_is_bounded() -> None:
    detector = UnivariateDetector()
    rising = np.arange(12_000, dtype=float) ** 1.5
    detector.scores(times(12_000), rising.tolist())
    assert len(json.dumps(detector.state())) < 100_000


def test_importing_it_imports_nothing_of_the_rest() -> None:
    rest = ["faust", "confluent_kafka", "carbon", "consensus", "schemas", "river", "pandas"]
    code = f"import sys, streams.anomaly; print([m for m in sys.modules if m.split('.')[0] in {rest}])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
