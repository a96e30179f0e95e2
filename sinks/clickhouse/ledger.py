"""Feed of `blocks` and `records`: the ledger, verified before it is written.

A block counts once its certificate and leaves have been verified and every leaf's payload has come; it is written in
the order of heights. Each table goes on after its own greatest height, not after an offset: a block may be published
twice. The verification starts at the genesis whenever the sink starts, so nothing rests on what the tables say.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from carbon import record
from consensus.log.follower import Follower, LedgerError, VerifiedBlock, VerifiedLeaf
from consensus.log.genesis import Genesis
from consensus.log.leaf import label
from schemas import codec, topics
from sinks.clickhouse.feed import Message, Place, PoisonedError, RowBatch
from sinks.clickhouse.payloads import PayloadPool
from sinks.clickhouse.reference import Reference
from sinks.clickhouse.rows import TIME

POOL = 50_000
"""Payloads that may wait for their block."""
PENDING = 32
"""Verified blocks that may wait for their payloads; no more are read until the first has them."""
EARLY = 256
"""Blocks that may wait for their predecessor."""

_EVIDENCE = pa.struct(
    [
        ("gateway", pa.string()),
        ("run", pa.uint32()),
        ("first", pa.uint64()),
        ("last", pa.uint64()),
        ("digest", pa.string()),
    ]
)

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
    ]
)

RECORDS = pa.schema(
    [
        ("height", pa.uint64()),
        ("leaf_index", pa.uint64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("point", pa.string()),
        ("subject", pa.string()),
        ("object", pa.string()),
        ("prefix", pa.string()),
        ("window_start", TIME),
        ("window_seconds", pa.uint32()),
        ("version", pa.uint32()),
        ("cause", pa.string()),
        ("count", pa.uint32()),
        ("expected", pa.uint32()),
        ("quantity", pa.int64()),
        ("scale", pa.uint8()),
        ("unit", pa.string()),
        ("emission_g", pa.int64()),
        ("rule", pa.string()),
        ("factors", pa.string()),
        ("evidence", pa.list_(_EVIDENCE)),
        ("evidence_root", pa.string()),
        ("commitment", pa.string()),
        ("leaf_hash", pa.string()),
    ]
)

_COPIED = (
    "point", "subject", "window_start", "window_seconds", "version", "cause",
    "count", "expected", "quantity", "scale", "unit", "emission_g", "rule",
)  # fmt: skip
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("point", "subject", "cause", "unit", "rule", "factors"), ""),
    **dict.fromkeys(("window_start", "window_seconds", "version", "count", "expected", "quantity", "scale"), 0),
    "emission_g": 0,
    "evidence": [],
}


def block_row(block: VerifiedBlock, genesis: Genesis) -> dict[str, Any]:
    """The row of a block in table `blocks`."""
    header = block.header
    signers = [genesis.members[index].name for index in block.signers]
    plain = {name: header[name] for name in ("time", "epoch", "accepted", "rejected", "tree_size")}
    hexed = {name: header[name].hex() for name in ("previous", "root", "state")}
    head = {"height": block.height, "digest": block.digest.hex(), "records": len(block.leaves)}
    return {**head, **plain, **hexed, "signers": signers}


def record_row(height: int, verified: VerifiedLeaf, payload: bytes, reference: Reference) -> dict[str, Any]:
    """The row of a leaf in table `records`. A rejected leaf's payload may be no record: its columns stay empty."""
    leaf = verified.leaf
    shared = {
        "height": height,
        "leaf_index": verified.index,
        "verdict": "accepted" if leaf.accepted else "rejected",
        "reason": "" if leaf.accepted else label(leaf.reason),
        "evidence_root": leaf.evidence_root.hex(),
        "commitment": leaf.commitment.hex(),
        "leaf_hash": verified.hash.hex(),
        "prefix": reference.prefix,
    }
    content = _content(payload)
    return {**shared, **content, "object": reference.facts(content["point"]).object}


def _content(payload: bytes) -> dict[str, Any]:
    try:
        fields = record.decode(payload)
    except codec.CodecError:
        return _EMPTY
    evidence = [{**item, "digest": item["digest"].hex()} for item in fields["evidence"]]
    copied = {name: fields[name] for name in _COPIED}
    return {**copied, "factors": fields["factors"].hex(), "evidence": evidence}


def _claimed_height(message: bytes) -> int:
    """The height that a block message states, before anything is verified. Raises PoisonedError."""
    try:
        header = codec.decode_bare("block-header", codec.decode("block", message)["header"])
    except codec.CodecError as error:
        raise PoisonedError(str(error)) from error
    height: int = header["height"]
    return height


