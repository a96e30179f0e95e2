"""Frames: an exact round trip, damage that is always refused, and gaps that are known."""

import random
import zlib
from binascii import crc_hqx

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.edge import modem
from streams.edge.modem import Frame, FrameError, Measured, Numbers, decode, encode

NOISE = random.Random(5)
I64 = st.integers(-(2**63), 2**63 - 1)
NEAR = st.integers(0, 96).map(lambda step: 1_600_000_000_000 + 900_000 * step)
READING = st.builds(
    Measured,
    st.integers(0, 0xFFFF) | st.integers(0, 2),
    st.integers(0, modem.AT_LIMIT - 1) | NEAR,
    I64 | st.integers(-100, 100),
    st.integers(0, 255) | st.just(ord("N")),
)


def quarter_hours(count: int, points: int = 1) -> list[Measured]:
    return [Measured(p, 1_600_000_000_000 + 900_000 * n, 500 + 7 * n % 30) for n in range(count) for p in range(points)]


def framed(body: bytes, form: int = modem.VERSION) -> bytes:
    inner = bytes([form]) + body
    return inner + crc_hqx(inner, 0xFFFF).to_bytes(2, "big")


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


@settings(max_examples=50)
@given(st.integers(0, modem.MAX_NUMBER), st.lists(READING, max_size=20))
def test_round_trip(number: int, readings: list[Measured]) -> None:
    wanted = tuple(sorted(readings, key=lambda reading: reading.point))
    assert decode(encode(number, readings)) == Frame(number, wanted)


def test_many_readings_are_deflated_and_come_back() -> None:
    readings = [Measured(0, 900_000 * n, n % 7, ord("NNNM"[n % 4])) for n in range(modem.MAX_READINGS)]
    frame = encode(9, readings)
    assert frame[0] == modem.VERSION | modem.DEFLATED
    assert decode(frame) == Frame(9, tuple(readings))


@settings(max_examples=40)
@given(st.lists(READING, min_size=1, max_size=5), st.data())
def test_a_changed_byte_is_refused(readings: list[Measured], data: st.DataObject) -> None:
    frame = bytearray(encode(1, readings))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        decode(bytes(frame))


@given(st.binary(max_size=60), st.sampled_from([modem.VERSION, modem.VERSION | modem.DEFLATED, 0x20]))
def test_whatever_is_inside_only_its_own_error_is_raised(body: bytes, form: int) -> None:
    for inner in (body, deflated(body)):
        try:
            found = decode(framed(inner, form))
        except FrameError:
            continue
        assert decode(encode(*found)) == found


@given(st.binary(max_size=60))
def test_any_bytes_raise_only_its_own_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode(bytes([0x20]) + data)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cut off"),
        (b"\x01\x00\x01" + b"\x00\xff\xff\x01", "too long"),
        (b"\x01\x00\x01" + b"\x00\x00", "empty"),
        (b"\x01\x00\x01" + b"\x00\x80\x80\x40" + b"\x00\x80\x80\x40", "a series is"),
        (b"\x01\x00\x01" + b"\x00\x02\x00\x03", "run"),
        (b"\x01\x00\x01" + b"\x08\x01\x00\x01\x02" + b"\x00\x01\x00\x01\x02", "out of order"),
        (b"\x01\x00\x01" + b"\x01\x01\x02", "times"),
        (b"\x80" * 11, "too long"),
        (b"\xff" * 9 + b"\x01" + b"\x00\x01", "number"),
        (b"\x01\x00\x01" + b"\x00\x01" + b"\x01\x01" + b"\x02", "out of bounds"),
    ],
)
def test_a_body_that_no_encoder_made(body: bytes, why: str) -> None:
    with pytest.raises(FrameError, match=why):
        decode(framed(body))


def test_what_inflates_without_end_is_cut_off() -> None:
    with pytest.raises(FrameError, match="cut off, too long"):
        decode(framed(deflated(bytes(1_000_000)), modem.VERSION | modem.DEFLATED))


def test_what_stands_behind_a_deflated_body_is_refused() -> None:
    with pytest.raises(FrameError, match="behind"):
        decode(framed(deflated(b"\x01\x00\x01") + b"\x00", modem.VERSION | modem.DEFLATED))


@pytest.mark.parametrize(
    "readings",
    [
        [Measured(-1, 0, 0)],
        [Measured(0x10000, 0, 0)],
        [Measured(0, -1, 0)],
        [Measured(0, modem.AT_LIMIT, 0)],
        [Measured(0, 0, 2**63)],
        [Measured(0, 0, 0, 256)],
        quarter_hours(modem.MAX_READINGS + 1),
        [Measured(0, NOISE.randrange(modem.AT_LIMIT), NOISE.getrandbits(62)) for _ in range(modem.MAX_READINGS)],
    ],
)
def test_what_no_frame_can_hold_is_refused(readings: list[Measured]) -> None:
    with pytest.raises(FrameError):
        encode(1, readings)


def test_a_day_of_quarter_hours_is_small() -> None:
    regular, counter = quarter_hours(96), [Measured(0, 900_000 * n, 250 * n) for n in range(96)]
    assert len(encode(1, regular)) < 2 * 96
    assert len(encode(1, counter)) < 40, "second differences of a steady register are zeros"


def test_points_read_at_the_same_times_share_them() -> None:
    irregular = [Measured(0, 1_000 * n * n, 1) for n in range(20)]
    both = irregular + [reading._replace(point=1) for reading in irregular]
    assert len(encode(1, both)) - len(encode(1, irregular)) < 25


@settings(max_examples=40)
@given(st.permutations(range(12)), st.integers(0, 12))
def test_numbers_know_exactly_what_is_missing(order: list[int], count: int) -> None:
    numbers, come = Numbers(following=0), set[int]()
    for number in order[:count]:
        assert not numbers.has(number)
        numbers = numbers.after(number)
        come.add(number)
        missing = {n for first, last in numbers.missing for n in range(first, last + 1)}
        assert missing == set(range(max(come) + 1)) - come
        assert all(numbers.has(n) for n in come) and numbers.after(number) == numbers


def test_counting_starts_with_the_first_that_comes() -> None:
    numbers = Numbers().after(500)
    assert numbers == Numbers(501) and numbers.has(3)


def test_ranges_beyond_the_bound_count_as_lost() -> None:
    numbers = Numbers(following=0)
    for number in range(3, 4 * (modem.MAX_RANGES + 2), 4):
        numbers = numbers.after(number)
    assert len(numbers.missing) == modem.MAX_RANGES
    assert numbers.lost == 3 * 2
