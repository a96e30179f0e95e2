"""The closing rule and the aggregate, against a plain definition written again here."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import merkle, window
from carbon.validation import Reason
from carbon.window import Run
from tests.small import HOUR, QUARTER, START, World

LATENESS = HOUR


def chained(world: World, messages: list[bytes]) -> tuple[Run, list[window.PacketFacts]]:
    run, facts = Run(), []
    for message in messages:
        read = world.decode(message)
        assert run.follows(read)
        run.append(read)
        facts.append(window.analyse(read, world.registry))
    return run, facts


def test_a_window_closes_at_the_first_packet_past_end_plus_lateness():
    world = World.make()
    run, _ = chained(world, [world.pack(START + h * HOUR, []) for h in (0, 1, 2, 3)])
    assert window.closing_span(run, START, START + HOUR, LATENESS, 0) == (1, 3)
    assert window.closing_span(run, START + HOUR, START + 2 * HOUR, LATENESS, 0) == (2, 4)
    assert window.closing_span(run, START + 2 * HOUR, START + 3 * HOUR, LATENESS, 0) is None


def test_the_watermark_never_falls():
    world = World.make()
    run, _ = chained(world, [world.pack(START + h * HOUR, []) for h in (0, 2, 1, 3)])
    assert run.watermarks == [START, START + 2 * HOUR, START + 2 * HOUR, START + 3 * HOUR]
    assert window.closing_span(run, START, START + HOUR, LATENESS, 0) == (1, 2)


def test_a_stated_loss_keeps_the_sequence_and_holds_nothing_open():
    world = World.make()
    first = world.pack(START, [])
    world.sequence += 2
    run, _ = chained(world, [first, world.pack(START + 2 * HOUR, [], lost=2)])
    assert run.last == 4
    assert window.closing_span(run, START, START + HOUR, LATENESS, 0) == (1, 4)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), st.integers(0, 2)), max_size=40), st.integers(1, 4))
@settings(max_examples=150)
def test_aggregate_is_the_first_reading_of_each_time(readings, packets):
    """Readings as (quarter, value, point), cut into packets at random; the reference walks them one by one."""
    world = World.make()
    share = len(readings) // packets + 1
    sent = START + 3 * HOUR
    parts = [readings[i * share : (i + 1) * share] for i in range(packets)]
    messages = [world.pack(sent, [(f"plant-0-{p}", START + q * QUARTER, v) for q, v, p in part]) for part in parts]
    _, facts = chained(world, messages)
    for point in range(3):
        for hour in range(3):
            seen, dropped, leaves = {}, [], []
            for number, part in enumerate(parts):
                for index, (q, v, p) in enumerate(part):
                    if p == point and q // 4 == hour:
                        if q in seen:
                            reason = Reason.DUPLICATE if seen[q] == v else Reason.CONFLICT
                            dropped.append((number + 1, index, reason))
                        else:
                            seen[q] = v
                            leaves.append(facts[number].leaves[index])
            found = window.aggregate((f"plant-0-{point}", START + hour * HOUR), facts)
            assert (found.count, found.quantity) == (len(seen), sum(seen.values()))
            assert found.evidence_root == merkle.root(leaves)
            assert [(d.sequence, d.index, d.reason) for d in found.dropped] == dropped


def test_refused_readings_are_in_no_window():
    world = World.make()
    facts = world.facts(world.pack(START + HOUR, [("plant-0-0", START, -5), ("plant-0-0", START + QUARTER, 5)]))
    assert window.aggregate(("plant-0-0", START), [facts]).quantity == 5


RATED = {"rate": 3}
REGISTER = {"rate": 3, "counter": 40, "max": 39, "emission": {"rule": "none"}}
FIVE = 300_000
rows = st.lists(st.tuples(st.integers(0, 23), st.sampled_from([34, 36, 37, 38, 39, 0, 2, 4])), max_size=30)
"""Slot of five minutes, and a value around the register's modulus."""


