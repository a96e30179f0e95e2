"""Feed of `blocks`, `votes`, `records`, `submissions`, `postings` and `registries`: the ledger, verified before it is
written.

A block counts once its certificate and leaves have been verified and every leaf's payload has come; it is written in
the order of heights. Each table goes on after its own greatest height, not after an offset: a block may be published
twice. The verification goes on where the rows end, from a position that was written after them; where the tables don't
hold what that position stands for, it starts at the genesis again.
"""

import json
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from carbon import submission
from carbon.ledger.beside import Rates
from carbon.ledger.books import Books
from carbon.registry import Registry
from consensus import registration
from consensus.log.follower import Follower, LedgerError, Position, VerifiedBlock, VerifiedLeaf
from consensus.log.leaf import SUBMISSION, WINDOW_RECORD
from consensus.log.reader import COPIES, certified_height
from schemas import codec, topics
from sinks.clickhouse import engine
from sinks.clickhouse.directory import Directory
from sinks.clickhouse.feed import Message, Place, PoisonedError, RowBatch, Unfit, stop
from sinks.clickhouse.payloads import PayloadPool
from sinks.clickhouse.postings import BOOK, POSTINGS, Poster
from sinks.clickhouse.rates import RATES, row_of_bill, rows_of
from sinks.clickhouse.ratings import Overseer
from sinks.clickhouse.records import RecordRow, columns, record_row
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import TIME
from sinks.clickhouse.submissions import SUBMISSIONS, submission_row
from sinks.clickhouse.votes import VOTES, vote_rows

POOL = 50_000
"""Payloads that may wait for their block."""
PENDING = 32
"""Verified blocks that may wait for their payloads; no more are read until the first has them."""
RATING_PAUSE = 20
"""How many times as long as the last ratings took nothing is rated again."""
EARLY = 256
"""Blocks that may wait for their predecessor."""

BLOCKS = pa.schema(
    [
        ("height", pa.uint64()),
        ("time", TIME),
        ("epoch", pa.uint32()),
        ("digest", pa.string()),
        ("previous", pa.string()),
        ("records", pa.uint32()),
        ("accepted", pa.uint64()),
        ("rejected", pa.uint64()),
        ("tree_size", pa.uint64()),
        ("root", pa.string()),
        ("state", pa.string()),
        ("signers", pa.list_(pa.string())),
        ("published", TIME),
    ]
)

REGISTRIES = pa.schema(
    [
        ("channel", pa.string()),
        ("first", pa.uint64()),
        ("recorded", pa.uint64()),
        ("digest", pa.string()),
        ("record", pa.string()),
    ]
)

_HIGHEST = """SELECT greatest((SELECT max(height) FROM records), (SELECT max(height) FROM submissions_log),
    (SELECT max(recorded) FROM registries))"""
"""The last block that any row of a leaf is of."""

POSITION = pa.schema([("channel", pa.string()), ("height", pa.uint64()), ("position", pa.string())])


def block_row(block: VerifiedBlock, published: int | None) -> dict[str, Any]:
    """The row of a block in table `blocks`. `published`: when the broker got it, ms UTC."""
    header = block.header
    signers = [block.committee.members[index].name for index in block.signers]
    plain = {name: header[name] for name in ("time", "epoch", "accepted", "rejected", "tree_size")}
    hexed = {name: header[name].hex() for name in ("previous", "root", "state")}
    head = {"height": block.height, "digest": block.digest.hex(), "records": len(block.leaves)}
    return {**head, **plain, **hexed, "signers": signers, "published": published}


@dataclass
class _Pending:
    """A verified block, when the broker got it, the position after it, and the commitments of its leaves that have not
    been seen in the pool, the first one last."""

    block: VerifiedBlock
    published: int | None
    position: Position
    missing: list[bytes]


