import random
from collections.abc import Iterable
from typing import Any

import pytest

from carbon.identity import record_code
from schemas import codec, topics
from sinks.clickhouse import ledger as module
from sinks.clickhouse.feed import Message, PoisonedError
from sinks.clickhouse.ledger import LedgerFeed
from tests.sinks.messages import NEW_YEAR, REFERENCE, Ledger, Topic, record_payload

HEIGHTS = "SELECT height FROM blocks ORDER BY height"
LEAVES = "SELECT leaf_index FROM records ORDER BY leaf_index"


class World:
    """A ledger of a few blocks, and its messages as read from the two topics."""

    def __init__(self, heights: int = 6) -> None:
        self.ledger = Ledger()
        self.blocks, self.payloads = Topic(topics.LEDGER_BLOCKS), Topic(topics.LEDGER_PAYLOADS)
        self.raw = [self.ledger.block(self._content(height)) for height in range(1, heights + 1)]

    def _content(self, height: int) -> list[tuple[bytes, bool]]:
        if height == 3:
            return []  # a null block
        hour = [(record_payload(point, height), point != "p-gas") for point in ("p-coal", "p-power", "p-gas")]
        return [*hour, (record_payload("p-coal", height - 1, version=2), True)] if height == 2 else hour

    def feed(self, client: Any, pool: int = 100) -> LedgerFeed:
        feed = LedgerFeed(self.ledger.follower(), REFERENCE, pool)
        feed.resume(client)
        return feed

    def block(self, height: int) -> Message:
        return self.blocks.put(self.raw[height - 1][0])

    def payload(self, height: int) -> list[Message]:
        return [self.payloads.put(value) for value in self.raw[height - 1][1]]

    def messages(self) -> list[Message]:
        heights = range(1, len(self.raw) + 1)
        return [message for height in heights for message in [self.block(height), *self.payload(height)]]


def take(client: Any, feed: LedgerFeed, messages: Iterable[Message]) -> None:
    for message in messages:
        feed.take(message)
    feed.flush(client)


def column(client: Any, sql: str) -> list[Any]:
    return [row[0] for row in client.query(sql).result_rows]


def test_a_block_and_its_records_keep_every_field(client: Any) -> None:
    world = World(2)
    take(client, world.feed(client), world.messages())
    header = codec.decode_bare("block-header", codec.decode("block", world.raw[1][0])["header"])
    block = client.query("SELECT * EXCEPT (time, published) FROM blocks WHERE height = 2").first_item
    assert block.pop("digest") and block == {
        "height": 2, "epoch": 0, "previous": header["previous"].hex(), "records": 4, "accepted": 5, "rejected": 2,
        "tree_size": 7, "root": header["root"].hex(), "state": "00" * 32,
        "signers": ["member-1", "member-2", "member-3"],
    }  # fmt: skip
    row = client.query(
        "SELECT *, coverage, toUnixTimestamp64Milli(window_start) AS ms FROM records WHERE leaf_index = 6"
    ).first_item
    del row["window_start"], row["leaf_hash"], row["commitment"], row["evidence_root"]
    assert row == {
        "height": 2, "leaf_index": 6, "verdict": "accepted", "reason": "", "point": "p-coal", "subject": "plant-a",
        "object": "coal", "prefix": "99.1.7", "window_seconds": 3600, "version": 2, "cause": "LATE", "count": 45,
        "expected": 60, "quantity": 1002, "scale": 3, "unit": "Wh", "emission_g": 602, "rule": "grid",
        "factors": "00" * 32, "coverage": 0.75, "ms": NEW_YEAR + 3_600_000,
        "evidence": [{"gateway": "gw-1", "run": 1, "first": 2, "last": 3, "digest": "07" * 32}],
        "gateway_kind": "gateway",
    }  # fmt: skip
    refused = "SELECT DISTINCT point, verdict, reason FROM records WHERE verdict != 'accepted'"
    assert client.query(refused).result_rows == [("p-gas", "rejected", "wrong_sum")]


def test_a_block_says_when_the_broker_got_it_first(client: Any) -> None:
    """Read once more from another message, or early, it keeps its own time."""
    world = World(2)
    second, first = (world.blocks.put(world.raw[i][0], NEW_YEAR + 1000 * (i + 1)) for i in (1, 0))
    again = world.blocks.put(world.raw[0][0], NEW_YEAR + 9000)
    feed = world.feed(client)
    take(client, feed, [second, first, *world.payload(1), again, *world.payload(2)])
    shown = "SELECT height, toUnixTimestamp64Milli(published) FROM blocks ORDER BY height"
    assert client.query(shown).result_rows == [(1, NEW_YEAR + 1000), (2, NEW_YEAR + 2000)]


