"""The bodies that members sign, one dataclass a schema; all decode strictly and raise Malformed.

Signed bytes hold no time of signing and no signer set, so that a restarted member signs the same bytes again; a
proposal holds no view, so that its digest survives a view change.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, ClassVar, NamedTuple, Self

from carbon import signing
from consensus.core.messages import SMALL, Kind, Malformed
from schemas import codec

HEIGHT_LIMIT = 1 << 62


class Body:
    """A canonical Avro record of schema `SCHEMA`; tuples are its arrays, `ROWS` its arrays of records."""

    SCHEMA: ClassVar[str]
    ROWS: ClassVar[dict[str, Any]] = {}

    def encode(self) -> bytes:
        """The canonical bytes."""
        fields = dict(vars(self))
        for name in self.ROWS:
            fields[name] = [row._asdict() for row in fields[name]]
        return codec.encode_bare(self.SCHEMA, fields)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read canonical bytes. Raises Malformed."""
        return cls._remembered(data) if len(data) <= SMALL else cls._read(data)

    @classmethod
    def _read(cls, data: bytes) -> Self:
        try:
            fields = codec.decode_bare(cls.SCHEMA, data)
        except codec.CodecError as error:
            raise Malformed(str(error)) from error
        for name, value in fields.items():
            if name in cls.ROWS:
                fields[name] = tuple(cls.ROWS[name](**row) for row in value)
            elif isinstance(value, list):
                fields[name] = tuple(value)
        body = cls(**fields)
        body.check()
        return body

    @classmethod
    @lru_cache(maxsize=4096)
    def _remembered(cls, data: bytes) -> Self:
        return cls._read(data)

    def check(self) -> None:
        """Refuse numbers that no member writes. Raises Malformed."""
        for name, value in vars(self).items():
            if type(value) is int and not 0 <= value < HEIGHT_LIMIT:
                raise Malformed(f"{name} {value} in a {self.SCHEMA}")


class Verdict(NamedTuple):
    """A member's verdict on a batch: a bit a record, and the reason code of each zero bit in order."""

    batch: bytes
    records: int
    passes: bytes
    failures: tuple[int, ...]


@dataclass(frozen=True)
class Endorsement(Body):
    """Verdicts of the evidence half on whole batches, under one signature."""

    SCHEMA = "consensus-endorsement"
    ROWS: ClassVar = {"verdicts": Verdict}
    epoch: int
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Vote(Body):
    """What a pre-prepare, a prepare and a commit sign."""

    SCHEMA = "consensus-vote"
    epoch: int
    view: int
    height: int
    digest: bytes


class ProposedBatch(NamedTuple):
    """A batch of a submitter's stream in a proposal. `codes`: u16 big endian a record, 0 = pass."""

    submitter: str
    stream: str
    number: int
    digest: bytes
    codes: bytes

    @property
    def records(self) -> int:
        """Records in the batch."""
        return len(self.codes) // 2


@dataclass(frozen=True)
class Proposal(Body):
    """What is agreed on at a height. Time 0 and no batches: a null block, with its predecessor's time."""

    SCHEMA = "consensus-proposal"
    ROWS: ClassVar = {"batches": ProposedBatch}
    epoch: int
    height: int
    time: int
    batches: tuple[ProposedBatch, ...]

    def digest(self, channel: bytes) -> bytes:
        """SHA-256 over the context of a proposal on this channel, and the canonical bytes."""
        return sha256(signing.context("consensus/proposal", channel) + self.encode()).digest()

    @property
    def is_null(self) -> bool:
        """Whether it only fills a gap that a view change left."""
        return not self.batches


@dataclass(frozen=True)
class Justified(Body):
    """Attachment of a pre-prepare: proposal bytes, and the signed endorsements that decide its codes."""

    SCHEMA = "consensus-justified-proposal"
    proposal: bytes
    endorsements: tuple[bytes, ...]


@dataclass(frozen=True)
class Checkpoint(Body):
    """A member's raw note signature over the checkpoint note of a height that it has applied."""

    SCHEMA = "consensus-checkpoint"
    epoch: int
    height: int
    note_signature: bytes


@dataclass(frozen=True)
class ViewChange(Body):
    """A member leaves for `view`: its stable certificate (empty at genesis), what it has prepared above."""

    SCHEMA = "consensus-view-change"
    epoch: int
    view: int
    stable: bytes
    prepared: tuple[bytes, ...]


class OpenedHeight(NamedTuple):
    """The new primary's pre-prepare of one height, without what can be recomputed."""

    height: int
    digest: bytes
    signature: bytes


@dataclass(frozen=True)
class NewView(Body):
    """The primary opens `view`: 2f + 1 signed view changes by member, a pre-prepare for each open height."""

    SCHEMA = "consensus-new-view"
    ROWS: ClassVar = {"pre_prepares": OpenedHeight}
    epoch: int
    view: int
    view_changes: tuple[bytes, ...]
    pre_prepares: tuple[OpenedHeight, ...]


@dataclass(frozen=True)
class Status(Body):
    """Where a member stands. `progress` is of each height above `stable`: see `slots.Slot.stage`."""

    SCHEMA = "consensus-status"
    epoch: int
    view: int
    changing: bool
    suspects: bool
    stalled: bool
    round: int
    stable: int
    certified: int
    executed: int
    progress: tuple[int, ...]


@dataclass(frozen=True)
class BlockRequest(Body):
    """Asks for certified blocks from height `first` on."""

    SCHEMA = "consensus-block-request"
    epoch: int
    first: int


@dataclass(frozen=True)
class Blocks(Body):
    """Certified blocks in order, opaque to the core: the application verifies each."""

    SCHEMA = "consensus-blocks"
    epoch: int
    blocks: tuple[bytes, ...]


@dataclass(frozen=True)
class BatchRequest(Body):
    """Asks for the body of a batch."""

    SCHEMA = "consensus-batch-request"
    epoch: int
    digest: bytes


@dataclass(frozen=True)
class BatchBody(Body):
    """The body of a batch, opaque to the core: the shell verifies digest and submitter."""

    SCHEMA = "consensus-batch-body"
    epoch: int
    digest: bytes
    body: bytes


@dataclass(frozen=True)
class Recall(Body):
    """A restarted member asks for its own newest messages (`bar` 0), or says that its disk was set back.

    `question` names the start; with a `bar` it votes only above a stable checkpoint of that height.
    """

    SCHEMA = "consensus-recall"
    epoch: int
    question: int
    bar: int


@dataclass(frozen=True)
class Recalled(Body):
    """What a member holds of `member`, which has restarted, with its own stable certificate (empty at genesis)."""

    SCHEMA = "consensus-recalled"
    epoch: int
    member: int
    question: int
    stable: bytes
    messages: tuple[bytes, ...]


@lru_cache(maxsize=1024)
def vote_body(epoch: int, view: int, height: int, digest: bytes) -> bytes:
    """The bytes that a pre-prepare, prepare or commit signs."""
    return Vote(epoch, view, height, digest).encode()


VOTES = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)
