"""Links: time on air as published, and departures within count, age, frame, duty cycle and windows."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.edge import links, modem
from streams.edge.links import HOUR_MS, Departure, Link, Sent, Wait, Window, depart, lora, lora_airtime, satellite
from streams.edge.modem import FrameError, Measured

T = 1_600_000_000_000


def loads(count: int, seed: int = 1) -> list[Measured]:
    rng = random.Random(seed)
    return [Measured(0, T + 900_000 * n, rng.randrange(10_000)) for n in range(count)]


@pytest.mark.parametrize(
    ("payload", "spreading", "us"),
    # by the formula on paper, and as LoRaWAN's calculators print it for 10 and 51 bytes with 13 of header
    [(23, 7, 61_696), (13, 9, 164_864), (23, 12, 1_482_752), (64, 12, 2_793_472), (0, 12, 663_552)],
)
def test_time_on_air(payload: int, spreading: int, us: int) -> None:
    assert lora_airtime(payload, spreading) == us


def test_nothing_leaves_early_and_everything_by_age() -> None:
    waiting = loads(4)
    assert depart(lora(7), 1, waiting, T, T) == Wait(T + HOUR_MS, "early")
    assert depart(lora(7), 1, waiting, T, T + HOUR_MS - 1) == Wait(T + HOUR_MS, "early")
    leaves = depart(lora(7), 1, waiting, T, T + HOUR_MS)
    assert isinstance(leaves, Departure)
    assert modem.decode(leaves.frame) == (1, tuple(waiting)) and leaves.taken == 4


def test_count_lets_leave_and_bounds() -> None:
    link = Link("short", payload_bytes=200, count=5, age_ms=HOUR_MS)
    assert depart(link, 1, loads(4), T, T) == Wait(T + HOUR_MS, "early")
    for waiting in (5, 9):
        leaves = depart(link, 1, loads(waiting), T, T)
        assert isinstance(leaves, Departure) and leaves.taken == 5


def test_nothing_waits() -> None:
    assert depart(lora(7), 1, [], T, T) == Wait(None, "empty")


@settings(max_examples=30)
@given(st.integers(1, 120), st.sampled_from([7, 9, 12]), st.integers(0, 99))
def test_a_full_frame_leaves_at_once_and_holds_all_that_fits(count: int, spreading: int, seed: int) -> None:
    link, waiting = lora(spreading), loads(count, seed)
    leaves = depart(link, 7, waiting, T, T)
    if isinstance(leaves, Wait):
        assert len(modem.encode(7, waiting)) <= link.payload_bytes
        return
    assert len(leaves.frame) <= link.payload_bytes
    assert modem.decode(leaves.frame) == (7, tuple(waiting[: leaves.taken]))
    assert len(modem.encode(7, waiting[: leaves.taken + 1])) > link.payload_bytes


@settings(max_examples=30)
@given(st.lists(st.integers(0, 600_000), min_size=1, max_size=40), st.sampled_from([7, 10, 12]))
def test_no_hour_has_more_than_its_share(gaps: list[int], spreading: int) -> None:
    link, now, sent, all_sent = lora(spreading, age_ms=0), T, (), list[Sent]()
    for number, gap in enumerate(gaps):
        now += gap
        leaves = depart(link, number, loads(12), now, now, sent)
        if isinstance(leaves, Wait):
            assert leaves.until is not None and leaves.until > now and leaves.why == "link"
            now = leaves.until
            leaves = depart(link, number, loads(12), now, now, sent)
        assert isinstance(leaves, Departure), "at the stated time it leaves"
        sent = leaves.sent
        all_sent.append(sent[-1])
    hour = HOUR_MS * 1_000
    for last in all_sent:
        opens = last.end - hour
        on_air = sum(max(0, one.end - max(one.start, opens)) for one in all_sent if one.end <= last.end)
        assert on_air <= hour // 100
    assert all(one.end <= other.start for one, other in pairwise(all_sent))


def test_the_duty_cycle_is_used_up() -> None:
    link, now, count, sent = lora(12, age_ms=0), T, 0, ()
    while isinstance(leaves := depart(link, count, loads(12), now, now, sent), Departure) or leaves.why == "link":
        if isinstance(leaves, Wait):
            assert leaves.until is not None
            now = leaves.until
            if now >= T + HOUR_MS:
                break
        else:
            count, sent = count + 1, leaves.sent
    assert count == 36_000_000 // (sent[0].end - sent[0].start), "36 s of every hour"


def test_a_satellite_is_waited_for_and_a_frame_ends_before_it_sets() -> None:
    link = satellite((Window(T + 1_000, T + 60_000), Window(T + 90_000, T + 120_000)), age_ms=0)
    waiting = loads(50)
    seconds = link.airtime(len(modem.encode(0, waiting))) / 1_000_000
    assert 0.5 < seconds < 3
    assert depart(link, 0, waiting, T, T) == Wait(T + 1_000, "link")
    assert isinstance(depart(link, 0, waiting, T, T + 1_000), Departure)
    assert depart(link, 0, waiting, T, T + 59_800) == Wait(T + 90_000, "link")
    assert depart(link, 0, waiting, T, T + 119_999) == Wait(None, "unseen")


def test_one_frame_at_a_time() -> None:
    first = depart(satellite((Window(0, 2 * T),), age_ms=0), 0, loads(50), T, T)
    assert isinstance(first, Departure)
    again = depart(satellite((Window(0, 2 * T),), age_ms=0), 1, loads(50), T, T, first.sent)
    assert again == Wait(-(-first.sent[-1].end // 1_000), "link")


def test_what_fits_into_no_frame_is_said() -> None:
    with pytest.raises(FrameError, match="fits into no frame"):
        depart(Link("tiny", payload_bytes=8, count=5, age_ms=0), 1, loads(3), T, T)


@pytest.mark.parametrize(
    "settings",
    [
        {"payload_bytes": 0},
        {"count": 0},
        {"windows": (Window(5, 5),)},
        {"windows": (Window(5, 4), Window(6, 7))},
        {"windows": (Window(0, 4), Window(3, 7))},
    ],
)
def test_a_link_that_can_not_be(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Link(**{"name": "x", "payload_bytes": 10, "count": 1, "age_ms": 0, **settings})  # type: ignore[arg-type]


def test_wired_takes_a_second_of_age() -> None:
    assert depart(links.WIRED, 1, loads(3), T, T) == Wait(T + 1_000, "early")