def test_the_code_in_sql_is_the_code_in_python(client: Any) -> None:
    world = World()
    take(client, world.feed(client), world.messages())
    fields = "prefix, subject, object, toUnixTimestamp64Milli(window_start), window_seconds, unhex(commitment), code"
    rows = client.query(f"SELECT {fields} FROM records", column_formats={"unhex(commitment)": "bytes"}).result_rows
    assert len(rows) == 16
    assert [row[6] for row in rows] == [record_code(*row[:6]) for row in rows]


def test_the_latest_version_counts(client: Any) -> None:
    world = World()
    take(client, world.feed(client), world.messages())
    latest = "SELECT point, toHour(window_start), version FROM records_latest WHERE point = 'p-coal' ORDER BY 2"
    assert client.query(latest).result_rows == [("p-coal", h, 2 if h == 1 else 1) for h in (1, 2, 4, 5, 6)]
    assert client.query("SELECT count() FROM records_latest WHERE point = 'p-gas'").first_row == (0,)
    assert client.query("SELECT max(length(code)), any(coverage) FROM records_latest").first_row[0] > 60


def test_an_hour_that_was_charged_is_listed_for_ever(client: Any) -> None:
    world = World(0)
    tier = {"rule": "grid · missing hours after 48 h: … · tier part75.sub.pma_80_90"}
    charged = [(record_payload("p-coal", hour, 2, cause="SUBSTITUTED", **tier), True) for hour in (1, 2)]
    first = [(record_payload("p-coal", hour), True) for hour in (1, 2, 3)]
    measured = [(record_payload("p-coal", 2, 3, cause="MEASURED"), True)]
    world.raw = [world.ledger.block(part) for part in (first, charged, measured)]
    take(client, world.feed(client), world.messages())
    listed = "SELECT toHour(window_start), tier, counts, emission_g, length(code) > 60 FROM substituted ORDER BY 1"
    row = "part75.sub.pma_80_90"
    assert client.query(listed).result_rows == [(1, row, 1, 602, 1), (2, row, 0, 1202, 1)]


@pytest.mark.parametrize("seed", range(8))
def test_any_order_with_repeats_and_restarts_gives_the_same_tables(client: Any, seed: int) -> None:
    world, rng = World(), random.Random(seed)
    messages = world.messages() + world.messages()
    rng.shuffle(messages)
    feed = world.feed(client, pool=rng.choice([3, 100]))
    for message in messages:
        feed.take(message)
        if rng.random() < 0.3:
            feed.flush(client)
    feed.flush(client)
    # the restart reads everything again, payloads once more where the pool had no room
    feed = world.feed(client, pool=4)
    take(client, feed, messages)
    while (offset := feed.read_payloads_again()) is not None:
        take(client, feed, [m for m in messages if m.topic == topics.LEDGER_PAYLOADS and m.offset >= offset])
    assert column(client, HEIGHTS) == [1, 2, 3, 4, 5, 6]
    assert column(client, LEAVES) == list(range(16))


def test_nothing_counts_before_all_payloads_came(client: Any) -> None:
    world = World(2)
    feed = world.feed(client)
    take(client, feed, [world.block(1), *world.payload(1)[:2], world.block(2), *world.payload(2)])
    assert (column(client, HEIGHTS), column(client, LEAVES)) == ([], [])
    take(client, feed, world.payload(1)[2:])
    assert (column(client, HEIGHTS), column(client, LEAVES)) == ([1, 2], list(range(7)))


def test_a_block_that_comes_early_waits(client: Any) -> None:
    world = World(3)
    feed = world.feed(client)
    take(client, feed, [world.block(3), world.block(2), *world.payload(1), *world.payload(2)])
    assert column(client, HEIGHTS) == []
    take(client, feed, [world.block(1)])
    assert column(client, HEIGHTS) == [1, 2, 3]


def test_a_damaged_copy_that_comes_early_takes_nobodys_place(client: Any) -> None:
    """Its certificate holds, for that is over the header alone; its leaves are another block's."""
    world = World(3)
    feed = world.feed(client)
    fields = codec.decode("block", world.raw[2][0])
    damaged = codec.encode("block", fields | {"leaves": fields["leaves"][::-1]})
    take(client, feed, [world.blocks.put(damaged), world.block(3), world.block(2)])
    take(client, feed, [m for height in (1, 2, 3) for m in world.payload(height)])
    take(client, feed, [world.block(1)])
    assert column(client, HEIGHTS) == [1, 2, 3]


def test_a_forged_block_is_poison_and_stops_nothing(client: Any) -> None:
    world = World(2)
    feed = world.feed(client)
    fields = codec.decode("block", world.raw[0][0])
    header = codec.decode_bare("block-header", fields["header"])
    header["accepted"] += 1
    forged = codec.encode("block", fields | {"header": codec.encode_bare("block-header", header)})
    for value in (forged, codec.encode("block", fields | {"checkpoint": ""}), world.raw[0][0][:-1]):
        with pytest.raises(PoisonedError):
            feed.take(world.blocks.put(value))
    take(client, feed, world.messages())
    assert column(client, HEIGHTS) == [1, 2]


