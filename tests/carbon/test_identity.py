"""Carbon codes: what is built can be parsed; what differs has another code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import identity
from carbon.identity import CarbonCode, CodeError

ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,11}", fullmatch=True)
codes = st.builds(
    CarbonCode,
    st.just("99.1000.7"),
    ids,
    ids,
    st.integers(0, 4_102_444_800_000),
    st.none() | st.integers(1, 86_400 * 31),
    st.binary(min_size=16, max_size=16),
)


@given(codes)
def test_round_trip(code):
    assert identity.parse(str(code)) == code


def test_shape():
    assert identity.reading_code("99.1", "plant", "00ff", 1_451_606_400_000, b"\x01" * 32) == (
        "99.1/plant.00ff.20160101T000000Z." + "01" * 16
    )
    assert identity.record_code("99.1", "plant", "00ff", 1_451_606_400_250, 3600, b"\x02" * 16) == (
        "99.1/plant.00ff.20160101T000000250Z-PT3600S." + "02" * 16
    )


@pytest.mark.parametrize("text", ["", "99/a.b.20160101T000000Z", "99/a.b.20161301T000000Z." + "0" * 32, "x" * 100])
def test_what_is_no_code(text):
    with pytest.raises(CodeError):
        identity.parse(text)
