"""Verdicts on alarms: what detectors make of them, whose word counts, and how they come from the ledger."""

import json
from collections.abc import Iterable
from contextlib import closing
from math import inf, sin
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon import coding
from carbon.refusal import Refusal
from consensus.member.publisher import messages_of
from infra.anomalies import with_verdict
from infra.verification import verify
from schemas import topics
from streams.anomaly.alarm import Alarm, Change, Detector, Slot, detectors
from streams.anomaly.arrivals import Gap
from streams.anomaly.assessments import Assessment, verdict_of
from streams.anomaly.point import PointStack
from streams.anomaly.ratio import Pair, Shifted
from streams.anomaly.store import assessed
from streams.anomaly.threshold import DAY_MS
from streams.anomaly.values import Stuck
from streams.anomaly.verdict import REMEMBERED, Past, usual
from tests import parties
from tests.consensus.test_submission import Market
from tests.parties import AUTHORITY, PARTIES, PLANT, VERIFIER
from tests.registrars import REGISTRARS
from tests.small import START, World
from tests.streams.anomaly.test_processor import Deaf, told

STEP = 900_000
HOUR = 3_600_000


class Level(Detector):
    kind, invariant, floor = "level", "it stays below five", 5.0


class Bounded(Level):
    most = 12.0


def calm(detector: Detector) -> Detector:
    """A detector with a limit of its own: nine quiet days."""
    for hour in range(9 * 24):
        assert detector.judge(hour * HOUR, 1.0) is Change.NONE
    return detector


def changes(detector: Detector, day: int, *statistics: float) -> list[str]:
    """What becomes of some hours that begin with a day, and of two quiet days behind them."""
    found = [detector.judge(day * DAY_MS + hour * HOUR, one) for hour, one in enumerate((*statistics, *[1.0] * 48))]
    return [change.name for change in found if change]


TOLD = ["RAISED", "RESOLVED"]


def test_what_was_dismissed_is_usual_up_to_its_greatest_and_a_quarter() -> None:
    detector = calm(Level(1 / 30))
    assert changes(detector, 9, 6.0, 9.0, 8.0) == TOLD
    assert detector.learn(9 * DAY_MS, confirmed=False) and detector.threshold.limit == 1.25 * 9
    assert changes(detector, 12, 6.0, 11.2) == []
    assert changes(detector, 15, 6.0, 11.3) == TOLD


def test_a_pattern_that_is_dismissed_twice_is_told_no_more_and_a_greater_one_is() -> None:
    detector = calm(Level(1 / 30))
    for day, size in ((9, 6.0), (12, 8.0)):
        assert changes(detector, day, size) == TOLD
        detector.learn(day * DAY_MS, confirmed=False)
    assert [changes(detector, day, size) for day, size in ((15, 7.0), (18, 9.5), (21, 6.0))] == [[], [], []]
    assert changes(detector, 24, 10.5) == TOLD


def test_what_was_dismissed_does_not_make_a_detector_blind_to_twice_as_much() -> None:
    detector = calm(Level(1 / 30))
    changes(detector, 9, 8.0)
    detector.learn(9 * DAY_MS, confirmed=False)
    assert [changes(detector, day, 9.0, 9.5) for day in range(12, 60, 3)] == [[]] * 16
    assert detector.threshold.limit == 10 and changes(detector, 60, 10.1) == TOLD


def test_an_alarm_that_was_confirmed_is_never_usual() -> None:
    detector = calm(Level(1 / 30))
    assert changes(detector, 9, 10.0) == TOLD
    detector.learn(9 * DAY_MS, confirmed=True)
    assert detector.threshold.limit == 5
    assert changes(detector, 12, 20.0) == TOLD
    detector.learn(12 * DAY_MS, confirmed=False)
    assert detector.threshold.limit == 8 and changes(detector, 15, 10.0) == TOLD


def test_a_confirmed_state_that_lasts_is_not_learned_after_four_weeks() -> None:
    detector = calm(Level(1 / 30))
    detector.judge(9 * DAY_MS, 9.0)
    detector.learn(9 * DAY_MS, confirmed=True)
    found = [detector.judge(9 * DAY_MS + hour * HOUR, 9.0) for hour in range(1, 50 * 24)]
    assert not any(found) and detector.opened == 9 * DAY_MS and detector.threshold.limit == 5


