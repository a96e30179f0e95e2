"""The record's bytes: put together by hand, held against the Avro library; salts and commitments."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import record
from carbon.record import Draft, EvidenceRange, PayloadWriter, RecordSalts, Replaced
from carbon.window import Window
from schemas import codec
from tests.small import START, World

WORLD = World.make()
WRITER = PayloadWriter(WORLD.registry)
digests = st.binary(min_size=32, max_size=32)
longs = st.integers(-(2**63), 2**63 - 1)
ranges = st.lists(
    st.builds(EvidenceRange, st.text(max_size=9), st.integers(0, 9), st.integers(0, 2**40), longs, digests)
)


@given(longs)
def test_long_is_avros(value):
    assert record.encode_long(value) == codec.encode_bare("balance", dict.fromkeys(("account", "subject"), "") | {
        "debit_g": value, "credit_g": 0, "records": 0, "height": 0, "unit": ""})[2:-7]  # fmt: skip


@given(
    digests,
    ranges,
    digests,
    longs,
    st.integers(0, 9),
    longs,
    longs,
    st.none() | st.builds(Replaced, st.integers(0, 9), digests, longs),
)
def test_payload_is_the_avro_librarys(previous, evidence, root, start, count, quantity, grams, replaces):
    window = Window(count, quantity, root)
    draft = Draft("plant-0-1", start, window, tuple(evidence), bytes(16), grams, 1 + bool(replaces), "WINDOW", replaces)
    payload = WRITER.payload(draft, previous)
    fields = record.decode(payload)
    assert codec.encode_bare("record", fields) == payload
    assert record.read(payload) == fields == record.read(payload), "the second time from what was remembered"
    assert (fields["previous"], fields["evidence_root"], fields["window_start"]) == (previous, root, start)
    assert (fields["count"], fields["expected"], fields["quantity"], fields["emission_g"]) == (
        count,
        4,
        quantity,
        grams,
    )
    assert [EvidenceRange(**item) for item in fields["evidence"]] == evidence
    assert WRITER.previous_of("plant-0-1", payload) == previous
    assert WRITER.previous_of("plant-0-0", payload) is None
    assert record.draft_of(fields, bytes(16)) == draft


@given(st.integers(0, 400), st.binary(max_size=4))
def test_a_payload_is_never_read_otherwise_than_by_the_avro_library(place, inserted):
    draft = Draft("plant-0-1", START, Window(4, 10, bytes(32)), (EvidenceRange("g", 0, 1, 2, bytes(32)),), bytes(16), 9)
    payload = WRITER.payload(draft, bytes(32))
    record.read(payload)
    changed = payload[:place] + inserted + payload[place + len(inserted) :]
    try:
        expected = codec.read_bare("record", changed)
    except codec.CodecError:
        with pytest.raises(codec.CodecError):
            record.read(changed)
    else:
        assert record.read(changed) == expected


def test_the_salt_depends_on_packets_point_window_and_version():
    salts = [
        RecordSalts(WORLD.channel, [b"a" * 16]).salt("p", START, 1),
        RecordSalts(WORLD.channel, [b"b" * 16]).salt("p", START, 1),
        RecordSalts(WORLD.channel, [b"a" * 16, b"b" * 16]).salt("p", START, 1),
        RecordSalts(bytes(32), [b"a" * 16]).salt("p", START, 1),
        RecordSalts(WORLD.channel, [b"a" * 16]).salt("q", START, 1),
        RecordSalts(WORLD.channel, [b"a" * 16]).salt("p", START + 1, 1),
        RecordSalts(WORLD.channel, [b"a" * 16]).salt("p", START, 2),
    ]
    assert len(set(salts)) == len(salts)


def test_a_correction_posts_the_difference():
    draft = Draft("plant-0-0", START, Window(4, 10, bytes(32)), (), bytes(16), 11, 2, "LATE", Replaced(1, bytes(32), 8))
    assert record.posted_g(record.decode(WRITER.payload(draft, bytes(32)))) == 3
    first = replace(draft, replaces=None, version=1, cause="WINDOW")
    assert record.posted_g(record.decode(WRITER.payload(first, bytes(32)))) == 11
