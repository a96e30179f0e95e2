import random
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from carbon.identity import reading_code
from carbon.packet import decode_body
from schemas import codec, topics
from sinks.clickhouse.feed import Message, PoisonedError
from sinks.clickhouse.readings import ReadingsFeed, columns, parse
from tests.sinks.messages import NEW_YEAR, POINTS, REFERENCE, Topic, coded

CONTENT = "SELECT gateway, run, sequence, `index`, value FROM readings ORDER BY gateway, run, sequence, `index`"


def fed(client: Any, messages: list[Message], every: int = 1) -> ReadingsFeed:
    """A feed that has resumed, taken the messages and written them, `every` so many messages an insert."""
    feed = ReadingsFeed(REFERENCE)
    feed.resume(client)
    for number, message in enumerate(messages, 1):
        feed.take(message)
        if number % every == 0:
            feed.flush(client)
    feed.flush(client)
    return feed


def expected(packets: list[bytes]) -> list[tuple[Any, ...]]:
    rows = []
    for message in packets:
        packet = decode_body(codec.decode("coded-packet", message)["body"])
        rows += [(packet.gateway, packet.run, packet.sequence, i, int(v)) for i, v in enumerate(packet.value)]
    return sorted(rows)


def test_a_reading_keeps_every_field(client: Any) -> None:
    fed(client, [Message(topics.READINGS_CODED, 3, 17, coded(5, 7))])
    row = client.query("SELECT *, code FROM readings WHERE `index` = 6").first_item
    packet = decode_body(codec.decode("coded-packet", coded(5, 7))["body"])
    leaf = codec.decode("coded-packet", coded(5, 7))["leaves"][6 * 32 :][:16]
    assert row == {
        "gateway": "gw-1", "gateway_kind": "gateway", "run": 1, "sequence": 5, "index": 6, "point": "p-coal",
        "subject": "plant-a",
        "object": "coal", "prefix": "99.1.7", "at": datetime(2026, 1, 1, 0, 0, 6, tzinfo=row["at"].tzinfo),
        "value": packet.value[6], "scale": 1, "unit": "kg", "flag": "M", "reason": "not_normal", "hash": leaf,
        "partition": 3, "offset": 17,
        "code": reading_code("99.1.7", "plant-a", "coal", NEW_YEAR + 6000, leaf),
    }  # fmt: skip


def test_the_code_in_sql_is_the_code_in_python(client: Any) -> None:
    """For times with and without milliseconds, from 1970 to the end of what the column can show."""
    rng = random.Random(7)
    starts = [0, 1, 999, 1000, 951_782_399_999, 10_413_791_999_000] + [rng.randrange(10**13) for _ in range(60)]
    topic = Topic(topics.READINGS_CODED)
    fed(client, [topic.put(coded(n, 12, start)) for n, start in enumerate(starts, 1)], every=1000)
    rows = client.query(
        "SELECT prefix, subject, object, toUnixTimestamp64Milli(at), hash, code FROM readings"
    ).result_rows
    assert len(rows) == 12 * len(starts)
    assert [row[5] for row in rows] == [reading_code(*row[:5]) for row in rows]
    assert len({row[5] for row in rows}) == len(rows)


def test_a_point_that_nobody_registered_has_no_code(client: Any) -> None:
    fed(client, [Topic(topics.READINGS_CODED).put(coded(1, 2, points=["p-coal", "stranger"]))])
    rows = client.query("SELECT point, subject, unit, code != '' FROM readings ORDER BY `index`").result_rows
    assert rows == [("p-coal", "plant-a", "kg", True), ("stranger", "", "", False)]


def test_a_time_that_no_calendar_has_stops_nothing(client: Any) -> None:
    """A reading from the future is refused by its rule, and still a row."""
    far = (1 << 52) - 10_000
    fed(client, [Topic(topics.READINGS_CODED).put(coded(1, 2, far))])
    assert client.query("SELECT toUnixTimestamp64Milli(at) FROM readings ORDER BY `index`").result_rows == [
        (far,),
        (far + 1000,),
    ]


def test_packets_with_different_points_share_one_table() -> None:
    topic = Topic(topics.READINGS_CODED)
    batch = [parse(topic.put(coded(1, 4, points=["p-gas"]))), parse(topic.put(coded(2, 4, points=["x", "p-coal"])))]
    table = columns(batch, REFERENCE)
    assert table["point"].to_pylist() == ["p-gas"] * 4 + ["x", "p-coal"] * 2
    assert table["subject"].to_pylist() == ["plant-b"] * 4 + ["", "plant-a"] * 2
    assert table["sequence"].to_pylist() == [1] * 4 + [2] * 4


def test_a_repeated_packet_is_one(client: Any) -> None:
    topic = Topic(topics.READINGS_CODED)
    feed = fed(client, [topic.put(coded(n)) for n in (1, 2, 1, 3, 2, 3)], every=2)
    assert feed.repeats == 3
    assert client.query(CONTENT).result_rows == expected([coded(n) for n in (1, 2, 3)])


