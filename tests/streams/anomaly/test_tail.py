import json
import math

import numpy as np
import pytest

from streams.anomaly.tail import HORIZON, KEPT, Tail


def fed(values: np.ndarray) -> Tail:
    tail = Tail()
    for value in values.tolist():
        tail.surprise(value)
    return tail


def test_the_digits_are_those_of_the_true_probability() -> None:
    """Pareto's index 3: a value beyond all that were seen is as rare as its distribution says."""
    sample = np.random.default_rng(1).pareto(3, 5000) + 1
    for value in (6.0, 20.0, 100.0):
        assert fed(sample).surprise(value) == pytest.approx(3 * math.log10(value), rel=0.2)


def test_within_what_was_seen_its_share_counts() -> None:
    tail = fed(np.arange(1.0, 2001.0))
    assert tail.surprise(1950.5) == pytest.approx(math.log10(2001 / 51))
    assert tail.surprise(1000.0) == 0


def test_the_first_fifty_are_no_surprise() -> None:
    tail = Tail()
    assert [tail.surprise(10.0**n) for n in range(50)] == [0.0] * 50
    assert tail.surprise(1e60) > 0


def test_of_zeros_alone_any_value_is_as_rare_as_they_are_many() -> None:
    assert fed(np.zeros(999)).surprise(1e-9) == pytest.approx(3)


def test_what_is_older_than_the_horizon_is_forgotten() -> None:
    early = np.concatenate([np.full(KEPT, 100.0), np.random.default_rng(1).uniform(0, 1, HORIZON + 600)])
    tail = fed(early)
    assert tail.surprise(50.0) > 4
    assert fed(early[: HORIZON - 600]).surprise(50.0) < 3


def test_a_restored_tail_goes_on() -> None:
    sample = np.random.default_rng(1).pareto(3, 2000)
    one = fed(sample[:1000])
    two = Tail.restore(json.loads(json.dumps(one.state())))
    assert [one.surprise(v) for v in sample[1000:].tolist()] == [two.surprise(v) for v in sample[1000:].tolist()]


def test_up_to_what_it_says_a_value_surprises_nobody_and_is_not_kept() -> None:
    sample = np.random.default_rng(4).normal(10, 1, 500)
    tail = fed(sample)
    assert Tail().unheard == fed(sample[: KEPT - 1]).unheard == -1
    assert tail.unheard == sorted(sample.tolist())[-KEPT]
    before = tail.state()[1:]
    assert tail.surprise(tail.unheard) == 0 and tail.state()[1:] == before
    assert tail.surprise(math.nextafter(tail.unheard, math.inf)) > 0 and tail.state()[1:] != before
