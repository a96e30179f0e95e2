"""Frames: Annex A's example, any splitting, any damage, bounded memory."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.sources.hj212.frame import HIGHEST_SEGMENT, MAX_SEGMENT, FrameReader, crc, frame, segment_of

ANNEX_A = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
GOOD = frame(ANNEX_A)

segments = st.binary(max_size=MAX_SEGMENT).filter(lambda segment: b"\r\n" not in segment)
noise = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"#", b"##", b"##00", b"##0101", b"##9999", b"\r\n", b"##0000FFFF\r", GOOD[:50], GOOD[3:]]),
)


def by_the_book(segment: bytes) -> int:
    """The algorithm as Annex A writes it, bit by bit."""
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ byte
        for _ in range(8):
            low = register & 1
            register >>= 1
            if low:
                register ^= 0xA001
    return register


def test_the_example_of_annex_a() -> None:
    assert GOOD == b"##0101" + ANNEX_A + b"1C80\r\n"


@given(st.binary(max_size=200))
def test_the_crc_is_annex_a_s(segment: bytes) -> None:
    assert crc(segment) == by_the_book(segment)


@given(segments)
def test_a_frame_comes_back(segment: bytes) -> None:
    reader = FrameReader()
    (whole,) = reader.feed(frame(segment))
    assert segment_of(whole) == segment
    assert not reader.dropped and not reader.pending


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    ends = sorted(cut % (len(data) + 1) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        yield data[start:end]


@given(st.lists(st.one_of(segments.map(frame), noise), max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_nothing_depends_on_the_pieces(stream: list[bytes], cuts: list[int]) -> None:
    data = b"".join(stream)
    at_once, piecewise = FrameReader(), FrameReader()
    whole = at_once.feed(data)
    assert [one for piece in pieces(data, cuts) for one in piecewise.feed(piece)] == whole
    assert (piecewise.dropped, piecewise.pending) == (at_once.dropped, at_once.pending)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_every_byte_is_in_a_frame_or_pending_or_counted(stream: list[bytes]) -> None:
    reader = FrameReader()
    frames = [one for piece in stream for one in reader.feed(piece)]
    held = sum(map(len, frames)) + reader.pending + reader.dropped["garbage_bytes"]
    assert held == sum(map(len, stream))


@given(st.lists(st.one_of(noise, st.integers(0, MAX_SEGMENT).map(lambda length: b"##%04d" % length)), max_size=40))
def test_an_unfinished_frame_is_all_that_is_held(stream: list[bytes]) -> None:
    reader = FrameReader()
    for piece in stream:
        reader.feed(piece)
        assert reader.pending < MAX_SEGMENT + 12


@given(noise, st.binary(max_size=2000))
def test_a_good_frame_behind_garbage_is_found_as_soon_as_it_ends(before: bytes, more: bytes) -> None:
    # what holds a whole frame of its own around the good one is no garbage
    garbage = (before + more).replace(b"##", b"#!") + before
    reader = FrameReader()
    reader.feed(garbage)
    assert GOOD in reader.feed(GOOD)


@pytest.mark.parametrize("damaged", [b"##1024", b"##1024" + GOOD[6:], b"##1024" + GOOD[:-2]])
def test_a_length_too_great_does_not_swallow_the_next_frame(damaged: bytes) -> None:
    # the logger says nothing more until it is answered, so the wrong frame never gets its length
    assert FrameReader().feed(damaged + GOOD) == [GOOD]


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_frame_is_dropped_and_the_next_one_found(at: int, flip: int) -> None:
    damaged = bytearray(GOOD)
    damaged[at] ^= flip
    reader = FrameReader()
    frames = reader.feed(bytes(damaged) + GOOD)
    lower_case = bytes(damaged).lower() == GOOD.lower() and at >= len(GOOD) - 6
    assert frames == ([bytes(damaged), GOOD] if lower_case else [GOOD])
    assert bool(reader.dropped) != lower_case


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"##00x1" + GOOD[6:], "wrong_length"),
        (b"##+101" + GOOD[6:], "wrong_length"),
        (b"##1025" + GOOD[6:], "wrong_length"),
        (b"##0100" + GOOD[6:], "wrong_length"),
        (b"##0102" + GOOD[6:], "wrong_length"),
        (GOOD[:-6] + b"1C81\r\n", "wrong_crc"),
        (GOOD[:-6] + b" 1C8\r\n", "wrong_crc"),
    ],
)
def test_what_is_no_frame_is_counted(data: bytes, reason: str) -> None:
    reader = FrameReader()
    assert reader.feed(data + GOOD) == [GOOD]
    assert reader.dropped == {reason: 1, "garbage_bytes": len(data)}


def test_loggers_that_go_beyond_the_standard() -> None:
    long = frame(b"x" * 3000)
    assert FrameReader().feed(long) == []
    assert FrameReader(HIGHEST_SEGMENT).feed(long) == [long]


@pytest.mark.parametrize("segment", [b"x" * 10_000, b"a\r\nb"])
def test_what_no_frame_can_hold(segment: bytes) -> None:
    with pytest.raises(ValueError, match="can't be framed"):
        frame(segment)


def test_small_letters_in_the_crc() -> None:
    small = GOOD[:-6] + b"1c80\r\n"
    assert FrameReader().feed(small) == [small]
