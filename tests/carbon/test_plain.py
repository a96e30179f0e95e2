"""Columns of payloads say what the Avro library says of each, or that a payload isn't plain."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbon import plain, record
from carbon.packet import ZERO_DIGEST
from carbon.record import Draft, EvidenceRange, PayloadWriter, Replaced
from carbon.window import Window
from schemas import codec
from tests.small import HOUR, START, World

WORLD = World.make()
WRITER = PayloadWriter(WORLD.registry)
HASHES = st.binary(min_size=32, max_size=32)
DAYS = [
    (EvidenceRange("gw-0", 0, 1, 70, b"\1" * 32),),
    (EvidenceRange("gw-0", 0, 71, 20_000, b"\2" * 32), EvidenceRange("gw-0", 3, 1, 1, bytes(32))),
]
SMALL = st.integers(-(2**47), 2**47)


@st.composite
def payloads(draw: Any, emission: Any = SMALL, replaces: Any = st.none(), version: Any = st.just(1)) -> bytes:
    window = Window(draw(st.integers(0, 2**31 - 1)), draw(SMALL), draw(HASHES))
    name = (draw(st.sampled_from(list(WORLD.registry.points))), START + draw(st.integers(0, 10**6)) * HOUR)
    rest = (draw(st.sampled_from(DAYS)), bytes(16), draw(emission), draw(version), "WINDOW", draw(replaces))
    return WRITER.payload(Draft(*name, window, *rest), draw(HASHES))


def fields_of(columns: plain.Plain, place: int) -> dict[str, Any]:
    """What the columns say of a plain payload."""
    numbers = {"window_start": int(columns.start[place]), "emission_g": int(columns.emission[place])}
    hashes = {"previous": columns.previous[place].item(), "evidence_root": columns.evidence_root[place].item()}
    return columns.points[columns.point[place]].fields | numbers | hashes


@given(st.lists(payloads()))
def test_first_versions_are_plain_and_read_as_the_library_reads_them(some):
    columns = plain.read(some)
    assert columns is not None
    assert columns.plain.tolist() == [True] * len(some)
    for place, payload in enumerate(some):
        wanted, found = record.decode(payload), fields_of(columns, place)
        assert len(found) == 12
        assert found.items() <= wanted.items()


REPLACED = st.builds(Replaced, st.integers(1, 5), HASHES, st.integers(0, 3))
OTHERS = st.one_of(
    payloads(replaces=REPLACED, version=st.integers(2, 70)),
    payloads(version=st.integers(2, 70)),
    payloads(emission=st.integers(2**48, 2**63 - 1)),
)


@given(st.lists(st.tuples(st.booleans(), st.data()), min_size=1, max_size=6))
def test_what_is_not_plain_disturbs_nothing(parts):
    some = [data.draw(payloads() if is_plain else OTHERS) for is_plain, data in parts]
    columns = plain.read(some)
    assert columns is not None
    assert columns.plain.tolist() == [is_plain for is_plain, _ in parts]
    for place in np.flatnonzero(columns.plain):
        assert fields_of(columns, place)["emission_g"] == record.decode(some[place])["emission_g"]


def restated(payload: bytes, **changes: Any) -> bytes:
    return codec.encode_bare("record", record.decode(payload) | changes)


def test_a_point_that_states_something_else_is_told_apart_and_then_known():
    draft = Draft("plant-0-1", START, Window(4, 10, bytes(32)), DAYS[0], bytes(16), 11)
    payload = WRITER.payload(draft, ZERO_DIGEST)
    assert plain.read([payload]) is not None
    assert plain.read([payload, restated(payload, unit="kWh")]) is None
    columns = plain.read([restated(payload, unit="kWh")])
    assert columns is not None
    assert fields_of(columns, 0)["unit"] == "kWh"


def test_no_record_at_all_is_no_columns():
    assert plain.read([b""]) is None
    assert plain.read([b"\xff" * 400]) is None
    assert plain.read([b"\0"]) is None
    columns = plain.read([])
    assert columns is not None and len(columns.plain) == 0
