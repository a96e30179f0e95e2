import json

import numpy as np
import pytest

from streams.anomaly.nearest import EVERY, KEPT, LENGTH, Shapes


def test_the_distance_is_that_to_the_fifth_nearest_shape_kept() -> None:
    values = np.random.default_rng(1).normal(0, 1, 1500)
    shapes = Shapes()
    found = [shapes.distance(value) for value in values.tolist()]
    for last in (400, 801, 1499):
        ends = [end for end in range(LENGTH + EVERY - 1, last + 1, EVERY) if end <= last][-KEPT:]
        now = values[last + 1 - LENGTH : last + 1]
        apart = sorted(float(np.linalg.norm(values[end - LENGTH : end] - now)) for end in ends)
        assert found[last] == pytest.approx(apart[4])


def test_nothing_is_far_until_ten_shapes_are_known() -> None:
    shapes = Shapes()
    assert not any(shapes.distance(float(n * n)) for n in range(LENGTH + 10 * EVERY - 1))
    assert shapes.distance(1e6) > 0


def test_restored_shapes_go_on_to_the_byte() -> None:
    values = np.random.default_rng(2).normal(0, 1, 1400).tolist()
    one = Shapes()
    for value in values[:1203]:
        one.distance(value)
    two = Shapes.restore(json.loads(json.dumps(one.state())))
    assert [one.distance(v) for v in values[1203:]] == [two.distance(v) for v in values[1203:]]
    assert one.state() == two.state()


def test_a_distance_that_is_near_enough_is_not_looked_for_further_and_any_other_is_exact() -> None:
    rng, exact, quick = np.random.default_rng(3), Shapes(), Shapes()
    hours, unlike = np.arange(3_000), 0
    values = np.sin(hours / 12) + rng.normal(0, 0.1, 3_000)
    values[1_500:1_540], values[2_200:] = 3.0, values[2_200:] + 1
    for place, value in enumerate(values.tolist()):
        enough = (-1.0, 0.5, 0.8)[place % 3]
        wanted = exact.distance(value)
        found = quick.distance(value, enough)
        assert found == wanted if wanted > enough else wanted <= found <= enough, place
        unlike += found != wanted
    assert quick.state() == exact.state()
    assert unlike > 500


def test_a_shape_that_is_kept_no_more_tells_of_nothing() -> None:
    rng, exact, quick = np.random.default_rng(4), Shapes(), Shapes()
    for value in rng.normal(0, 0.1, 400).tolist():
        assert exact.distance(value) == quick.distance(value)
    *others, last = [*rng.normal(5, 0.1, (KEPT + 2) * EVERY).tolist(), *rng.normal(0, 0.1, LENGTH).tolist()]
    for value in others:
        exact.distance(value)
        quick.distance(value, np.inf)
    assert quick.distance(last, 1.0) == exact.distance(last) > 10
