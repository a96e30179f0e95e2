"""The fold from what the ledger accepted to outlooks, and its messages. Synthetic subjects."""

from typing import Any

import pytest

from carbon.calendar import DAY_MS
from carbon.emission import Unbooked
from carbon.ledger.books import Books
from carbon.planning import rules as rulesets
from carbon.planning.days import first_of, months_of, start_ms
from carbon.planning.outlook import Outlook
from carbon.planning.rules import Held
from carbon.planning.telling import forecast_of
from carbon.planning.warning import EarlyWarning
from carbon.planning.watch import KEPT_DAYS, Watch, Watched
from carbon.submission import Submission, body_of
from schemas import codec

OFFSET = 480
JANUARY = first_of(2023)
NOW = start_ms(first_of(2024), OFFSET)


def submission(kind_: str, number_: int = 1, **content: Any) -> Submission:
    body = body_of("party", number_, kind_, content, bytes(16))
    return Submission("party", number_, kind_, content, bytes(16), body, ())


def allocation(amount_g: int, number: int = 1, **more: Any) -> Submission:
    fixed = {"stage": "PRE", "outputs": [], "share_percent": 100, "cut_g": 0, "decision": [], "allowed": []}
    return submission("allocation", number, **{"subject": "plant", "year": 2023, "amount_g": amount_g, **fixed, **more})


def books(*submissions: Submission) -> Books:
    found = Books(OFFSET)
    for one in submissions:
        found.apply(one, NOW, 1)
    return found


def emit(watch: Watch, posted: Books, day: int, grams: int, point: str = "point", subject: str = "plant") -> None:
    """A record of a whole day, posted as the books post it."""
    start = start_ms(day, OFFSET)
    watch.emitted(subject, point, start, start + DAY_MS, grams)
    record = {"subject": subject, "window_start": start, "rule": "combustion: x", "emission_g": grams, "replaces": None}
    posted.post(record, 1)


def judged(watch: Watch, posted: Books) -> tuple[list[Outlook], list[EarlyWarning]]:
    both = list(watch.judge(posted))
    return [outlook for outlook, _ in both], [warning for _, warnings in both for warning in warnings]


def test_a_day_is_complete_when_every_source_has_told_it() -> None:
    watch, posted = Watch(OFFSET), books()
    emit(watch, posted, JANUARY, 5, "a")
    emit(watch, posted, JANUARY + 1, 5, "a")
    assert [outlook.day for outlook in judged(watch, posted)[0]] == [JANUARY, JANUARY + 1]
    emit(watch, posted, JANUARY + 1, 7, "b")
    emit(watch, posted, JANUARY + 2, 7, "b")
    assert judged(watch, posted)[0] == []
    emit(watch, posted, JANUARY + 2, 5, "a")
    (outlook,) = judged(watch, posted)[0]
    assert (outlook.day, outlook.emitted_g, outlook.silent) == (JANUARY + 2, 29, 0)


def test_a_part_of_a_day_is_not_a_day() -> None:
    watch, start = Watch(OFFSET), start_ms(JANUARY, OFFSET)
    for hour in range(24):
        assert judged(watch, books()) == ([], [])
        watch.emitted("plant", "a", start + hour * 3_600_000, start + (hour + 1) * 3_600_000, 1)
    assert [outlook.emitted_g for outlook in judged(watch, books())[0]] == [24]


def test_a_source_that_fell_silent_is_not_waited_for_and_told() -> None:
    watch, posted = Watch(OFFSET), books()
    emit(watch, posted, JANUARY, 1, "b")
    for day in range(10):
        emit(watch, posted, JANUARY + day, 1, "a")
    outlooks, _ = judged(watch, posted)
    assert outlooks[-1].day == JANUARY + 9 and outlooks[-1].silent == 1


def test_a_point_that_emits_nothing_by_itself_is_not_waited_for() -> None:
    watch, start = Watch(OFFSET), start_ms(JANUARY, OFFSET)
    fields = {"subject": "plant", "point": "oxygen", "window_seconds": 3600}
    for rule in (str(Unbooked()), f"{Unbooked()} · tier x"):
        watch.window(fields | {"rule": rule}, start, 0)
    assert watch.subjects == {}
    watch.window(fields | {"rule": "combustion: 9.5 GJ/MWh"}, start, 5)
    assert watch.subjects["plant"].heads == {"oxygen": start + 3_600_000}


def test_each_day_is_judged_once() -> None:
    watch, posted = Watch(OFFSET), books()
    emit(watch, posted, JANUARY, 1)
    assert len(judged(watch, posted)[0]) == 1
    emit(watch, posted, JANUARY, 1)
    assert judged(watch, posted)[0] == []


def test_what_is_available_at_a_days_end_leaves_out_what_came_later() -> None:
    """Two days come complete in one block: each is judged by what had been emitted by its end."""
    watch, posted = Watch(OFFSET), books(allocation(1_000))
    for day in range(3):
        emit(watch, posted, JANUARY + day, 100)
    outlooks, _ = judged(watch, posted)
    assert [outlook.stated.available_g for outlook in outlooks] == [900, 800, 700]


