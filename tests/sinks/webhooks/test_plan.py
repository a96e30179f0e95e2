"""Retries, verdicts and the order of an endpoint's queue."""

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.webhooks.plan import (
    AT_ONCE,
    DAY_MS,
    DISABLE_MS,
    GIVE_UP_MS,
    LONGEST_PAUSE_MS,
    LONGEST_REST_MS,
    Answer,
    EndpointQueue,
    Outcome,
    Waiting,
    disabling,
    judge,
    pause_ms,
)

DOWN = Answer(None, "connection")


def waiting(number: int, key: str = "k", due: int = 0) -> Waiting:
    return Waiting(number, f"evt_{number}", "coverage", key, b"{}", due=due)


def test_the_bound_of_the_pause_doubles_up_to_two_hours_and_the_jitter_is_full() -> None:
    almost = 1 - 1e-9
    assert [round(pause_ms(attempt, almost) / 1000) for attempt in (1, 2, 3, 11, 12, 50)] == [
        5,
        10,
        20,
        5120,
        7200,
        7200,
    ]
    assert pause_ms(5, 0.0) == 0
    assert pause_ms(5, 0.5) == 40_000


def test_any_2xx_is_delivery_and_nothing_else() -> None:
    for status in (200, 202, 204, 299):
        assert judge(Answer(status), 1, 0, 0, 0.5).outcome is Outcome.DELIVERED
    for status, reason in ((199, "status"), (301, "redirect"), (308, "redirect"), (400, "status"), (503, "status")):
        verdict = judge(Answer(status), 1, 1_000, 1_000, 0.5)
        assert (verdict.outcome, verdict.reason, verdict.next_at) == (Outcome.FAILED, reason, 3_500)


def test_an_event_is_given_up_after_a_day_and_tried_once_more_when_it_is_over() -> None:
    last = judge(DOWN, 30, 0, GIVE_UP_MS - 60_000, 0.99)
    assert (last.outcome, last.next_at) == (Outcome.FAILED, GIVE_UP_MS)
    assert judge(DOWN, 31, 0, GIVE_UP_MS, 0.99) == (Outcome.DEAD, "connection", None)


@pytest.mark.parametrize("seed", range(20))
def test_a_day_of_failures_is_some_dozen_attempts(seed: int) -> None:
    chances, now, attempt = random.Random(seed), 0, 0
    while True:
        attempt += 1
        verdict = judge(DOWN, attempt, 0, now, chances.random())
        if verdict.next_at is None:
            break
        assert verdict.next_at >= now
        now = verdict.next_at
    assert now == GIVE_UP_MS
    assert 20 < attempt < 80


def test_the_endpoints_wish_to_wait_counts_within_reason() -> None:
    assert judge(Answer(429, retry_after_ms=90_000), 1, 0, 0, 0.5).next_at == 90_000
    assert judge(Answer(429, retry_after_ms=DAY_MS * 9), 1, 0, 0, 0.5).next_at == LONGEST_PAUSE_MS


def test_a_subscription_is_disabled_after_three_days_of_failure_or_when_it_is_gone() -> None:
    assert disabling(DOWN, 0, DISABLE_MS - 1) is None
    assert disabling(DOWN, 0, DISABLE_MS) == "every attempt has failed for 3 days"
    assert disabling(Answer(410), 0, 0) == "the endpoint is gone (410)"


def test_events_of_one_key_go_one_after_the_other_and_others_beside_them() -> None:
    queue = EndpointQueue()
    for number, key in enumerate("aabbc", 1):
        queue.offer(waiting(number, key))
    assert [one.number for one in queue.take(0)] == [1, 3, 5]
    for _ in range(3):
        queue.heard(delivered=True, began=0, now=0, chance=0.5)
    assert queue.take(0) == []
    queue.done("b")
    assert [one.number for one in queue.take(0)] == [4]
    queue.again(waiting(1, "a", due=50))
    assert queue.take(49) == []
    assert queue.next_due == 50
    assert [one.number for one in queue.take(50)] == [1]
    queue.done("a")
    assert [one.number for one in queue.take(50)] == [2]
    assert len(queue) == 3


def test_so_many_at_once_and_no_more() -> None:
    queue = EndpointQueue()
    for number in range(1, AT_ONCE + 5):
        queue.offer(waiting(number, f"k{number}"))
    assert len(queue.take(0)) == AT_ONCE
    assert queue.next_due is None
    queue.heard(delivered=True, began=0, now=0, chance=0.5)
    assert len(queue.take(0)) == 1, "before what was answered is kept"


def test_an_endpoint_that_fails_rests_and_is_then_asked_by_one_until_it_answers() -> None:
    queue = EndpointQueue()
    for number in range(1, 40):
        queue.offer(waiting(number, f"k{number}"))
    first = queue.take(0)
    for one in first:
        queue.heard(delivered=False, began=0, now=10, chance=0.5)
        queue.again(one._replace(due=2_510))
    assert queue.failures == 1, "what was under way together is one failure"
    assert queue.take(2_509) == []
    assert queue.next_due == 2_510
    (probe,) = queue.take(2_510)
    queue.heard(delivered=False, began=2_510, now=2_600, chance=0.5)
    assert queue.rest_until == 7_600
    queue.again(probe._replace(due=9_000))
    (probe,) = queue.take(7_600)
    queue.heard(delivered=True, began=7_600, now=7_700, chance=0.5)
    queue.done(probe.key)
    assert len(queue.take(7_700)) == AT_ONCE


def test_the_rest_is_bounded() -> None:
    queue = EndpointQueue()
    for number in range(30):
        queue.under_way += 1
        queue.heard(delivered=False, began=queue.rest_until, now=queue.rest_until, chance=0.999)
        assert number < 8 or queue.rest_until > 0
    before = queue.rest_until
    queue.under_way += 1
    queue.heard(delivered=False, began=before, now=before, chance=0.999)
    assert queue.rest_until == before + LONGEST_REST_MS


@settings(max_examples=30)
@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(0, 1_000))
def test_whatever_fails_every_event_is_delivered_in_the_order_of_its_key(keys: list[str], seed: int) -> None:
    queue, delivered, now = EndpointQueue(at_once=3), defaultdict[str, list[int]](list), 0
    chances = random.Random(seed)
    for number, key in enumerate(keys, 1):
        queue.offer(waiting(number, key))
    while len(queue):
        taken = queue.take(now)
        assert len({one.key for one in taken}) == len(taken) <= 3
        for one in taken:
            good = chances.random() < 0.6
            queue.heard(delivered=good, began=now, now=now, chance=chances.random())
            if good:
                delivered[one.key].append(one.number)
                queue.done(one.key)
            else:
                queue.again(one._replace(due=now + 1_000))
        due = queue.next_due
        now = now + 1 if due is None else max(now, due)
    for key, numbers in delivered.items():
        assert numbers == [number for number, one in enumerate(keys, 1) if one == key]
    assert sum(map(len, delivered.values())) == len(keys)
