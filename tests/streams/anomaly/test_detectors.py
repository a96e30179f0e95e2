"""Thresholds, verdicts, state, and what each detector must not tell."""

import json
import random
from math import log, sin

import pytest

from streams.anomaly.alarm import Alarm, Change, Detector, Slot
from streams.anomaly.clock import Clock
from streams.anomaly.point import PointStack, SubMeters
from streams.anomaly.register import Rollback
from streams.anomaly.swap import Swap, day_of
from streams.anomaly.threshold import DAY_MS, Threshold

STEP = 900_000


def gumbel(rng: random.Random) -> float:
    return 20 - 3 * log(-log(rng.random()))


@pytest.mark.parametrize("per_month", [0.25, 1, 4])
def test_the_rate_of_false_alarms_is_the_one_that_is_set(per_month: float) -> None:
    rng, told, days = random.Random(2), 0, 10_000
    threshold = Threshold(0, per_month / 30)
    for _ in range(days):
        value = gumbel(rng)
        told += value > threshold.limit
        threshold.peak = value
        threshold.end_day()
    assert per_month / 2 < told / days * 30 < per_month * 2


def test_the_first_week_has_no_limit_and_alarms_are_not_learned_from() -> None:
    threshold = Threshold(5, 1 / 30)
    for day in range(8):
        assert (threshold.limit == float("inf")) == (day < 7)
        threshold.peak = 1.0 + day % 2
        threshold.end_day()
    assert threshold.limit == 5


class Level(Detector):
    kind, invariant, floor = "level", "it stays below five", 5.0


def level() -> Level:
    detector = Level(1 / 30)
    for hour in range(9 * 24):
        assert detector.judge(hour * 3_600_000, 1.0) is Change.NONE
    return detector


def test_an_alarm_is_raised_once_and_resolved_after_a_calm_day() -> None:
    detector, begin = level(), 9 * DAY_MS
    changes = [detector.judge(begin + hour * 3_600_000, 9.0 * (hour < 3 or hour == 20)) for hour in range(60)]
    assert [(hour, change.name) for hour, change in enumerate(changes) if change] == [(0, "RAISED"), (44, "RESOLVED")]


def test_what_lasts_for_four_weeks_is_usual_and_its_alarm_ends() -> None:
    detector, begin = level(), 9 * DAY_MS
    changes = [detector.judge(begin + hour * 3_600_000, 9.0) for hour in range(50 * 24)]
    told = [(hour // 24, change.name) for hour, change in enumerate(changes) if change]
    assert told == [(0, "RAISED"), (29, "RESOLVED")]
    assert detector.opened is None and detector.threshold.limit > 9


def slots(days: int, seed: int = 1) -> list[Slot]:
    rng = random.Random(seed)
    out = []
    for step in range(days * 96):
        value = round(10_000 + 3_000 * sin(step / 96 * 6.283) + rng.gauss(0, 300))
        out.append(Slot(step * STEP, value if rng.random() > 0.01 else None, "N", True, 2_000 + rng.randrange(500)))
    return out


def odd(slot: Slot, place: int) -> Slot:
    """Some of everything: held, rounded, multiplied, flagged, late."""
    value = slot.value
    if value is not None:
        match place // 96 % 8:
            case 1:
                value = 4_711
            case 3:
                value = value // 1_000 * 1_000
            case 5:
                value = 2 * value
    return slot._replace(value=value, flag="C" if place // 96 % 8 == 6 else "N", lag=2_000 + 40 * (place // 96))


def test_a_restored_stack_goes_on_byte_for_byte() -> None:
    whole, first, second = PointStack(STEP), PointStack(STEP), PointStack(STEP)
    given = [odd(slot, place - 1_500) if place >= 1_500 else slot for place, slot in enumerate(slots(30))]
    wanted = [alarm for slot in given for alarm in whole.take(slot)]
    found = [alarm for slot in given[:2_000] for alarm in first.take(slot)]
    second.restore(json.loads(json.dumps(first.state())))
    found += [alarm for slot in given[2_000:] for alarm in second.take(slot)]
    assert found == wanted and len({alarm.kind for alarm in wanted}) > 4
    assert json.dumps(second.state()) == json.dumps(whole.state())


def test_the_memory_of_a_stack_is_bounded() -> None:
    stack = PointStack(STEP)
    sizes = []
    for place, slot in enumerate(slots(50)):
        stack.take(slot)
        if place in (40 * 96, 50 * 96 - 1):
            sizes.append(len(json.dumps(stack.state())))
    assert sizes[1] < 1.05 * sizes[0] < 250_000


def test_readings_stored_through_an_outage_are_no_clock_that_went_wrong() -> None:
    clock, told = Clock(1 / 300), list[Alarm | None]()
    for step in range(20 * 96):
        held = (40 - step % 500) * STEP if 20 <= step % 500 < 40 else 0
        told.append(clock.take(Slot(step * STEP, 1, "N", True, 1_000 + held + step % 7)))
    assert not any(told)
    found = [clock.take(Slot(step * STEP, 1, "N", True, 901_000)) for step in range(20 * 96, 20 * 96 + 20)]
    alarm = next(one for one in found if one)
    assert alarm.figures["moved_seconds"] == pytest.approx(900, abs=1)


def test_a_register_that_begins_anew_at_its_modulus_did_not_fall() -> None:
    rollback = Rollback(1 / 300, modulus=10_000)
    told = [rollback.take(Slot(step * STEP, 70 * step % 10_000)) for step in range(1_000)]
    assert not any(told)
    alarm = rollback.take(Slot(1_000 * STEP, 70 * 1_000 % 10_000 - 2_000))
    assert alarm is not None and alarm.figures["fell_by"] == pytest.approx(2_000 - 70)


def test_exchanged_meters_are_named() -> None:
    rng, swap = random.Random(3), Swap(1 / 300, ("a", "b", "c"))
    told = []
    for day in range(40):
        hours = {
            name: day_of([size * (2 + sin(hour / 24 * 6.283 + phase)) * rng.uniform(0.9, 1.1) for hour in range(24)])
            for name, size, phase in (("a", 1_000, 0), ("b", 1_100, 2), ("c", 5_000, 1))
        }
        if day >= 30:
            hours["a"], hours["b"] = hours["b"], hours["a"]
        told.append(swap.take((day + 1) * DAY_MS, hours))
    assert [day for day, alarm in enumerate(told) if alarm and not alarm.resolved] == [30]
    assert told[30] is not None and told[30].figures["points"] == "a & b"


def test_a_sub_meter_that_lags_behind_its_parent_is_told() -> None:
    rng, sub = random.Random(4), SubMeters()
    told = []
    for step in range(60 * 96):
        parts = [1_000 * (2 + sin(step / 96 * 6.283)) * rng.uniform(0.98, 1.02), 800 * rng.uniform(0.95, 1.05)]
        parent = sum(parts) * 1.02 * rng.uniform(0.995, 1.005)
        if step >= 45 * 96:
            parts[0] *= 0.95
        told += [(step // 96, alarm) for alarm in sub.take(step * STEP, parent, parts)]
    raised = [(day, alarm) for day, alarm in told if not alarm.resolved]
    assert [alarm.kind for _, alarm in raised] == ["sub_meters"] and 45 <= raised[0][0] <= 46
    assert float(raised[0][1].figures["ratio_to_usual"]) < 1
