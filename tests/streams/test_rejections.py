"""Refusals that go on: told once a stream, over once, whatever flaps and whoever restarts between."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon.alert import Alert
from schemas import codec
from streams.rejections import EXPECTED, MESSAGES, READINGS, Rejections, Rules
from tests.small import START, World

RULES = Rules()
MINUTE = 60_000
REGISTRY = World.make(points=2, gateways=2, more={"plant-1-1": {"subject": "region"}}).registry


def letter(reason: str, *points: str, gateway: str | None = "gw-0", code: str | None = None) -> dict[str, Any]:
    """A dead letter of refused readings; without points of a whole message."""
    items = [
        {"index": place, "point": point, "reason": reason, "detail": "7 of 5", "code": code}
        for place, point in enumerate(points)
    ]
    whole = [{"index": -1, "point": None, "reason": reason, "detail": "not his", "code": None}]
    return {"gateway": gateway, "items": items or whole}


def told(one: Rejections, minutes: list[float], found: dict[str, Any]) -> list[Alert]:
    alerts = []
    for minute in minutes:
        alerts += one.take(found, round(START + minute * MINUTE), REGISTRY)
    return alerts


def test_too_many_readings_of_a_point_are_one_alert_and_one_end() -> None:
    one = Rejections()
    each = letter("out_of_range", "plant-0-1", code="99/x")
    (raised,) = told(one, [minute / 4 for minute in range(60)], each)
    assert raised["id"] == f"readings_rejected/plant-0-1/out_of_range/{START + 19 * MINUTE // 4}"
    assert (raised["kind"], raised["severity"], raised["point"], raised["subject"], raised["code"]) == (
        READINGS, "warning", "plant-0-1", "plant", "99/x",
    )  # fmt: skip
    assert "20 readings refused within 10 minutes by out_of_range, the last: 7 of 5" in raised["text"]
    assert {"name": "refused", "value": "20"} in raised["figures"] and "point = 'plant-0-1'" in raised["proof"]
    last = START + 59 * MINUTE // 4
    assert one.tick(last + RULES.calm_ms - 1, REGISTRY) == []
    (over,) = one.tick(last + RULES.calm_ms, REGISTRY)
    assert (over["id"], over["key"], over["at"]) == (f"{raised['id']}/over", raised["key"], last + RULES.calm_ms)
    assert over["resolved"] and over["severity"] == "info" and "60 in all" in over["text"]
    assert one.dump() == {}
    assert codec.decode("alert", codec.encode("alert", over)) == over


@pytest.mark.parametrize(("apart", "tells"), [(0.5, 1), (0.55, 0)])
def test_a_bound_within_a_span(apart: float, tells: int) -> None:
    each = letter("out_of_range", "plant-0-0")
    assert len(told(Rejections(), [apart * n for n in range(200)], each)) == tells


def test_what_flaps_is_one_trouble() -> None:
    """Bursts with pauses shorter than the calm; then one pause that is longer, and a second trouble."""
    burst = [n / 10 for n in range(20)]
    minutes = [start + more for start in (0, 25, 50, 75, 140) for more in burst]
    found = told(Rejections(), minutes, letter("rate_of_change", "plant-0-0"))
    assert [(one["resolved"], (one["at"] - START) // MINUTE) for one in found] == [
        (False, 1),
        (True, 106),
        (False, 141),
    ]


def test_half_of_too_many_keep_a_trouble_open_and_raise_none() -> None:
    one, each = Rejections(), letter("rate_of_change", "plant-0-0")
    half = [n + 0.5 for n in range(300)]
    assert told(one, half, each) == [], "ten in ten minutes are not enough to begin with"
    assert len(told(one, [300 + n / 20 for n in range(20)], each)) == 1
    assert told(one, [302 + n for n in range(300)], each) == []
    assert len(told(one, [620 + 1.5 * n for n in range(300)], each)) == 1, "seven are few enough to end it"


def test_streams_are_apart_and_a_batch_of_readings_counts_each() -> None:
    one = Rejections()
    many = letter("out_of_range", *["plant-0-0"] * 20, *["plant-0-1"] * 19)
    assert [alert["point"] for alert in one.take(many, START, REGISTRY)] == ["plant-0-0"]
    assert one.take(letter("too_old", "plant-0-1"), START, REGISTRY) == []
    assert [alert["point"] for alert in one.take(letter("out_of_range", "plant-0-1"), START, REGISTRY)] == ["plant-0-1"]


@pytest.mark.parametrize(
    ("gateway", "about", "subject"),
    [("gw-0", "gw-0", "plant"), ("gw-1", "gw-1", None), ("evil", "unknown", None), (None, "unknown", None)],
)
def test_messages_are_about_their_gateway_if_it_is_one(gateway: str | None, about: str, subject: str | None) -> None:
    """A forger may write any name: it makes one stream of all that nobody registered."""
    (alert,) = told(Rejections(), [0, 1, 2], letter("wrong_signature", gateway=gateway))
    assert (alert["kind"], alert["key"], alert["subject"]) == (MESSAGES, f"{MESSAGES}/{about}/wrong_signature", subject)
    assert alert["point"] is None


def test_readings_of_a_point_that_nobody_registered_are_their_gateways() -> None:
    (alert,) = Rejections().take(letter("unknown_point", *[f"p{n}" for n in range(30)]), START, REGISTRY)
    assert alert["key"] == "readings_rejected/gw-0/unknown_point"


@pytest.mark.parametrize("reason", sorted(EXPECTED))
def test_what_a_device_says_itself_and_what_was_sent_again_is_no_trouble(reason: str) -> None:
    one = Rejections()
    assert one.take(letter(reason, *["plant-0-0"] * 500), START, REGISTRY) == [] == list(one.dump())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["plant-0-0", "plant-0-1"])), max_size=80), st.data())
def test_whenever_it_is_looked_at_and_wherever_it_starts_again_the_same_is_told(
    gaps: list[tuple[int, str]], data: st.DataObject
) -> None:
    """Ticks between letters, and lives that begin with what the last one kept, change no alert."""
    rules = Rules(readings=4)
    whole, broken = Rejections(rules), Rejections(rules)
    at, found, again = START, list[Alert](), list[Alert]()
    for minutes, point in gaps:
        if data.draw(st.booleans()):
            again += broken.tick(at + minutes * MINUTE, REGISTRY)
        if data.draw(st.booleans()):
            broken = Rejections(rules, json.loads(json.dumps(broken.dump())))
        at += minutes * MINUTE
        found += whole.take(letter("too_old", point), at, REGISTRY)
        again += broken.take(letter("too_old", point), at, REGISTRY)
    late = at + rules.calm_ms
    found, again = found + whole.tick(late, REGISTRY), again + broken.tick(late, REGISTRY)
    assert sorted(found, key=_id) == sorted(again, key=_id)
    assert len({_id(one) for one in found}) == len(found)
    assert sum(one["resolved"] for one in found) * 2 == len(found), "all is over in the end"


def _id(alert: Alert) -> str:
    return str(alert["id"])