def test_there_is_no_balance_before_allowances_of_the_year() -> None:
    watch, posted = Watch(OFFSET), books(allocation(1_000, year=2022))
    emit(watch, posted, JANUARY, 100)
    (outlook,), warnings = judged(watch, posted)
    assert outlook.stated.available_g is None and warnings == []


def test_the_year_before_is_still_to_be_surrendered_for() -> None:
    watch, posted = Watch(OFFSET), books(allocation(300, year=2022), allocation(1_000, number=2))
    emit(watch, posted, JANUARY - 1, 450)
    emit(watch, posted, JANUARY, 100)
    (_, outlook), _ = judged(watch, posted)
    assert outlook.stated.available_g == 300 + 1_000 - 450 - 100
    watch, posted = Watch(OFFSET), posted
    verified = submission(
        "verification", 3, subject="plant", year=2022, emissions_g=400, sources=[], document=bytes(32)
    )
    posted.apply(verified, NOW, 1)
    watch.state(verified)
    emit(watch, posted, JANUARY, 0)
    (outlook,), _ = judged(watch, posted)
    assert outlook.stated.available_g == 300 + 1_000 - 400 - 100  # though this watch was told of no day of that year


def test_a_closed_year_is_settled() -> None:
    watch, posted = Watch(OFFSET), books(allocation(1_000))
    emit(watch, posted, JANUARY - 1, 450)
    posted.book.closed["plant"] = 2022
    emit(watch, posted, JANUARY, 100)
    (_, outlook), _ = judged(watch, posted)
    assert outlook.stated.available_g == 900


def activity(emission_g: int, days: range, number: int = 1) -> Submission:
    start, end = start_ms(days.start, OFFSET), start_ms(days.stop, OFFSET)
    fixed = {"quantity": 1, "scale": 0, "unit": "t", "rule": [], "factors": bytes(32), "allowed": []}
    content = {"subject": "bakery", "source": "gas", "start": start, "end": end, "emission_g": emission_g}
    return submission("activity", number, **content, **fixed, document=bytes(32))


def reversal(original: Submission) -> Submission:
    content = {"number": original.number, "reason": "", "body": original.body, "postings": [], "place": 0, "path": []}
    return submission("reversal", original.number + 1, **content)


def test_a_bill_is_spread_over_its_days_to_the_gram() -> None:
    watch = Watch(OFFSET)
    watch.state(activity(100, range(JANUARY, JANUARY + 31)))
    days = list(watch.subjects["bakery"].grams)
    assert sum(days) == 100 and len(days) == 31 and set(days) == {3, 4}
    outlooks, _ = judged(watch, books())
    assert [outlook.day for outlook in outlooks] == list(range(JANUARY, JANUARY + 31))


def test_a_bill_that_is_taken_back_counts_no_more() -> None:
    watch, bill = Watch(OFFSET), activity(101, range(JANUARY, JANUARY + 31))
    watch.state(bill)
    watch.state(reversal(bill))
    assert set(watch.subjects["bakery"].grams) == {0}


def plan(number: int = 1, emission_g: int = 10, product: str = "steel", year: int = 2023) -> Submission:
    months = [{"emission_g": emission_g, "output": 100}] * 12
    fixed = {"product": product, "scale": 1, "unit": "t"}
    return submission("plan", number, subject="plant", year=year, months=months, **fixed)


def output(quantity: int, number: int = 1, product: str = "steel", **more: Any) -> Submission:
    start, end = (start_ms(first_of(2023, month), OFFSET) for month in (1, 2))
    period = {"subject": "plant", "start": start, "end": end, "product": product, "document": bytes(32)}
    return submission("output", number, **period, quantity=quantity, **{"scale": 1, "unit": "t", **more})


def test_the_newest_plan_and_target_count() -> None:
    watch, posted = Watch(OFFSET), books()
    path = {"base_year": 2020, "base_g": 800, "target_year": 2030, "target_g": 300, "path": []}
    for one in (plan(), plan(2, 20), submission("target", 3, subject="plant", **path)):
        watch.state(one)
    emit(watch, posted, JANUARY, 1)
    (outlook,), _ = judged(watch, posted)
    assert outlook.stated.plan is not None and outlook.stated.plan.total_g == 240
    assert outlook.path_g == 650


def test_next_years_plan_takes_nothing_from_this_ones() -> None:
    watch, posted = Watch(OFFSET), books()
    for year in (2020, 2023, 2024):
        watch.state(plan(year - 2019, year=year))
    emit(watch, posted, JANUARY, 1)
    (outlook,), _ = judged(watch, posted)
    assert outlook.stated.plan is not None and outlook.stated.plan.year == 2023
    assert set(watch.subjects["plant"].plans) == {"2023", "2024"}


