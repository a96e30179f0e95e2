"""Bytes like real ones, damaged: a strategy over a corpus."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

INTERESTING = (
    b"",
    b"\0",
    b"\xff",
    b"\x01",
    b"\x7f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xfe\xff\xff\xff\x0f",
    b"\xed\xa0\x80",
    b"9" * 5_000,
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b"-1",
    b"1e400",
    b"NaN",
    b'"\\ud800"',
    b"null",
    b"\n\n",
    "٣".encode(),
)
"""Lengths and counts at their ends (Avro's zigzag varints), what is no UTF-8, and what hurts parsers of text."""

_PLACE = st.integers(0, 1 << 16)


@st.composite
def _edit(draw: st.DrawFn, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """One damage: a byte, a slice that goes, comes twice or moves, something interesting, a piece of another."""
    start = draw(_PLACE) % (len(data) + 1)
    end = min(len(data), start + draw(st.integers(0, 40)))
    match draw(st.integers(0, 5)):
        case 0:
            return data[:start] + draw(st.binary(min_size=1, max_size=4)) + data[start + 1 :]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:]
        case 3:
            return data[:start] + draw(st.sampled_from(INTERESTING)) + data[end:]
        case 4:
            other = draw(st.sampled_from(corpus))
            place = draw(_PLACE) % (len(other) + 1)
            return data[:start] + other[place : place + draw(st.integers(1, 200))] + data[end:]
        case _:
            return data[:start]


@st.composite
def damaged(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """A member of the corpus with up to four damages, sometimes none; now and then any bytes at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=100))
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 4))):
        data = draw(_edit(data, corpus))
    return data


def survives(read: Callable[[bytes], object], data: bytes, refusals: tuple[type[Exception], ...]) -> bool:
    """Whether `data` is read; False if it is refused as it should be. Anything else that is raised is a crash."""
    try:
        read(data)
    except refusals:
        return False
    return True
