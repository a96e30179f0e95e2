"""What a replica asks of its shell, in order. Whatever comes before a Send in Persist effects is durable before it."""

from dataclasses import dataclass

from consensus.core.bodies import ProposedBatch


@dataclass(frozen=True)
class OrderedBlock:
    """What the committee agreed on at a height, as the application executes it.

    `batches` hold only what fits: each stream's numbers go on from its head without a gap. `endorsements` are the
    signed messages that decide the codes, as far as this member has them (they are outside the agreed digest).
    """

    epoch: int
    height: int
    time_ms: int
    batches: tuple[ProposedBatch, ...]
    endorsements: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Persist:
    """Append to the vote log; must be durable before any later Send is transmitted."""

    entry: bytes


@dataclass(frozen=True)
class Send:
    """Transmit a message to one member, or to all others (`to` is None)."""

    message: bytes
    to: int | None = None


@dataclass(frozen=True)
class SetTimer:
    """Start or restart a named timer: call `Replica.timer(name)` after `delay_ms`."""

    name: str
    delay_ms: int


@dataclass(frozen=True)
class CancelTimer:
    """Stop a named timer."""

    name: str


@dataclass(frozen=True)
class NeedBatch:
    """A batch's body is missing here: hand it over by `batch_arrived` if the shell has it or gets it."""

    digest: bytes


@dataclass(frozen=True)
class BatchRequested:
    """A member lacks a batch's body: answer with `Replica.send_batch` if the shell has it."""

    member: int
    digest: bytes


@dataclass(frozen=True)
class BatchReceived:
    """A body that a member sent on request, unverified: check its digest and submitter, then `batch_arrived`."""

    digest: bytes
    body: bytes


@dataclass(frozen=True)
class BatchDone:
    """The pool has no more use for these batches: applied and certified, refused, overtaken or timed out."""

    digests: tuple[bytes, ...]


@dataclass(frozen=True)
class Certified:
    """A height's checkpoint is certified: exactly a quorum of (member, note signature), sorted by member.

    The shell makes block and certificate durable in the application before it transmits any later Send.
    """

    height: int
    block: OrderedBlock
    note: bytes
    signatures: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Evidence:
    """Two signed messages (wire bytes) of one member that no honest member signs both of."""

    kind: str
    member: int
    message_a: bytes
    message_b: bytes


@dataclass(frozen=True)
class Dissent:
    """An endorsement (wire bytes) that says of a batch what 2f + 1 members decided otherwise, certified at `height`."""

    height: int
    batch: bytes
    member: int
    message: bytes


@dataclass(frozen=True)
class SetBack:
    """This member's disk is older than what it has signed: `message` is its own and missing in its log.

    Until a checkpoint of height `bar` is stable it votes on nothing, and counts among the f.
    """

    message: bytes
    bar: int


@dataclass(frozen=True)
class Divergence:
    """Members that can't all be faulty hold another state at `height`, or agreed on another block: this one stops."""

    height: int
    reason: str


Effect = (
    Persist
    | Send
    | SetTimer
    | CancelTimer
    | NeedBatch
    | BatchRequested
    | BatchReceived
    | BatchDone
    | Certified
    | Evidence
    | Dissent
    | SetBack
    | Divergence
)