def test_what_grows_beyond_what_was_dismissed_is_raised_anew() -> None:
    detector = calm(Level(1 / 30))
    assert detector.judge(9 * DAY_MS, 8.0) is Change.RAISED
    detector.learn(9 * DAY_MS, confirmed=False)
    assert detector.judge(9 * DAY_MS + HOUR, 9.9) is Change.NONE
    assert detector.judge(9 * DAY_MS + 2 * HOUR, 10.1) is Change.RAISED
    assert [one.at - 9 * DAY_MS for one in detector.alarms] == [0, 2 * HOUR]
    assert changes(detector, 10) == ["RESOLVED"]


def test_a_verdict_that_comes_twice_changes_nothing_and_the_last_one_counts() -> None:
    detector = calm(Level(1 / 30))
    changes(detector, 9, 8.0)
    detector.learn(9 * DAY_MS, confirmed=False)
    once = json.dumps(detector.state())
    assert detector.learn(9 * DAY_MS, confirmed=False) and json.dumps(detector.state()) == once
    assert not detector.learn(10 * DAY_MS, confirmed=True) and json.dumps(detector.state()) == once
    detector.learn(9 * DAY_MS, confirmed=True)
    assert detector.threshold.limit == 5


def test_no_verdict_mutes_a_statistic_that_has_an_end() -> None:
    detector = calm(Bounded(1 / 30))
    for day in (9, 12, 15):
        assert changes(detector, day, *[12.0] * 5) == TOLD
        detector.learn(day * DAY_MS, confirmed=False)
    assert detector.threshold.limit == 0.8 * 12


def test_every_bounded_statistic_says_where_it_ends() -> None:
    stack = PointStack(STEP)
    ends = {type(one).__name__: one.most for one in detectors(stack) if one.most < inf}
    assert ends == {"Gap": 96, "Flags": 96, "Zeros": 96, "Rounded": 12, "Clip": 86.4, "Spikes": 144, "Shape": 10}
    assert len(list(detectors(stack))) == 13
    gap = Gap(1 / 300)
    for step in range(2_000):
        gap.take(Slot(step * STEP, 1 if step < 1_500 else None))
    assert gap.alarms[-1].peak == gap.most


@settings(max_examples=50)
@given(
    st.lists(st.builds(Past, st.just(0), st.floats(0, 200), st.sampled_from([None, True, False]))),
    st.sampled_from([inf, 96.0]),
)
def test_what_is_usual_lies_below_all_that_was_confirmed_and_below_the_end(past: list[Past], most: float) -> None:
    found = usual(past, most)
    dismissed = [one.peak for one in past if one.confirmed is False]
    assert 0 <= found <= 1.25 * max(dismissed, default=0)
    assert all(found <= 0.8 * one.peak for one in past if one.confirmed) and found < most


def test_a_detector_remembers_so_many_alarms_and_its_state_comes_back() -> None:
    detector, again = calm(Level(1 / 30)), Level(1 / 30)
    for place in range(REMEMBERED + 4):
        assert changes(detector, 9 + 3 * place, 9.0) == TOLD
    assert [one.at for one in detector.alarms] == [(9 + 3 * place) * DAY_MS for place in range(4, REMEMBERED + 4)]
    detector.learn(detector.alarms[0].at, confirmed=False)
    again.restore(json.loads(json.dumps(detector.state())))
    assert (again.alarms, again.threshold.limit) == (detector.alarms, 11.25)


def test_a_state_that_was_kept_before_verdicts_were_goes_on() -> None:
    detector, again = calm(Level(1 / 30)), Level(1 / 30)
    detector.judge(9 * DAY_MS, 9.0)
    state = detector.state()
    del state["alarms"], state["threshold"]["usual"]
    state["threshold"]["margin"] = 1.0
    again.restore(json.loads(json.dumps(state)))
    assert changes(again, 10) == ["RESOLVED"] and again.learn(9 * DAY_MS, confirmed=True)


def said(*words: tuple[str, str]) -> list[Assessment]:
    return [Assessment("a", leaf, "p", role, verdict, "", "") for leaf, (role, verdict) in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], None),
        ([("enterprise", "commented"), ("verifier", "commented")], None),
        ([("verifier", "dismissed"), ("verifier", "confirmed")], "confirmed"),
        ([("regulator", "confirmed"), ("verifier", "dismissed")], "confirmed"),
        ([("regulator", "confirmed"), ("regulator", "dismissed"), ("verifier", "confirmed")], "dismissed"),
        ([("verifier", "dismissed"), ("regulator", "commented")], "dismissed"),
    ],
)
def test_the_authoritys_last_word_counts_and_else_the_verifiers(words: Any, wanted: str | None) -> None:
    assert verdict_of(said(*words)) == verdict_of(reversed(said(*words))) == wanted