def test_another_payload_under_the_key_changes_nothing(client: Any) -> None:
    world = World(1)
    feed = world.feed(client)
    fields = codec.decode("payload", world.raw[0][1][0])
    other = codec.encode("payload", fields | {"payload": record_payload("p-coal", 99)})
    take(client, feed, [world.payloads.put(other), world.block(1), world.payloads.put(other)])
    assert column(client, HEIGHTS) == []
    take(client, feed, world.payload(1))
    assert column(client, "SELECT max(quantity) FROM records") == [1001]


def test_one_payload_behind_two_leaves_is_found_again(client: Any) -> None:
    """Refused first and accepted later: the pool keeps a payload once, so the topic is read again for the second."""
    world, payload = World(0), record_payload("p-coal", 0)
    world.raw = [world.ledger.block([(payload, False)]), world.ledger.block([(payload, True)])]
    payloads = world.payload(1) + world.payload(2)
    feed = world.feed(client)
    take(client, feed, [*payloads, world.block(1), world.block(2)])
    assert column(client, HEIGHTS) == [1]
    assert feed.read_payloads_again() == 0
    take(client, feed, payloads)
    assert column(client, HEIGHTS) == [1, 2]
    assert feed.read_payloads_again() is None


def test_a_missing_payload_is_not_looked_for_for_ever(client: Any) -> None:
    world = World(1)
    feed = world.feed(client)
    feed.take(world.block(1))
    assert [feed.read_payloads_again() for _ in range(3)] == [0, None, None]


def test_a_sealed_payload_is_told() -> None:
    world = World(1)
    fields = codec.decode("payload", world.raw[0][1][0])
    sealed = codec.encode("payload", fields | {"payload": None, "salt": None})
    with pytest.raises(PoisonedError, match="sealed"):
        LedgerFeed(world.ledger.follower(), REFERENCE).take(world.payloads.put(sealed))


def test_a_rejected_leaf_need_not_be_a_record(client: Any) -> None:
    world = World(0)
    world.raw = [world.ledger.block([(b"noise", False), (record_payload("p-coal", 0), True)])]
    take(client, world.feed(client), world.messages())
    rows = client.query("SELECT verdict, point, code = '' FROM records ORDER BY leaf_index").result_rows
    assert rows == [("rejected", "", True), ("accepted", "p-coal", False)]


def test_no_more_blocks_are_read_than_may_wait(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENDING", 2)
    world = World(2)
    feed = world.feed(client)
    feed.take(world.block(1))
    assert feed.wants_blocks
    feed.take(world.block(2))
    assert not feed.wants_blocks
    take(client, feed, world.payload(1))
    assert feed.wants_blocks


def test_each_table_goes_on_after_its_own_height(client: Any) -> None:
    """The crash came between the insert of the records and that of their blocks."""
    world = World()
    take(client, world.feed(client), world.messages())
    client.command("TRUNCATE TABLE blocks")
    client.command("INSERT INTO blocks (height) VALUES (1)")
    take(client, world.feed(client), world.messages())
    assert column(client, HEIGHTS) == [1, 2, 3, 4, 5, 6]
    assert column(client, LEAVES) == list(range(16))


def test_the_verification_goes_on_where_the_rows_end(client: Any) -> None:
    world = World()
    first = [m for height in (1, 2, 3, 4) for m in [world.block(height), *world.payload(height)]]
    take(client, world.feed(client), [*first, world.block(5)])
    feed = world.feed(client)
    take(client, feed, [m for height in (5, 6) for m in [world.block(height), *world.payload(height)]])
    assert column(client, HEIGHTS) == [1, 2, 3, 4, 5, 6], "without the first four again"
    take(client, world.feed(client), world.messages())
    assert column(client, LEAVES) == list(range(16))


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE TABLE records",
        "ALTER TABLE records DELETE WHERE height > 4 SETTINGS mutations_sync = 2",
        "TRUNCATE TABLE blocks",
        "ALTER TABLE blocks UPDATE digest = '' WHERE height = 6 SETTINGS mutations_sync = 2",
        "ALTER TABLE ledger_position UPDATE position = replace(position, '\"height\": 6', '\"height\": 7')"
        " WHERE 1 SETTINGS mutations_sync = 2",
    ],
)
def test_a_position_whose_rows_are_not_there_is_no_place_to_go_on(client: Any, statement: str) -> None:
    world = World()
    take(client, world.feed(client), world.messages())
    client.command(statement)
    feed = world.feed(client)
    assert feed._follower.height == 0
    take(client, feed, world.messages())
    assert column(client, HEIGHTS) == [1, 2, 3, 4, 5, 6]
    assert column(client, LEAVES) == list(range(16))