def test_a_repeat_is_known_after_a_restart_too(client: Any) -> None:
    topic = Topic(topics.READINGS_CODED)
    fed(client, [topic.put(coded(n)) for n in (1, 2, 4)])
    again = fed(client, [topic.put(coded(n)) for n in (4, 2, 3, 5)])
    assert again.repeats == 2
    assert client.query(CONTENT).result_rows == expected([coded(n) for n in (1, 2, 3, 4, 5)])


def test_a_row_says_whether_its_gateway_attests_what_it_received(client: Any) -> None:
    sent = [coded(1), coded(1, gateway="gw-2"), coded(1, gateway="gw-3")]
    fed(client, [Message(topics.READINGS_CODED, 0, offset, one) for offset, one in enumerate(sent)])
    kinds = client.query("SELECT DISTINCT gateway, gateway_kind FROM readings ORDER BY gateway").result_rows
    assert kinds == [("gw-1", "gateway"), ("gw-2", "attester"), ("gw-3", "")]


def test_runs_and_gateways_have_sequences_of_their_own(client: Any) -> None:
    topic = Topic(topics.READINGS_CODED)
    packets = [coded(1), coded(1, run=2), coded(1, gateway="gw-2")]
    feed = fed(client, [topic.put(packet) for packet in packets])
    assert (feed.repeats, client.query(CONTENT).result_rows) == (0, expected(packets))


def test_it_goes_on_after_the_greatest_offset_of_each_partition(client: Any) -> None:
    places = ((0, 7), (0, 9), (2, 4))
    fed(client, [Message(topics.READINGS_CODED, p, offset, coded(offset, gateway=f"gw-{p}")) for p, offset in places])
    assert ReadingsFeed(REFERENCE).resume(client) == {(topics.READINGS_CODED, 0): 10, (topics.READINGS_CODED, 2): 5}


def test_an_insert_is_one_part_even_over_two_years(client: Any) -> None:
    topic = Topic(topics.READINGS_CODED)
    messages = [topic.put(coded(n, 8000, NEW_YEAR + (n - 15) * 86_400_000)) for n in range(1, 31)]
    client.command("SYSTEM STOP MERGES readings")
    fed(client, messages, every=1000)
    parts = client.query("SELECT rows FROM system.parts WHERE table = 'readings' AND active").result_rows
    years = client.query("SELECT count(), uniqExact(toYear(at)) FROM readings").first_row
    assert (parts, years) == ([(240_000,)], (240_000, 2))


def test_the_very_same_insert_again_is_dropped(client: Any) -> None:
    """The second guard: a connection that is tried again after the insert had gone through."""
    message = Topic(topics.READINGS_CODED).put(coded(1))
    for _ in range(2):
        feed = ReadingsFeed(REFERENCE)  # without resuming, so that only the token can tell
        feed.take(message)
        feed.flush(client)
    assert client.query("SELECT count() FROM readings").first_row == (6,)


def test_an_empty_packet_has_no_rows(client: Any) -> None:
    topic = Topic(topics.READINGS_CODED)
    fed(client, [topic.put(coded(1, 0)), topic.put(coded(2))])
    assert client.query("SELECT DISTINCT sequence FROM readings").result_rows == [(2,)]


def damaged() -> list[bytes]:
    fields = codec.decode("coded-packet", coded(1))
    return [
        b"",
        b"\x00\x00\x00\x00\x04",
        coded(1)[:-1],
        coded(1) + b"\x00",
        codec.encode("coded-packet", fields | {"body": b"noise"}),
        codec.encode("coded-packet", fields | {"sequence": 2}),
        codec.encode("coded-packet", fields | {"reasons": b"\x00"}),
        codec.encode("coded-packet", fields | {"leaves": fields["leaves"][:-1]}),
    ]


@pytest.mark.parametrize("value", damaged(), ids=range(len(damaged())))
def test_a_damaged_packet_is_poison_and_leaves_no_trace(value: bytes) -> None:
    feed = ReadingsFeed(REFERENCE)
    with pytest.raises(PoisonedError):
        feed.take(Topic(topics.READINGS_CODED).put(value))
    assert feed.waiting == 0
    feed.take(Topic(topics.READINGS_CODED).put(coded(1)))
    assert feed.waiting == 6


def test_columns_are_arrays_not_rows() -> None:
    """What the rate rests on: a packet's columns are taken over as they are."""
    batch = [parse(Topic(topics.READINGS_CODED).put(coded(1, 500)))]
    assert np.array_equal(columns(batch, REFERENCE)["value"].to_numpy(), batch[0].packet.value)
    assert columns(batch, REFERENCE)["point"].to_pylist() == [POINTS[i % 3] for i in range(500)]
