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
