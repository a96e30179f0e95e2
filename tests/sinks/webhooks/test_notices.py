"""Which alerts are told: each rule with a case that would be told without it."""

import json
from typing import Any

from sinks.webhooks.notices import Group, Notices, Opening, Rules, dump
from tests.sinks.webhooks.alerts import told

RULES = Rules(calm_ms=100, remind_ms=10_000, group_ms=1_000, burst=3)


def states(found: list[Any]) -> list[tuple[str, str]]:
    return [(one.state, one.alert["id"]) for one in found]


def test_an_alert_is_told_once_whatever_often_it_comes() -> None:
    notices = Notices(RULES)
    assert states(notices.take(told(1), 0)) == [("opened", "coverage/p#1")]
    assert notices.take(told(1), 1) == []
    assert notices.openings["coverage/p"].count == 1


def test_of_one_key_the_first_is_told_and_what_is_more_severe() -> None:
    notices = Notices(RULES)
    notices.take(told(1, severity="info"), 0)
    assert notices.take(told(2, severity="info"), 1) == []
    assert states(notices.take(told(3), 2)) == [("worse", "coverage/p#3")]
    assert notices.take(told(4), 3) == []
    assert notices.take(told(5, severity="info"), 4) == []
    assert states(notices.take(told(6, "coverage/q"), 5)) == [("opened", "coverage/q#6")]


def test_the_end_is_told_when_it_has_held_and_by_the_gravest_severity() -> None:
    notices = Notices(RULES)
    notices.take(told(1, severity="critical"), 0)
    assert notices.take(told(2, severity="info", resolved=True), 50) == []
    assert notices.tick(149) == []
    (over,) = notices.tick(150)
    assert (over.state, over.worst, over.count, over.alert["id"]) == ("resolved", "critical", 2, "coverage/p#2")
    assert notices.openings == {}
    assert notices.tick(1_000) == []


def test_what_comes_back_before_was_never_away() -> None:
    notices = Notices(RULES)
    notices.take(told(1), 0)
    for number in range(2, 20, 2):
        assert notices.take(told(number, resolved=True), number * 40) == []
        assert notices.take(told(number + 1), number * 40 + 39) == []
    assert notices.tick(900) == []


def test_a_milder_state_is_told_when_it_has_held() -> None:
    notices = Notices(RULES)
    notices.take(told(1), 0)
    assert notices.take(told(2, severity="info"), 10) == []
    assert states(notices.tick(110)) == [("milder", "coverage/p#2")]
    assert notices.tick(500) == []
    assert states(notices.take(told(3), 600)) == [("worse", "coverage/p#3")]


def test_without_calm_the_end_is_told_at_once() -> None:
    notices = Notices(Rules(calm_ms=0))
    notices.take(told(1), 0)
    assert states(notices.take(told(2, resolved=True), 0)) == [("resolved", "coverage/p#2")]


def test_the_end_of_what_never_began_is_nothing() -> None:
    notices = Notices(RULES)
    assert notices.take(told(1, resolved=True), 0) == []
    assert notices.openings == {}


def test_what_goes_on_is_told_again_after_a_while_with_its_count() -> None:
    notices = Notices(RULES)
    notices.take(told(1), 0)
    assert notices.tick(20_000) == [], "nothing came"
    (reminder,) = notices.take(told(2), 20_001)
    assert (reminder.state, reminder.count) == ("reminder", 2)
    assert notices.take(told(3), 20_002) == []


def test_a_deed_is_told_once_and_is_not_waited_for() -> None:
    notices = Notices(RULES)
    deed = told(1, "evidence/x", kind="two_commits", severity="critical") | {"key": "evidence/x#1"}
    assert states(notices.take(deed, 0)) == [("happened", "evidence/x#1")]
    assert notices.openings == {}
    assert notices.take(deed, 1) == []
    assert states(notices.take(told(2) | {"key": ""}, 2)) == [("happened", "coverage/p#2")]


def test_more_than_a_few_of_one_kind_and_subject_are_told_as_one() -> None:
    notices = Notices(RULES)
    found = [one for number in range(10) for one in notices.take(told(number, f"coverage/{number}"), number)]
    assert len(found) == 3
    assert notices.tick(999) == []
    (summary,) = notices.tick(1_000)
    assert (summary.state, summary.count, summary.key) == ("summary", 7, "group/coverage/plant-a")
    assert [figure["value"] for figure in summary.alert["figures"]] == [f"coverage/{n}#{n}" for n in range(3, 10)]
    assert notices.groups == {}
    assert len(notices.take(told(11, "coverage/11"), 1_001)) == 1


def test_a_group_is_of_one_kind_and_subject_and_what_is_critical_is_not_held() -> None:
    notices = Notices(RULES)
    for number in range(3):
        notices.take(told(number, f"coverage/{number}"), 0)
    assert len(notices.take(told(3, "coverage/3", subject="plant-b"), 0)) == 1
    assert len(notices.take(told(4, "coverage/4", kind="clock"), 0)) == 1
    assert len(notices.take(told(5, "coverage/5", severity="critical"), 0)) == 1
    assert notices.take(told(6, "coverage/6"), 0) == []


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_holds() -> None:
    notices = Notices(RULES, lambda alert, now: now < 500)
    assert notices.take(told(1), 0) == []
    assert notices.take(told(2, "coverage/q"), 0) == []
    assert notices.take(told(3, "coverage/q", resolved=True), 10) == []
    assert notices.tick(499) == []
    assert "coverage/q" not in notices.openings
    assert states(notices.tick(500)) == [("opened", "coverage/p#1")]


def test_the_state_survives_as_json_and_goes_on_where_it_was() -> None:
    notices = Notices(RULES)
    for number in range(5):
        notices.take(told(number, f"coverage/{number}"), number)
    notices.take(told(9, "coverage/1", resolved=True), 9)
    again = Notices(RULES)
    again.seen = dict(notices.seen)
    again.openings = {key: Opening(**json.loads(json.dumps(dump(one)))) for key, one in notices.openings.items()}
    again.groups = {name: Group(**json.loads(json.dumps(dump(one)))) for name, one in notices.groups.items()}
    assert again.tick(5_000) == notices.tick(5_000) != []
    assert again.take(told(2, "coverage/2"), 5_001) == []
    assert notices.changed == {f"coverage/{number}" for number in range(5)}
    assert notices.changed_groups == {"group/coverage/plant-a"}