class LedgerFeed:
    """The feed of the ledger's tables from topics ledger.blocks and ledger.payloads.

    The reference grows by the changes of the registry that it comes to.
    """

    topics = (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)

    def __init__(self, follower: Follower, reference: Reference, pool: int = POOL) -> None:
        """`follower` stands at the genesis; `pool` is how many payloads may wait for their block."""
        self._follower = follower
        self._reference = reference
        self._pool = PayloadPool(pool)
        self._early: dict[int, list[Message]] = {}
        self._pending: deque[_Pending] = deque()
        self._blocks = RowBatch("blocks", BLOCKS)
        self._registries = RowBatch("registries", REGISTRIES)
        self._rates, self._rate_rows = Rates(), RowBatch("rates_log", RATES)
        for registry in reference.registries.values():
            self._know(registry)
        self._votes = RowBatch("votes_log", VOTES)
        self._submissions = RowBatch("submissions_log", SUBMISSIONS)
        self._postings = RowBatch("postings_log", POSTINGS)
        self._directory = Directory(follower.genesis)
        offset = follower.genesis.utc_offset_minutes
        self._poster = Poster(Books(offset), reference.prefix, Overseer(offset))
        self._book: str | None = None
        self._settled = self._noted = follower.position
        self._time_ms = 0
        """Of the last block whose rows were made."""
        self._unrated, self._rates_again = False, 0.0
        self._records: list[RecordRow] = []
        self._heights: list[str] = []
        self._written_blocks = self._written_records = 0
        self._read_again_for = 0

    def _know(self, registry: Registry) -> None:
        """Have the rates of a registry written."""
        self._rates.learn(registry)
        self._rate_rows.add(rows_of(registry, self._rates), f"registry:{registry.digest.hex()}")

    @property
    def waiting(self) -> int:
        """Rows of the open batches, and ratings that are still to be made."""
        return self._unrated + len(self._blocks) + len(self._records) + len(self._submissions) + len(self._postings)

    @property
    def height(self) -> int:
        """The last block whose records are in the tables, or in the open batches."""
        return self._written_records

    @property
    def partition(self) -> int:
        """The channel's partition, as its genesis names it."""
        return self._follower.genesis.partition

    @property
    def _channel(self) -> str:
        return self._follower.genesis.digest.hex()

    @property
    def wants_blocks(self) -> bool:
        """Whether there is room for more blocks: false while too many wait for payloads."""
        return len(self._pending) < PENDING

    def resume(self, client: Any) -> Mapping[Place, int]:
        """Learn the greatest height of each table, and where to go on verifying. Topics are read from their start."""
        heights = "SELECT (SELECT max(height) FROM blocks), (SELECT max(height) FROM records)"
        self._written_blocks, self._written_records = client.query(heights).result_rows[0]
        position = self._position(client)
        poster = None if position is None else self._resumed(client, position.height)
        if position is not None and poster is not None:
            self._poster, self._book = poster, poster.book()
            self._follower = Follower(self._follower.genesis, position)
            self._settled = self._noted = position
            self._learn(client)
            asked = "SELECT toUnixTimestamp64Milli(time) FROM blocks WHERE height = {height:UInt64}"
            self._time_ms = client.query(asked, parameters={"height": position.height}).first_row[0]
            self._unrated = bool(self._reference.registries)
        else:
            client.command("TRUNCATE TABLE ratings_log")
        return {}

    def _resumed(self, client: Any, height: int) -> Poster | None:
        genesis = self._follower.genesis
        return Poster.resumed(client, self._channel, height, genesis.utc_offset_minutes, self._reference.prefix)

    def _learn(self, client: Any) -> None:
        """Know the registries that were recorded, at least up to the position."""
        recorded = "SELECT record FROM registries FINAL WHERE channel = {channel:String} ORDER BY first"
        for (record,) in client.query(recorded, parameters={"channel": self._channel}).result_rows:
            self._know(self._reference.adopt(bytes.fromhex(record)))

    def _position(self, client: Any) -> Position | None:
        """The position that was noted last, if the tables hold the rows of all that it stands for."""
        noted = "SELECT position FROM ledger_position WHERE channel = {channel:String} ORDER BY height DESC LIMIT 1"
        rows = client.query(noted, parameters={"channel": self._channel}).result_rows
        if not rows:
            return None
        position = Position.load(json.loads(rows[0][0]))
        held = "SELECT digest, (SELECT max(height) FROM blocks WHERE height <= {height:UInt64} AND records > 0) "
        held += f"<= ({_HIGHEST}) AND (SELECT max(height) FROM votes_log) >= {{height:UInt64}} "
        held += "FROM blocks WHERE height = {height:UInt64}"
        blocks = client.query(held, parameters={"height": position.height}).result_rows
        is_held = blocks and blocks[0][0] == position.digest.hex() and blocks[0][1]
        return position if is_held else None

    def take(self, message: Message) -> None:
        """Take a block or a payload. Raises PoisonedError."""
        if message.topic == topics.LEDGER_PAYLOADS:
            self._take_payload(message)
        else:
            self._take_block(message)
        if self._pending:
            self._settle()

    def _take_payload(self, message: Message) -> None:
        try:
            fields = codec.read("payload", message.value)  # the commitment decides whether it is the one
        except codec.CodecError as error:
            raise PoisonedError(str(error)) from error
        if fields["salt"] is None or fields["payload"] is None:
            raise PoisonedError("a payload that is sealed or forgotten")
        settled = fields["height"] <= self._settled.height
        self._pool.offer(fields["salt"], fields["payload"], message.offset, settled=settled)

    def _take_block(self, message: Message) -> None:
        try:
            self._verify(message)
        except PoisonedError:
            if not self._hold(message):
                raise
        while early := self._early.pop(self._follower.height + 1, None):
            for copy in early:
                self._verify_early(copy)

    def _hold(self, message: Message) -> bool:
        """Keep a certified block whose predecessor is missing; whether it is one, and there is room."""
        height = certified_height(message.value, self._follower)
        copies = self._early.get(height, [])
        holds = 1 < height - self._follower.height <= EARLY and len(copies) < COPIES
        if holds:
            self._early[height] = [*copies, message]
        return holds

    def _verify_early(self, message: Message) -> None:
        """A copy that is not whole is passed over: its certificate held, so it is no poison of its own."""
        with suppress(PoisonedError):
            self._verify(message)

    def _verify(self, message: Message) -> None:
        try:
            block = self._follower.accept(message.value)
        except LedgerError as error:
            raise PoisonedError(str(error)) from error
        if block is None:
            return
        wanted = [leaf.leaf.commitment for leaf in block.leaves]
        self._pool.want(wanted)
        self._pending.append(_Pending(block, message.at, self._follower.position, wanted[::-1]))

    def _settle(self) -> None:
        """Make rows of the blocks at the front that have all they wait for."""
        while self._pending:
            first = self._pending[0]
            block, missing = first.block, first.missing
            while missing and missing[-1] in self._pool:
                missing.pop()
            if missing:
                return
            self._add(block, self._pool.take(leaf.leaf.commitment for leaf in block.leaves))
            if block.height > self._written_blocks:
                self._blocks.add([block_row(block, first.published)], f"block:{block.height}")
                self._written_blocks = block.height
            self._settled, self._time_ms = self._pending.popleft().position, block.header["time"]

    def _add(self, block: VerifiedBlock, payloads: Mapping[bytes, bytes]) -> None:
        for leaf in block.leaves:
            record = payloads[leaf.leaf.commitment]
            if leaf.leaf.kind == SUBMISSION:
                about = (self._reference.prefix, self._follower.genesis.utc_offset_minutes)
                self._submissions.add([submission_row(block, leaf, record, *about)], f"leaf:{leaf.index}")
                self._rate_bill(leaf, record)
            change = self._reference.follow(leaf.leaf, record)
            if change is not None:
                where = {"channel": self._channel, "first": change.first, "recorded": block.height}
                row = where | {"digest": change.digest.hex(), "record": record.hex()}
                self._registries.add([row], f"registry:{change.first}")
                self._know(self._reference.registries[change.first])
        self._votes.add(vote_rows(block), f"block:{block.height}")
        self._postings.add(self._poster.post(block, payloads), f"block:{block.height}")
        if block.height > self._written_records:
            self._add_records(block, payloads)

    def _rate_bill(self, leaf: VerifiedLeaf, payload: bytes) -> None:
        if leaf.leaf.accepted and (read := submission.read(payload)).kind == "activity":
            self._rate_rows.add([row_of_bill(read, leaf.index, self._rates)], f"leaf:{leaf.index}")

    def _add_records(self, block: VerifiedBlock, payloads: Mapping[bytes, bytes]) -> None:
        self._records += [
            record_row(block.height, leaf, payloads[leaf.leaf.commitment])
            for leaf in block.leaves
            if leaf.leaf.kind == WINDOW_RECORD
        ]
        self._heights.append(f"block:{block.height}")
        self._written_records = block.height

    @property
    def lacks_dropped(self) -> bool:
        """Whether the first block waits for payloads, and some were dropped for want of room."""
        return bool(self._pending) and self._pool.dropped_from is not None

    def read_payloads_again(self) -> int | None:
        """At the end of ledger.payloads: the offset to read it again from, because the first block misses one.

        That is where payloads were dropped for want of room, or once for each block the start of the topic.
        """
        if not self._pending:
            return None
        offset, self._pool.dropped_from = self._pool.dropped_from, None
        height = self._pending[0].block.height
        if offset is None and self._read_again_for < height:
            self._read_again_for = height
            offset = 0
        return offset

    def flush(self, client: Any, unfit: Unfit = stop) -> None:
        """Write the open batches, records before the blocks that hold them, and then how far they reach.

        Nothing certified is left out: a row that does not fit stops the sink, whatever `unfit` is. Raises UnfitError.
        """
        self._directory.flush(client, self._reference.registries, self._follower.committees)
        if self._records:
            engine.insert(client, "records", columns(self._records, self._reference), self._heights)
        self._records, self._heights = [], []
        for batch in (self._votes, self._submissions, self._postings):
            batch.flush(client)
        self._blocks.flush(client)
        self._registries.flush(client)
        self._rate_rows.flush(client)
        if self._settled is not self._noted:
            self._note(client)
        if self._unrated:
            self._rate(client)

    def _note(self, client: Any) -> None:
        position, book = self._settled, self._poster.book()
        if book != self._book:
            row = {"channel": self._channel, "height": position.height, "book": book}
            engine.insert(client, "ledger_book", pa.Table.from_pylist([row], BOOK), [f"book:{position.height}"])
            self._book = book
        row = {"channel": self._channel, "height": position.height, "position": json.dumps(position.dump())}
        engine.insert(client, "ledger_position", pa.Table.from_pylist([row], POSITION), [f"position:{position.height}"])
        self._noted, self._unrated = position, bool(self._reference.registries)

    def _rate(self, client: Any) -> None:
        """Write ratings, unless they came so lately that it would take a large part of the time."""
        began, registries = time.monotonic(), self._reference.registries
        if began < self._rates_again:
            return
        height = self._noted.height
        registry = registries[registration.in_force(registries, height)]
        self._poster.rate(client, registry, height, self._time_ms)
        self._unrated, now = False, time.monotonic()
        self._rates_again = now + RATING_PAUSE * (now - began)
