"""The supervisor's decisions, without a process or a clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import plan
from infra.plan import Life, PlanError, Process, State


def process(name: str, *depends: str) -> Process:
    return Process(name, ("true",), depends)


BROKER, MEMBER, SINK = process("broker"), process("member", "broker"), process("sink", "broker", "member")
ALL = (SINK, MEMBER, BROKER)


def lives(**states: State) -> dict[str, Life]:
    return {name: Life(state) for name, state in states.items()}


def names(processes: list[Process]) -> list[str]:
    return [p.name for p in processes]


def test_only_what_depends_on_nothing_starts_first() -> None:
    waiting = lives(broker=State.WAITING, member=State.WAITING, sink=State.WAITING)
    assert names(plan.to_start(ALL, waiting, 0)) == ["broker"]


def test_a_dependency_that_only_starts_is_not_met() -> None:
    standing = lives(broker=State.STARTING, member=State.WAITING, sink=State.WAITING)
    assert names(plan.to_start(ALL, standing, 0)) == []


def test_what_depends_on_a_ready_process_starts() -> None:
    standing = lives(broker=State.READY, member=State.WAITING, sink=State.WAITING)
    assert names(plan.to_start(ALL, standing, 0)) == ["member"]


def test_a_process_waits_until_it_is_due() -> None:
    standing = {"broker": Life(State.WAITING, due=5.0)}
    assert plan.to_start((BROKER,), standing, 4.9) == []
    assert names(plan.to_start((BROKER,), standing, 5.0)) == ["broker"]


def test_stopping_begins_with_what_nobody_needs() -> None:
    standing = lives(broker=State.READY, member=State.READY, sink=State.READY)
    assert names(plan.to_stop(ALL, standing)) == ["sink"]


@pytest.mark.parametrize("member", [State.STARTING, State.READY, State.STOPPING])
def test_a_dependency_outlives_what_needs_it(member: State) -> None:
    standing = lives(broker=State.READY, member=member, sink=State.STOPPED)
    assert "broker" not in names(plan.to_stop(ALL, standing))


def test_the_last_to_stop_is_the_broker() -> None:
    standing = lives(broker=State.READY, member=State.STOPPED, sink=State.WAITING)
    assert names(plan.to_stop(ALL, standing)) == ["broker"]


def test_delays_double_up_to_ten_seconds() -> None:
    assert [plan.delay(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert plan.delay(100_000) == 10


def test_early_deaths_add_up() -> None:
    life = Life()
    for expected in (0.5, 1.0, 2.0):
        life = plan.died(plan.started(life, 100), 101)
        assert (life.state, life.due) == (State.WAITING, 101 + expected)
    assert life.restarts == 2


def test_a_healthy_while_is_forgiven() -> None:
    life = plan.became_ready(plan.started(Life(failures=4), 0), 10)
    assert plan.died(life, 10 + plan.HEALTHY_AFTER - 0.1).failures == 5
    assert plan.died(life, 10 + plan.HEALTHY_AFTER).failures == 1


def test_a_death_that_was_asked_for_is_the_end() -> None:
    life = plan.died(plan.stopping(plan.started(Life(), 0), 1), 2)
    assert (life.state, life.failures) == (State.STOPPED, 0)


def test_only_what_was_never_ready_is_hopeless() -> None:
    tried = Life(failures=plan.GIVE_UP_AFTER)
    assert tried.hopeless
    assert not replace(tried, was_ready=True).hopeless
    assert not replace(tried, failures=plan.GIVE_UP_AFTER - 1).hopeless


def test_starting_and_stopping_have_bounds() -> None:
    bounded = Process("x", ("true",), ready_within=5, stop_within=2)
    assert not plan.overdue(bounded, Life(State.STARTING, since=10), 15)
    assert plan.overdue(bounded, Life(State.STARTING, since=10), 15.1)
    assert plan.overdue(bounded, Life(State.STOPPING, since=10), 12.1)
    assert not plan.overdue(bounded, Life(State.READY, since=10), 1000)


def test_circles_and_unknown_dependencies_are_refused() -> None:
    with pytest.raises(PlanError, match="circle: a, b"):
        plan.check((process("a", "b"), process("b", "a"), process("c")))
    with pytest.raises(PlanError, match="depends on ghost"):
        plan.check((process("a", "ghost"),))


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=12))
def test_every_order_without_circles_starts_and_stops_whole(edges: list[set[int]]) -> None:
    """Process n may depend on any before it: then all start after their dependencies, and stop before them."""
    processes = [process(str(n), *(str(d) for d in sorted(wanted) if d < n)) for n, wanted in enumerate(edges)]
    plan.check(processes)
    standing = {p.name: Life() for p in processes}
    while due := plan.to_start(processes, standing, 0):
        for p in due:
            assert all(standing[d].state is State.READY for d in p.depends)
            standing[p.name] = plan.became_ready(plan.started(standing[p.name], 0), 0)
    assert all(life.state is State.READY for life in standing.values())
    while due := plan.to_stop(processes, standing):
        for p in due:
            assert not any(standing[q.name].state.runs for q in processes if p.name in q.depends)
        for p in due:
            standing[p.name] = plan.died(plan.stopping(standing[p.name], 0), 0)
    assert all(life.state is State.STOPPED for life in standing.values())