def _commitments(block: VerifiedBlock) -> list[bytes]:
    return [leaf.leaf.commitment for leaf in block.leaves]


class LedgerFeed:
    """The feed of tables `blocks` and `records` from topics ledger.blocks and ledger.payloads."""

    topics = (topics.LEDGER_BLOCKS, topics.LEDGER_PAYLOADS)

    def __init__(self, follower: Follower, reference: Reference, pool: int = POOL) -> None:
        """`follower` stands at the genesis; `pool` is how many payloads may wait for their block."""
        self._follower = follower
        self._reference = reference
        self._pool = PayloadPool(pool)
        self._early: dict[int, Message] = {}
        self._pending: deque[VerifiedBlock] = deque()
        self._blocks = RowBatch("blocks", BLOCKS)
        self._records = RowBatch("records", RECORDS)
        self._written_blocks = self._written_records = 0
        self._read_again_for = 0

    @property
    def waiting(self) -> int:
        """Rows of the open batches."""
        return len(self._blocks) + len(self._records)

    @property
    def partition(self) -> int:
        """The channel's partition, as its genesis names it."""
        return self._follower.genesis.partition

    @property
    def wants_blocks(self) -> bool:
        """Whether there is room for more blocks: false while too many wait for payloads."""
        return len(self._pending) < PENDING

    def resume(self, client: Any) -> Mapping[Place, int]:
        """Learn the greatest height of each table. Blocks and payloads are read from the start, to be verified."""
        heights = "SELECT (SELECT max(height) FROM blocks), (SELECT max(height) FROM records)"
        self._written_blocks, self._written_records = client.query(heights).result_rows[0]
        return {}

    def take(self, message: Message) -> None:
        """Take a block or a payload. Raises PoisonedError."""
        if message.topic == topics.LEDGER_PAYLOADS:
            self._take_payload(message)
        else:
            self._take_block(message)
        self._settle()

    def _take_payload(self, message: Message) -> None:
        try:
            fields = codec.decode("payload", message.value)
        except codec.CodecError as error:
            raise PoisonedError(str(error)) from error
        if fields["salt"] is None or fields["payload"] is None:
            raise PoisonedError("a payload that is sealed or forgotten")
        settled = fields["height"] <= self._written_records
        self._pool.offer(fields["salt"], fields["payload"], message.offset, settled=settled)

    def _take_block(self, message: Message) -> None:
        height = _claimed_height(message.value)
        if height > self._follower.height + 1 and len(self._early) < EARLY:
            self._early.setdefault(height, message)
            return
        self._verify(message)
        while (early := self._early.pop(self._follower.height + 1, None)) is not None:
            self._verify(early)

    def _verify(self, message: Message) -> None:
        try:
            block = self._follower.accept(message.value)
        except LedgerError as error:
            raise PoisonedError(str(error)) from error
        if block is None:
            return
        if block.height > self._written_records:
            self._pool.want(_commitments(block))
        self._pending.append(block)

    def _settle(self) -> None:
        """Make rows of the blocks at the front that have all they wait for."""
        while self._pending:
            block = self._pending[0]
            if block.height > self._written_records:
                commitments = _commitments(block)
                if not self._pool.has(commitments):
                    return
                self._records.add(self._record_rows(block, self._pool.take(commitments)), f"block:{block.height}")
                self._written_records = block.height
            if block.height > self._written_blocks:
                self._blocks.add([block_row(block, self._follower.genesis)], f"block:{block.height}")
                self._written_blocks = block.height
            self._pending.popleft()

    def _record_rows(self, block: VerifiedBlock, payloads: Mapping[bytes, bytes]) -> Iterator[dict[str, Any]]:
        for leaf in block.leaves:
            yield record_row(block.height, leaf, payloads[leaf.leaf.commitment], self._reference)

    def read_payloads_again(self) -> int | None:
        """At the end of ledger.payloads: the offset to read it again from, because the first block misses one.

        That is where payloads were dropped for want of room, or once for each block the start of the topic.
        """
        if not self._pending:
            return None
        offset, self._pool.dropped_from = self._pool.dropped_from, None
        height = self._pending[0].height
        if offset is None and self._read_again_for < height:
            self._read_again_for = height
            offset = 0
        return offset

    def flush(self, client: Any) -> None:
        """Write the open batches, records before the blocks that hold them."""
        self._records.flush(client)
        self._blocks.flush(client)