@given(rows, st.integers(1, 3), st.sampled_from([RATED, REGISTER]), st.booleans())
@settings(max_examples=60)
def test_with_a_rate_a_reading_counts_if_it_may_stand_between_its_neighbours(readings, packets, fields, sort):
    """Readings cut into packets; the reference looks at all that counted before."""
    world = World.make(points=1, step_seconds=300, more={"plant-0-0": fields})
    point = world.registry.points["plant-0-0"]
    shift = 0 if point.counter else 10  # without a modulus, 34 to 39 and 0 to 4 are far from each other
    readings = [(slot, (value + shift) % 40) for slot, value in (sorted(readings) if sort else readings)]
    share = len(readings) // packets + 1
    parts = [readings[i * share : (i + 1) * share] for i in range(packets)]
    _, facts = chained(
        world, [world.pack(START + 3 * HOUR, [("plant-0-0", START + FIVE * s, v) for s, v in p]) for p in parts]
    )
    for hour in range(2):
        seen, leaves, before = {}, [], -1
        for number, part in enumerate(parts):
            for index, (slot, value) in enumerate(part):
                below = max((s for s in seen if s < slot), default=None)
                above = min((s for s in seen if s > slot), default=None)
                fits = (
                    slot not in seen
                    and (below is None or _may(point, slot - below, seen[below], value))
                    and (above is None or _may(point, above - slot, value, seen[above]))
                )
                if slot // 12 == hour and fits:
                    seen[slot] = value
                    leaves.append(facts[number].leaves[index])
            found = window.aggregate(("plant-0-0", START + hour * HOUR), facts[: number + 1])
            assert (found.count, found.quantity) == (len(seen), sum(seen.values()))
            assert found.evidence_root == merkle.root(leaves)
            assert found.count >= before, "a later packet takes nothing away"
            before = found.count


def _may(point, slots, before, after):
    change = (after - before) % point.counter if point.counter else abs(after - before)
    return change <= 3 * slots


def rated(fields, *packets):
    world = World.make(points=1, step_seconds=300, more={"plant-0-0": fields})
    messages = [world.pack(START + HOUR, [("plant-0-0", START + int(FIVE * s), v) for s, v in p]) for p in packets]
    found = window.aggregate(("plant-0-0", START), chained(world, messages)[1])
    return found.quantity, [(d.sequence, d.index, d.reason) for d in found.dropped]


@pytest.mark.parametrize("cut", [0, 3])
def test_what_a_rate_refuses_is_reported_wherever_the_packets_are_cut(cut):
    readings = list(enumerate([37, 39, 2, 1, 30, 10]))
    refused = [(2, 3 - cut, Reason.COUNTER_BACKWARDS), (2, 4 - cut, Reason.RATE_OF_CHANGE)]
    assert rated(REGISTER, readings[:cut], readings[cut:]) == (37 + 39 + 2 + 10, refused)


def test_a_counter_that_falls_by_less_than_its_rate_runs_backwards():
    assert rated(REGISTER, [(0, 5), (1, 3)]) == (5, [(1, 1, Reason.COUNTER_BACKWARDS)])


def test_a_reading_out_of_order_is_held_against_its_neighbours_in_time():
    assert rated(RATED, [(0, 10), (6, 10), (3, 16), (4, 10), (5, 12)]) == (48, [(1, 3, Reason.RATE_OF_CHANGE)])


def test_of_instants_that_are_too_close_the_first_to_come_counts():
    instants = {"time": "instant", "emission": {"rule": "none"}}
    readings, refused = [(0, 1), (0.4, 2), (0.5, 4), (0.9, 8), (1.5, 16)], [1, 3]
    for packets in ([readings], [readings[:1], readings[1:]], [readings[:2], readings[2:]]):
        places = [(k + 1, i) for k, part in enumerate(packets) for i in range(len(part))]
        assert rated(instants, *packets) == (21, [(*places[i], Reason.TOO_CLOSE) for i in refused])
    assert rated(instants, [(2, 1), (1.6, 2), (1.5, 4), (0, 8)]) == (13, [(1, 1, Reason.TOO_CLOSE)])
    assert rated(instants, [(0, 1), (0.5, 2), (1, 4)]) == (7, [])
