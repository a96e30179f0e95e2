"""Signed messages between members: the envelope, and the one place where signatures are made and checked.

A signature covers kind, channel and body; epoch, view, height and digest stand in the body. An attachment is outside
the signature and is good only if a digest in the body, or a signature of its own, says so. A message counts by its
signature, never by how it came.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from carbon import signing
from consensus.core.config import Config
from schemas import codec

SMALL = 4096
"""Bytes up to which what was read once is remembered, and not read again."""


class Malformed(ValueError):
    """Bytes that are not a message of this protocol, or one that contradicts itself."""


class Kind(StrEnum):
    """What a message says; the symbols of the Avro enums, and the tail of the signature context."""

    ENDORSEMENT = "endorsement"
    PRE_PREPARE = "pre_prepare"
    PREPARE = "prepare"
    COMMIT = "commit"
    CHECKPOINT = "checkpoint"
    VIEW_CHANGE = "view_change"
    NEW_VIEW = "new_view"
    STATUS = "status"
    CERTIFICATE = "certificate"
    BLOCK_REQUEST = "block_request"
    BLOCKS = "blocks"
    BATCH_REQUEST = "batch_request"
    BATCH_BODY = "batch_body"
    RECALL = "recall"
    RECALLED = "recalled"


ENVELOPES = ("consensus-message", "consensus-recall-message")
"""The schema of a message, and the later one for the kinds that the first can't name."""


@dataclass(frozen=True)
class Message:
    """One signed message. `body` is the canonical encoding of the kind's schema."""

    kind: Kind
    member: int
    body: bytes
    signature: bytes
    attachment: bytes = b""

    def encode(self) -> bytes:
        """The message in wire format (one of the schemas `ENVELOPES`)."""
        is_small = len(self.body) + len(self.attachment) <= SMALL
        return _remembered_bytes(self) if is_small else _bytes(self)

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """Read wire bytes. Raises Malformed."""
        return _remembered(data) if len(data) <= SMALL else _read(data)

    def bare(self) -> "Message":
        """The message without its attachment: all that its signature covers."""
        return Message(self.kind, self.member, self.body, self.signature)


def _read(data: bytes) -> Message:
    try:
        is_recall = data.startswith(codec.header(ENVELOPES[1]))
        fields = codec.decode(ENVELOPES[is_recall], data)
    except codec.CodecError as error:
        raise Malformed(str(error)) from error
    return Message(**(fields | {"kind": Kind(fields["kind"])}))


def _bytes(message: Message) -> bytes:
    return codec.encode(ENVELOPES[message.kind in (Kind.RECALL, Kind.RECALLED)], vars(message))


# an endorsement is read when it comes, with the proposal that shows it, and when it is learnt from there
_remembered = lru_cache(maxsize=2048)(_read)
_remembered_bytes = lru_cache(maxsize=2048)(_bytes)


class VerifiedSignatures:
    """Remembers the outcome of signature checks, so that the same (key, message, signature) is checked once.

    Bounded: the older half is forgotten when `limit` is reached. A limit of 0 remembers nothing.
    """

    def __init__(self, limit: int = 1 << 15) -> None:
        self.limit = limit
        self._known: dict[tuple[bytes, str, bytes, bytes, bytes], bool] = {}

    def check(self, key: bytes, kind: str, channel: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `key`; `kind` is empty for a signature over the message itself."""
        question = (key, kind, channel, sha256(message).digest(), signature)
        known = self._known.get(question)
        if known is not None:
            return known
        genuine = signing.check(key, kind, channel, message, signature)
        self._remember(question, genuine)
        return genuine

    def made(self, seed: bytes, kind: str, channel: bytes, message: bytes, signature: bytes) -> bytes:
        """Remember a signature that was made here, which is genuine for the key of its seed; gives it back."""
        self._remember((signing.public_key(seed), kind, channel, sha256(message).digest(), signature), True)
        return signature

    def _remember(self, question: tuple[bytes, str, bytes, bytes, bytes], genuine: bool) -> None:
        if self.limit == 0:
            return
        if len(self._known) >= self.limit:
            self._known = dict(list(self._known.items())[self.limit // 2 :])
        self._known[question] = genuine


signatures = VerifiedSignatures()
"""The process-wide memory of verified signatures. It holds outcomes of a pure function, so sharing it changes none."""


_SIGNATURE_KINDS = {kind: f"consensus/{kind.value}" for kind in Kind}


def signature_kind(kind: Kind) -> str:
    """The kind in the signature's context."""
    return _SIGNATURE_KINDS[kind]


def sign(config: Config, kind: Kind, body: bytes, attachment: bytes = b"") -> Message:
    """A message of this member."""
    context = (config.vote_seed, signature_kind(kind), config.channel, body)
    return Message(kind, config.index, body, signatures.made(*context, signing.sign(*context)), attachment)


def sign_note(config: Config, note: bytes) -> bytes:
    """This member's raw signature over a checkpoint note's text."""
    signature = signing.sign_raw(config.note_seed, note)
    return signatures.made(config.note_seed, "", config.channel, note, signature)


def is_signed(config: Config, kind: Kind, member: int, body: bytes, signature: bytes) -> bool:
    """Whether `signature` is the vote signature of a member of this epoch over `body` as a message of `kind`."""
    if not 0 <= member < config.n:
        return False
    return signatures.check(config.members[member].vote, signature_kind(kind), config.channel, body, signature)


def is_authentic(config: Config, message: Message) -> bool:
    """Whether a message is signed by the member that it names."""
    return is_signed(config, message.kind, message.member, message.body, message.signature)


def is_noted(config: Config, member: int, note: bytes, signature: bytes) -> bool:
    """Whether `signature` is a member's note signature over a checkpoint note's text."""
    if not 0 <= member < config.n:
        return False
    return signatures.check(config.members[member].note, "", config.channel, note, signature)