# -- through the process


WORLD: dict[str, Any] = {"points": 1, "step_seconds": 3600, "registrars": REGISTRARS, "parties": PARTIES}
HELD = {11: 24, 16: 33, 21: 38, 26: 55}
"""Hours for which the point holds one value, by the day on which that begins."""


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(**WORLD)


@pytest.fixture(scope="module")
def days(world: World) -> list[list[bytes]]:
    """Thirty days of one point, six hours a packet."""
    rng, made = Random(5), list[list[bytes]]()
    held = {hour for day, count in HELD.items() for hour in range(day * 24, day * 24 + count)}
    for first in range(0, 30 * 24, 6):
        readings = []
        for hour in range(first, first + 6):
            value = round(4_000 + 1_500 * sin(hour / 24 * 6.283) + rng.gauss(0, 150))
            readings.append(("plant-0-0", START + hour * HOUR, 4_321 if hour in held else value))
        message = world.pack(START + (first + 6) * HOUR, readings)
        if first % 24 == 0:
            made.append([])
        made[-1].append(coding.code(message, world.registry, world.genesis.digest).message)
    return made


class Ledger(Market):
    """A certified ledger on which people say what they think of anomalies."""

    def __init__(self) -> None:
        super().__init__(points=1, step_seconds=3600)
        self.numbers: dict[str, int] = {}

    def say(self, party: str, name: str, verdict: str) -> bytes:
        """The block with a party's next assessment, as it is kept."""
        number = self.numbers[party] = self.numbers.get(party, 0) + 1
        point = "plant-0-0"
        words = {"subject": "plant", "point": point, "anomaly": name, "verdict": verdict, "reason": "a test"}
        payload = parties.payload(self.world, party, number, "assessment", words)
        assert self.submit(party, payload) == [Refusal.PASS]
        return self.store.kept[-1]


def read(process: Deaf, kept: Iterable[bytes]) -> None:
    """Let a processor take in blocks of the ledger, as its own reader would."""
    reader = process._ledger
    for offset, (topic, key, value) in enumerate(message for package in kept for message in messages_of(package)):
        if topic == topics.LEDGER_PAYLOADS:
            reader._reader.offer_payload(key, value, offset)
        elif topic == topics.LEDGER_BLOCKS:
            reader._reader.offer_block(value, offset)
    for block in reader._reader.ready():
        reader._post(block)
    reader._write()


def stuck(process: Deaf) -> list[dict[str, Any]]:
    rows = told(process.sent, topics.ANOMALIES, "anomaly")
    return [row for row in rows if row["kind"] == "stuck" and not row["resolved"]]


def day_of(row: dict[str, Any]) -> int:
    return int(row["since"] - START) // DAY_MS


def test_a_pattern_that_two_verdicts_dismissed_is_told_no_more_and_a_longer_one_is(
    world: World, days: list[list[bytes]], tmp_path: Path
) -> None:
    ledger = Ledger()
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        for day, packets in enumerate(days):
            for packet in packets:
                one.packet(packet)
            if day in (13, 18):
                read(one, [ledger.say(VERIFIER, stuck(one)[-1]["id"], "DISMISSED")])
        assert [day_of(row) for row in stuck(one)] == [11, 16, 26]
        rows = [with_verdict(row, assessed(tmp_path / "a.sqlite").get(row["id"], ())) for row in stuck(one)]
    assert [row["verdict"] for row in rows] == ["dismissed", "dismissed", None]
    (by,) = rows[0]["assessments"]
    assert (by["party"], by["role"], by["reason"], by["code"].split(".")[-3]) == (
        *(VERIFIER, "verifier", "a test"),
        "assessment",
    )
    assert verify(ledger.world.genesis, ledger.store.kept).refused == ""