def test_outputs_of_what_is_planned_count_in_its_units() -> None:
    watch, posted = Watch(OFFSET), books()
    for one in (plan(), output(70), output(7, 2, scale=0), output(5, 3, "slag"), output(5, 4, unit="kg")):
        watch.state(one)
    watch.state(reversal(output(70)))
    emit(watch, posted, JANUARY, 1)
    (outlook,), _ = judged(watch, posted)
    assert [tuple(row) for row in outlook.stated.outputs] == [(JANUARY, JANUARY + 31, 70.0)]


def test_rules_that_were_submitted_take_the_place_of_the_shipped_ones() -> None:
    watch = Watch(OFFSET)
    text = '{"calm_days":3,"calm_reason":"","rules":[]}'
    watch.state(submission("ruleset", name="colours", rules=text))
    assert watch.rules == rulesets.default()
    watch.state(submission("ruleset", name="early-warning", rules=text))
    assert (watch.rules.calm_days, watch.ruleset) == (3, text)
    for bad in ("[]", "{}", "no", "[" * 100_000):
        watch.adopt(bad)
        assert watch.rules.calm_days == 3


def test_a_subject_comes_back_as_it_was() -> None:
    watch, posted = Watch(OFFSET), books(allocation(100))
    for one in (plan(), output(70)):
        watch.state(one)
    emit(watch, posted, JANUARY, 90)
    emit(watch, posted, JANUARY + 1, 20)
    judged(watch, posted)
    plant = watch.subjects["plant"]
    again = Watched.of(plant.facts())
    again.first, again.grams = plant.first, plant.grams
    assert again == plant and plant.levels["balance_short"].level > 0


def test_days_are_forgotten_after_two_years_and_more() -> None:
    watched = Watched()
    for day in range(1_000):
        watched.add(day, day)
    assert (watched.first, len(watched.grams), watched.grams[-1]) == (1_000 - KEPT_DAYS, KEPT_DAYS, 999)
    watched.add(0, 5)
    assert watched.first == 1_000 - KEPT_DAYS and sum(watched.grams) == sum(range(200, 1_000))


def test_a_day_before_the_first_one_is_known_too() -> None:
    watched = Watched()
    watched.add(10, 1)
    watched.add(7, 2)
    assert (watched.first, list(watched.grams)) == (7, [2, 0, 0, 1])
    assert (watched.between(0, 8), watched.between(8, 99), watched.between(0, 3)) == (2, 1, 0)


def test_the_message_says_the_outlook() -> None:
    watch, posted = Watch(OFFSET), books(allocation(40_000))
    months = [{"emission_g": 16 * len(month), "output": 0} for month in months_of(2023)]
    watch.state(submission("plan", subject="plant", year=2023, months=months, product="", scale=0, unit=""))
    for day in range(60):
        emit(watch, posted, JANUARY + day, 600)
    outlook = judged(watch, posted)[0][-1]
    levels = watch.subjects["plant"].levels
    message = forecast_of(outlook, levels, watch.rules, OFFSET, 9)
    told = codec.decode("forecast", codec.encode("forecast", message))
    assert (told["subject"], told["year"], told["height"], told["silent"]) == ("plant", 2023, 9, 0)
    assert (told["emitted_g"], told["year_end_g"], told["available_g"]) == (36_000, 219_000, 4_000)
    assert (told["plan_g"], told["planned_so_far_g"]) == (16 * 365, 16 * 60)
    assert told["at"] == start_ms(JANUARY + 60, OFFSET)
    # 4,000 g at 600 a day last into the seventh day
    assert told["exhausted_at"] == start_ms(JANUARY + 67, OFFSET)
    assert told["exhausted_early"] < told["exhausted_at"] < told["exhausted_late"]
    assert told["low_95_g"] < told["low_80_g"] < told["year_end_g"] < told["high_80_g"] < told["high_95_g"]
    assert told["shortage_probability"] > 0.999
    assert {row["kind"]: row["level"] for row in told["levels"]} == {
        "balance_short": "critical",
        "plan_exceeded": "exceeded",
    }


def test_a_message_without_a_forecast_says_none() -> None:
    watch, posted = Watch(OFFSET), books()
    emit(watch, posted, JANUARY, 600)
    (outlook,), _ = judged(watch, posted)
    told = codec.decode("forecast", codec.encode("forecast", forecast_of(outlook, {}, watch.rules, OFFSET, 9)))
    assert (told["year_end_g"], told["method"], told["available_g"], told["levels"]) == (None, None, None, [])


@pytest.mark.parametrize("level", [0, 2])
def test_levels_go_on_from_where_they_stood(level: int) -> None:
    watch, posted = Watch(OFFSET), books(allocation(10**9))
    emit(watch, posted, JANUARY, 1)
    watch.subjects["plant"].levels = {"balance_short": Held(2023, level)}
    judged(watch, posted)
    assert watch.subjects["plant"].levels["balance_short"].level == level
