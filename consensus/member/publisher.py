"""Publication: certified blocks go to the ledger topics in the order of their heights, payloads before their block.

The primary publishes at once. Any other member does so when a block stays missing: what is missing is what the member
does not read back, checked, from the topic. A repeat does no harm, readers know it by its height.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from carbon import merkle
from carbon import record as records
from carbon.refusal import label
from consensus.core.messages import signatures
from consensus.log import follower
from consensus.log import leaf as leaves
from consensus.log.committee import Committee, in_charge
from consensus.log.follower import LedgerError, batch_of
from consensus.log.genesis import Genesis
from consensus.log.reader import COPIES
from schemas import codec, topics

NOTED_HEIGHTS = 256
PATIENCE_MS = 1_500
"""How long a block may be missing before the next member publishes it; each further member waits as much longer."""

ANSWER_EVERY_MS = 500
"""Time between two answers to readers that lack payloads."""

_PAYLOAD_HEADER = codec.header("payload")

Produce = Callable[[str, bytes, bytes], None]
OfHeight = Callable[[int], bytes | None]


class Seen(NamedTuple):
    """What a message of the ledger topic says it is, and whether its certificate and votes hold."""

    height: int
    epoch: int
    checkpoint: str
    is_certified: bool


class Publisher:
    """Knows what stands on the ledger topic, and publishes what is missing from this member's copy."""

    def __init__(
        self,
        genesis: Genesis,
        committees: Callable[[], Sequence[Committee]],
        package_of: OfHeight,
        snapshot_of: OfHeight,
        produce: Produce,
    ) -> None:
        self._genesis = genesis
        self._committees = committees
        self._package_of = package_of
        self._snapshot_of = snapshot_of
        self._produce = produce
        self.seen = 0
        """The greatest height read back from the topic with everything below it."""
        self._sent = 0
        self._noted: dict[int, set[bytes]] = {}
        self._waiting_since: int | None = None
        self._answers_from = 0

    def saw(self, message: bytes) -> Seen | None:
        """A message of the ledger topic: noted when certificate and votes hold, compared once the block is here too.

        What its readers would refuse must not count as published, or the block would stay missing for them.
        """
        try:
            block = codec.decode("block", message)
            header = codec.decode_bare("block-header", block["header"])
        except codec.CodecError:
            return None
        is_noted = self.seen < header["height"] <= self.seen + NOTED_HEIGHTS and self._holds(block, header)
        if is_noted:
            noted = self._noted.setdefault(header["height"], set())
            if len(noted) < COPIES:
                noted.add(_content(block))
        return Seen(header["height"], header["epoch"], block["checkpoint"], is_noted)

    def _holds(self, block: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
        digest, committee = sha256(block["header"]).digest(), in_charge(self._committees(), header["height"])
        try:
            follower.certificate_signers(
                self._genesis, committee, header, digest, block["checkpoint"], signatures.check
            )
            for vote in block["votes"]:
                follower.check_vote(self._genesis, committee, header["height"], vote, signatures.check)
        except LedgerError:
            return False
        return True

    def _advance(self, kept: int) -> None:
        """Count what was noted and is, byte for byte in header and leaves, this member's own block."""
        while self.seen < kept and (noted := self._noted.pop(self.seen + 1, None)) is not None:
            package = self._package_of(self.seen + 1)
            assert package is not None
            if _content(codec.read("block", codec.read_first("block-package", package))) not in noted:
                return
            self.seen += 1
            self._waiting_since = None

    def resume_at(self, height: int) -> None:
        """What stands on the topic up to `height` was checked by this member in an earlier life."""
        self.seen = self._sent = height

    def publish(self, kept: int, now_ms: int, rank: int) -> None:
        """Publish what is due: at once for the primary (rank 0), after a wait for the others."""
        self._advance(kept)
        if self.seen >= kept:
            self._waiting_since = None
            return
        if self._waiting_since is None:
            self._waiting_since = now_ms
        overdue = now_ms - self._waiting_since > PATIENCE_MS * (rank + 1)
        if overdue:
            self._sent, self._waiting_since = self.seen, now_ms
        if rank == 0 or overdue:
            for height in range(max(self._sent, self.seen) + 1, kept + 1):
                self._publish(height)
                self._publish_snapshot(height)
                self._sent = height

    def _publish(self, height: int) -> None:
        package = self._package_of(height)
        assert package is not None
        for topic, key, value in messages_of(package):
            self._produce(topic, key, value)

    def asked(self, message: bytes, index: int, kept: int, now_ms: int) -> None:
        """A message of `ledger.requests`: if it is this member's turn, publish the block again, payloads and all.

        Anybody may ask, so a member answers one request in `ANSWER_EVERY_MS` at most.
        """
        try:
            request = codec.decode("payload-request", message)
        except codec.CodecError:
            return
        members = len(in_charge(self._committees(), kept + 1).members)
        is_turn = (request["height"] + request["attempt"]) % members == index
        if is_turn and 0 < request["height"] <= kept and now_ms >= self._answers_from:
            self._answers_from = now_ms + ANSWER_EVERY_MS
            self._publish(request["height"])

    def _publish_snapshot(self, height: int) -> None:
        state = self._snapshot_of(height)
        if state is not None:
            value = codec.encode("snapshot", {"height": height, "state": state})
            self._produce(topics.LEDGER_SNAPSHOTS, height.to_bytes(8, "big"), value)


def _content(block: dict[str, Any]) -> bytes:
    """What of a block must be this member's own; the certificate and the votes may be other members'."""
    opening = block["membership"] or {"salt": b"", "payload": b""}
    return sha256(block["header"] + block["leaves"] + opening["salt"] + opening["payload"]).digest()


def messages_of(package: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """The messages (topic, key, value) by which a block is published: payloads, refusals, and the block itself.

    `package` is of this member's own store, so it is not checked again.
    """
    fields = codec.read_bare("block-package", package)
    block = codec.read("block", fields["block"])
    header = codec.read_bare("block-header", block["header"])
    envelopes, found = leaves.split(block["leaves"]), leaves.columns(block["leaves"])
    height, first = header["height"], header["tree_size"] - len(envelopes)
    columns = (found["schema_id"].tolist(), found["reason"].tolist(), _salts(fields["salts"]), fields["payloads"])
    for index, (envelope, schema_id, reason, salt, payload) in enumerate(zip(envelopes, *columns, strict=True), first):
        key = merkle.leaf_hash(envelope)
        yield topics.LEDGER_PAYLOADS, key, payload_message(height, index, schema_id, salt, payload)
        if reason:
            where = {"height": height, "leaf_index": index}
            refusal = where | _refusal(reason, payload, index - first, header, block["votes"])
            yield topics.LEDGER_REJECTED, key, codec.encode("ledger-rejection", refusal)
    yield topics.LEDGER_BLOCKS, height.to_bytes(8, "big"), fields["block"]


def _salts(joined: bytes) -> list[bytes]:
    return [joined[place : place + records.SALT_BYTES] for place in range(0, len(joined), records.SALT_BYTES)]


@lru_cache(maxsize=64)
def _before_index(height: int) -> bytes:
    return _PAYLOAD_HEADER + records.encode_long(height)


def payload_message(height: int, leaf_index: int, schema_id: int, salt: bytes, payload: bytes) -> bytes:
    """The message of `ledger.payloads`, put together by hand for the reason that the record's payload is."""
    numbers = _before_index(height) + records.encode_long(leaf_index) + records.encode_long(schema_id)
    return numbers + b"\x02" + salt + b"\x02" + records.encode_long(len(payload)) + payload + b"\0"


def _refusal(reason: int, payload: bytes, place: int, header: dict[str, Any], votes: list[bytes]) -> dict[str, Any]:
    batch, inside = batch_of(header, place)
    name = {key: batch[key] for key in ("submitter", "stream", "number")}
    try:
        record = records.decode(payload)
        what = {"point": record["point"], "window_start": record["window_start"]}
    except codec.CodecError:
        what = {"point": "", "window_start": 0}
    said = votes_on(batch["digest"], inside, votes)
    return name | what | {"reason": label(reason), "votes": said, "payload": payload}


def votes_on(digest: bytes, place: int, votes: list[bytes]) -> list[dict[str, Any]]:
    """What each member said of record `place` of a batch, from the endorsements that stand in the block."""
    said = {}
    for message in votes:
        signed = codec.decode("consensus-message", message)
        for verdict in codec.decode_bare("consensus-endorsement", signed["body"])["verdicts"]:
            if verdict["batch"] == digest:
                said[signed["member"]] = label(_code(verdict, place))
    return [{"member": member, "reason": reason} for member, reason in sorted(said.items())]


def _code(verdict: dict[str, Any], place: int) -> int:
    bits = "".join(f"{byte:08b}" for byte in verdict["passes"])[: verdict["records"]]
    return 0 if bits[place] == "1" else int(verdict["failures"][bits[:place].count("0")])