def test_what_the_enterprise_says_of_itself_and_what_the_verifier_says_against_the_authority_change_nothing(
    world: World, days: list[list[bytes]], tmp_path: Path
) -> None:
    ledger = Ledger()
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        for packet in (packet for packets in days[:14] for packet in packets):
            one.packet(packet)
        name = stuck(one)[0]["id"]
        read(one, [ledger.say(PLANT, name, "COMMENTED")])
        assert with_verdict({"id": name}, assessed(tmp_path / "a.sqlite")[name])["verdict"] == "commented"
        read(one, [ledger.say(AUTHORITY, name, "CONFIRMED"), ledger.say(VERIFIER, name, "DISMISSED")])
        for packet in (packet for packets in days[14:19] for packet in packets):
            one.packet(packet)
        assert [day_of(row) for row in stuck(one)] == [11, 16]
    assert [one.verdict for one in assessed(tmp_path / "a.sqlite")[name]] == ["commented", "confirmed", "dismissed"]
    refused = {"subject": "plant", "point": "plant-0-0", "anomaly": name, "verdict": "DISMISSED", "reason": "ours"}
    forged = parties.payload(ledger.world, PLANT, 2, "assessment", refused)
    assert ledger.submit(PLANT, forged) == [Refusal.WRONG_ROLE]
    assert ledger.state().book.numbers == {PLANT: 1, AUTHORITY: 1, VERIFIER: 1}
    assert [line for line in ledger.state().book.lines() if "stuck" in line] == []


def test_killed_before_or_after_it_learned_the_same_is_told_and_learned_once(
    world: World, days: list[list[bytes]], tmp_path: Path
) -> None:
    packets = [packet for row in days[:24] for packet in row]
    ledger, at = Ledger(), 13 * 4
    with closing(Deaf(world, tmp_path / "whole.sqlite")) as whole:
        for place, packet in enumerate(packets):
            whole.packet(packet)
            if place == at:
                block = ledger.say(AUTHORITY, stuck(whole)[0]["id"], "DISMISSED")
                read(whole, [block])
        whole.keep()
    sent, file = list[tuple[str, str, bytes]](), tmp_path / "killed.sqlite"
    for begins, died, learns in ((0, at - 3, False), (0, at + 1, True), (at + 1, at + 30, False)):
        with closing(Deaf(world, file)) as one:
            for packet in packets[begins:died]:
                one.packet(packet)
            if learns:
                read(one, [block])
        sent += one.sent
    with closing(Deaf(world, file)) as one:
        read(one, [block])
        for packet in packets:
            one.packet(packet)
        one.keep()
        sent += one.sent
        assert one._watcher.state("plant-0-0") == whole._watcher.state("plant-0-0")
    assert list(dict.fromkeys(sent)) == whole.sent and [day_of(row) for row in stuck(whole)] == [11, 16, 21]


def test_a_verdict_that_comes_before_its_alarm_waits_for_it(
    world: World, days: list[list[bytes]], tmp_path: Path
) -> None:
    with closing(Deaf(world, tmp_path / "first.sqlite")) as one:
        for packet in (packet for packets in days[:13] for packet in packets):
            one.packet(packet)
        raised = stuck(one)[0]["id"]
    ledger = Ledger()
    with closing(Deaf(world, tmp_path / "a.sqlite")) as one:
        one.packet(days[0][0])
        read(one, [ledger.say(VERIFIER, raised, "CONFIRMED")])
        for packet in (packet for packets in days[:13] for packet in packets):
            one.packet(packet)
        watch = one._watcher._points["plant-0-0"]
        assert [past.confirmed for past in watch.stack.stuck.alarms] == [True] and watch.awaited == {}
        for at in range(40):
            watch.learn("stuck", at, confirmed=True)
        assert len(watch.awaited) == 16
        read(one, [ledger.say(VERIFIER, "anomaly/plant-0-0/unheard_of/raised/1451606400000", "CONFIRMED")])


def test_an_alarm_of_a_ratio_that_lasts_is_not_raised_again_while_it_is_dismissed() -> None:
    rng, shifted = Random(3), Shifted(1 / 300, "mass_per_load", "it stays")
    pair, raised = Pair(shifted), list[tuple[int, Alarm]]()
    for step in range(60 * 96):
        share = 0.8 if step >= 40 * 96 else 1.0
        load = 100 + 20 * sin(step / 96 * 6.283)
        for alarm in pair.take(step * STEP, share * load * rng.uniform(0.97, 1.03), load, load):
            raised += [] if alarm.resolved else [(step // 96, alarm)]
            shifted.learn(alarm.at, confirmed=False)
    assert len(raised) == 1 and raised[0][0] in (40, 41)
    assert shifted.threshold.limit > 1.25 * 12
    assert not Stuck(1 / 300).learn(0, confirmed=True)
