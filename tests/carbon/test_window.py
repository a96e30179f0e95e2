"""The closing rule and the aggregate, against a plain definition written again here."""

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
